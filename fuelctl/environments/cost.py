# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment costs: from the machines that its provider showed running, kept with the row. Pure.

`provider["machines"]`: id -> `{type, region, market, hourly, estimate, begun, ended}`. A machine that nobody saw
running is not in it, and costs nothing. One that can be stopped has `{awake, asleep}` besides, what it costs per hour
in either; each of its times is an entry of its own, `id`, `id/1`, `id/2`. One with a volume has `{disk_gb, gb_hour}`,
its size and what a GB of it costs per hour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fuelctl._shared._prices import _count, _fly, _offer
from fuelctl._shared._prices._book import Book

_Provider = dict[str, Any]
#: `eu-central-1` of zone `eu-central-1a`, and of local zone `us-west-2-lax-1a` the region that it belongs to.
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d+")
#: A volume of which nobody said how large it is to be.
_USUAL_DISK_GB = _fly.Machine("").disk_gb
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
        if isinstance((machine.get("config") or {}).get("guest"), dict):
            known = _with_fly(known, machine, disk_gb, (provider.get("options") or {}).get("address", "v4") == "v4")
            continue
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


def _with_fly(
    known: dict[str, dict[str, Any]], machine: dict[str, Any], disk_gb: float, dedicated_ipv4: bool
) -> dict[str, dict[str, Any]]:
    """Also a machine as the Machines API shows it; a price is kept as it was at first sight."""
    guest, region = machine["config"]["guest"], str(machine.get("region") or "")
    name, begun = machine.get("id"), parsed(machine.get("created_at"))
    if not isinstance(name, str) or begun is None or name in known:
        return known
    cpus, memory = guest.get("cpus"), guest.get("memory_mb")
    if not isinstance(cpus, int) or not isinstance(memory, int):
        return known
    # A volume that was extended stays so, whatever the machine is made anew with.
    size = max(disk_gb or _USUAL_DISK_GB, *(float(one.get("disk_gb") or 0) for one in known.values()), 0.0)
    shown = _fly.Machine(region, str(guest.get("cpu_kind")), cpus, memory / 1024, size, dedicated_ipv4)
    price = _fly.offer(shown)
    now = {
        "type": shown.type,
        "region": region,
        "market": "on-demand",
        "hourly": price.hourly,
        "estimate": False,
        "begun": begun,
        "ended": None,
        "awake": price.hourly,
        "asleep": _fly.kept(shown),
        "disk_gb": size,
        "gb_hour": _fly.gb_hour(),
    }
    return {**{each: _ended(one, begun) for each, one in known.items()}, name: now}


def powered(provider: _Provider, at: float, *, awake: bool) -> _Provider:
    """The provider's document when its machine runs, or does not, from `at` on; the same one when it did before."""
    machines: dict[str, dict[str, Any]] = dict(provider.get("machines") or {})
    for name, one in list(machines.items()):
        price = one.get("awake" if awake else "asleep")
        if one["ended"] is None and "asleep" in one and one["hourly"] != price:
            _go_on(machines, name, at, {"hourly": price})
    return {**provider, "machines": machines} if machines != (provider.get("machines") or {}) else provider


def _go_on(machines: dict[str, dict[str, Any]], name: str, at: float, other: dict[str, Any]) -> None:
    """Have a machine's time end at `at`, and another begin with what is different in it."""
    one = machines[name]
    machines[name] = _ended(one, at)
    machine = name.partition("/")[0]
    times = sum(each.partition("/")[0] == machine for each in machines)
    machines[f"{machine}/{times}"] = {**one, **other, "begun": at}


def disk_gb(provider: _Provider) -> float | None:
    """The size of its volume, as it was last seen; None where it has none that is known."""
    machines = [one for one in (provider.get("machines") or {}).values() if "disk_gb" in one]
    return float(max(machines, key=lambda one: float(one["begun"]))["disk_gb"]) if machines else None


def growing(provider: _Provider, size_gb: float) -> _offer.Offer:
    """What it costs per hour more with a volume of this size."""
    more = sum(max(0.0, _dearer(one, size_gb)) for one in _with_volume(provider).values())
    return _offer.Offer(more, more, estimate=False)


def grown(provider: _Provider, at: float, size_gb: float) -> _Provider:
    """The provider's document when its volume has this size from `at` on; the same one when it had before."""
    machines: dict[str, dict[str, Any]] = dict(provider.get("machines") or {})
    for name, one in _with_volume(provider).items():
        more = _dearer(one, size_gb)
        if one["disk_gb"] != size_gb:
            prices = {key: None if one[key] is None else one[key] + more for key in ("hourly", "awake", "asleep")}
            _go_on(machines, name, at, {**prices, "disk_gb": size_gb})
    return {**provider, "machines": machines} if machines != (provider.get("machines") or {}) else provider


def _with_volume(provider: _Provider) -> dict[str, dict[str, Any]]:
    machines: dict[str, dict[str, Any]] = provider.get("machines") or {}
    return {name: one for name, one in machines.items() if one["ended"] is None and "gb_hour" in one}


def _dearer(one: dict[str, Any], size_gb: float) -> float:
    return (size_gb - float(one["disk_gb"])) * float(one["gb_hour"])


def waking(provider: _Provider) -> _offer.Offer:
    """What it costs per hour more as soon as its machine is started; free where it runs."""
    more = 0.0
    for one in (provider.get("machines") or {}).values():
        if one["ended"] is None and one.get("awake") is not None:
            more += max(0.0, float(one["awake"]) - float(one["hourly"] or 0.0))
    return _offer.Offer(more, more, estimate=False)


def parsed(text: Any) -> float | None:
    """Epoch seconds of an RFC 3339 time; None for none."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo else None


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
