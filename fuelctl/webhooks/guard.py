# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses a URL that somebody gave may lead to: public ones, and networks that the operator allows. Pure.

It is asked about the address that is then connected to, never about a name: what a name means may change in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fuelctl._shared._errors import FuelError, UsageError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: What a receiver on the internet listens at; in an allowed network it may be any.
PORTS = frozenset({443, 8443})
#: Public by what Python says of their number, and yet surroundings of the machine: Azure's host, Oracle's metadata
#: (192.0.0.192), 6to4's relays.
_NEVER = (ip_network("168.63.129.16/32"), ip_network("192.0.0.0/24"), ip_network("192.88.99.0/24"))
_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
#: The second half of an ISATAP address, before the IPv4 address in it.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
_LAST_32 = 0xFFFFFFFF


class RefusedError(FuelError):
    """The URL leads where nobody may be sent."""


def networks(text: str) -> list[Network]:
    """The networks of a setting, separated by spaces or commas; UsageError that names the one at fault."""
    found: list[Network] = []
    for word in text.replace(",", " ").split():
        try:
            found.append(ip_network(word))
        except ValueError as error:
            raise UsageError(
                f"{word[:80]!r} is no network",
                where="control_plane.webhook_networks",
                hint="write addresses or networks such as 10.1.0.0/16, without host bits",
                code="bad_settings",
            ) from error
    return found


def check(host: str, address: str, port: int, *, plain: bool, allowed: Sequence[Network]) -> None:
    """RefusedError unless `address`, which `host` means right now, may be connected to. `plain`: without TLS."""
    one = _bare(address)
    carried = embedded(one)
    # Where it ends up counts, however it is written.
    if any(each in network for network in allowed for each in (one, carried) if each is not None):
        return
    reason = _reason(one) or (_reason(carried) if carried is not None else None)
    if reason is None and plain:
        reason = "is to be reached without TLS"
    if reason is None and port not in PORTS:
        reason = f"is to be reached at port {port}"
    if reason is not None:
        raise RefusedError(
            f"{host[:200]} ({address}) {reason}",
            hint="name its network in control_plane.webhook_networks, if it is a receiver of your own",
            where=host[:200],
            code="address_refused",
        )


def embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to this IPv6 address end up at, or none."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or (int(address) >> 32) & _LAST_32 in _ISATAP:
        return IPv4Address(int(address) & _LAST_32)
    return address.sixtofour


def _reason(address: Address) -> str | None:
    """Why nobody is sent there; None for a public address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None or address in _NAT64:
            return None
        if address.sixtofour is None and (address not in _UNICAST or not address.is_global):
            return "is no public address"
    elif not address.is_global or address.is_reserved:
        return "is no public address"
    if address.is_multicast or any(address in network for network in _NEVER):
        return "is no public address"
    return None


def _bare(address: str) -> Address:
    # `fe80::1%eth0`: which link it is of says nothing of where it leads.
    return ip_address(address.partition("%")[0])
