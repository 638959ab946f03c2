# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment costs: from the machines that its provider showed running, kept with the row. Pure.

`provider["machines"]`: id -> `{type, region, market, hourly, estimate, begun, ended}`. A machine that nobody saw
running is not in it, and costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fuelctl._shared._prices import _count, _offer
from fuelctl._shared._prices._book import Book

_Provider = dict[str, Any]
#: `eu-central-1` of zone `eu-central-1a`, and of local zone `us-west-2-lax-1a` the region that it belongs to.
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d+")
_RAN = frozenset({"running", "stopping", "shutting-down"})


@dataclass(frozen=True)
class Cost:
    """`hourly`: of the machines that run; `total`: so far. None when a machine's price is not known."""

    currency: str
    hourly: float | None
    total: float | None
    #: Whether a figure rests on a price that its source does not state: spot, or a region that was not verified.
    estimate: bool


def noted(provider: _Provider, seen: Iterable[dict[str, Any]], disk_gb: float, book: Book) -> _Provider:
    """The provider's document with the machines that a playbook saw; a price is kept as it was at first sight."""
    known: dict[str, dict[str, Any]] = dict(provider.get("machines") or {})
    document = dict(provider)
    for machine in seen:
        name, begun = machine.get("instance_id"), machine.get("launched_at")
        if not isinstance(name, str) or not isinstance(begun, (int, float)) or machine.get("state") not in _RAN:
            continue
        type_, region = str(machine.get("instance_type") or ""), _region(machine)
        document |= {"type": type_, "region": region, "address": machine.get("address") or None}
        if name in known:
            continue
        # The next attempt's machine begins when the one before it is proven dead.
        known = {each: _ended(one, float(begun)) for each, one in known.items()}
        spot, public = machine.get("market") == "spot", bool(machine.get("public_address"))
        price = _offer.offer(book, _offer.Wish(region, (type_,), spot, disk_gb, public))
        known[name] = {
            "type": type_,
            "region": region,
            "market": price.market,
            "hourly": price.hourly,
            "estimate": price.estimate,
            "begun": float(begun),
            "ended": None,
        }
    return document | {"machines": known} if known else document


def ended(provider: _Provider, at: float) -> _Provider:
    """The provider's document when everything is proven gone at `at`."""
    machines = provider.get("machines")
    return {**provider, "machines": {name: _ended(one, at) for name, one in machines.items()}} if machines else provider


def cost(provider: _Provider, now: float) -> Cost:
    """What it costs per hour, and has cost."""
    machines = running(provider)
    rate, spent = _count.rate(machines), _count.spent(machines, now)
    return Cost(
        currency="USD",
        hourly=round(rate.amount, 6) if rate.known else None,
        total=round(spent.amount, 6) if spent.known else None,
        estimate=spent.estimate or rate.estimate,
    )


def offer_of(provider: _Provider, now: float) -> _offer.Offer:
    """What its machines cost from now on; before one was seen, what it was offered."""
    if not provider.get("machines"):
        offered = provider.get("offer") or {}
        return _offer.Offer(offered.get("hourly", 0.0), offered.get("ceiling", 0.0), estimate=True)
    found = cost(provider, now)
    return _offer.Offer(found.hourly, found.hourly, found.estimate, "the price of its machine is not known")


def running(provider: _Provider) -> list[_count.Running]:
    """The machines' times and prices."""
    return [
        _count.Running(one["begun"], one["ended"], one["hourly"], bool(one["estimate"]))
        for one in (provider.get("machines") or {}).values()
    ]


def _ended(machine: dict[str, Any], at: float) -> dict[str, Any]:
    return machine if machine["ended"] is not None else {**machine, "ended": max(at, machine["begun"])}


def _region(machine: dict[str, Any]) -> str:
    given = str(machine.get("region") or machine.get("zone") or "")
    found = _REGION.match(given)
    return found[0] if found else given
