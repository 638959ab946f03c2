# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The address that this machine shows to others: what an ingress rule names. Unknown means closed."""

from __future__ import annotations

import ipaddress
from typing import Callable, List, Sequence

from .._errors import FuelError, UsageError

#: Asked in this order; each answers with the caller's address in plain text.
SERVICES = ("https://checkip.amazonaws.com", "https://api.ipify.org")
#: Characters of an answer that are looked at.
LONGEST = 64


def check_network(text: str) -> str:
    """An IPv4 address or network in its canonical form with its length; UsageError for what is too wide to be meant."""
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise UsageError(f"{text[:60]!r} is no IPv4 network", hint="like 203.0.113.7/32", code="ec2_ingress") from error
    if network.version != 4 or network.prefixlen < 16:
        raise UsageError(
            f"{network} is too wide to be let in",
            hint="name IPv4 networks of /16 or smaller, best single addresses",
            code="ec2_ingress",
        )
    return str(network)


def check_address(text: str) -> str:
    """One IPv4 address from which somebody can come, as a /32; UsageError for anything else."""
    try:
        address = ipaddress.IPv4Address(text.strip())
    except ValueError as error:
        raise UsageError(f"{text[:60]!r} is no IPv4 address", hint="like 203.0.113.7", code="ec2_ingress") from error
    if address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local:
        raise UsageError(f"{address} cannot be where somebody comes from", hint="like 203.0.113.7", code="ec2_ingress")
    return f"{address}/32"


def caller_network(services: Sequence[str], read: Callable[[str], str]) -> str:
    """The caller's own address as a /32. FuelError when no service says a usable one: then nobody is let in.

    `read` gives the text at an address, or raises OSError.
    """
    said: List[str] = []
    for url in services:
        if not url.startswith(("https://", "http://")):
            raise UsageError(f"{url[:80]!r} is no http(s) address", hint="like https://checkip.amazonaws.com")
        try:
            return check_address(read(url))
        except (OSError, UsageError) as error:
            said.append(f"{url}: {str(getattr(error, 'message', error))[:80] or type(error).__name__}")
    raise FuelError(
        "your own address is not known, so nobody is let in",
        hint="allow outgoing https, name another service (address_services), or name networks (allow_from)",
        where="; ".join(said) or None,
        code="ec2_address_unknown",
    )
