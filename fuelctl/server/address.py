# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a request comes from, told by the nearest hop that is not one of our own reverse proxies."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fuelctl._shared._errors import UsageError

#: Whoever has one IPv6 address has this many bits of them.
_ONE_SUBSCRIBER = 64
#: A proxy that connects by a Unix socket has no address.
UNIX = "unix"


def check_proxies(text: str) -> list[IPv4Network | IPv6Network]:
    """The networks that setting `trusted_proxies` names; UsageError for what is none."""
    try:
        return [ip_network(word, strict=False) for word in text.replace(",", " ").split() if word != UNIX]
    except ValueError as error:
        raise UsageError(
            f"control_plane.trusted_proxies: {error}",
            hint="name addresses or networks, with spaces between; `unix` for a proxy on a Unix socket",
            code="bad_settings",
        ) from error


def client_address(peer: str, forwarded: str, proxies: str) -> str:
    """The address of whoever sent the request; empty on a Unix socket that nobody forwards to.

    :param peer: who connected to us.
    :param forwarded: X-Forwarded-For, in which each proxy names who connected to it, the last one at the end.
    :param proxies: setting `trusted_proxies`; what anybody else wrote into that header is not believed.
    """
    networks = check_proxies(proxies)
    unix = UNIX in proxies.replace(",", " ").split()
    address = peer
    for hop in reversed([hop.strip() for hop in forwarded.split(",") if hop.strip()]):
        if not (_is_in(address, networks) if address else unix):
            break
        try:
            address = str(ip_address(hop.strip("[]")))
        except ValueError:
            break
    return address


def subscriber(address: str) -> str:
    """What is counted as one: an IPv4 address, a /64 of IPv6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _ONE_SUBSCRIBER), strict=False))
    return address


def _is_in(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
