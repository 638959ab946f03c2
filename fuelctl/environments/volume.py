# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk that outlives an environment's machine: show it, extend it, make a snapshot of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.environments import budget, cost
from fuelctl.environments.access import check_enterable, one_at_a_time
from fuelctl.environments.core import Core, MachineError
from fuelctl.environments.registry import ConflictError
from fuelctl.store import environments, events
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.ulids import new_ulid

SHOWN, EXTENDED, SNAPSHOTTED = "shown", "extended", "snapshotted"
#: `ask(row, wanted, arguments)`: what its provider shows of the volume (`disk`), once it is as wanted. `extended` takes
#: `{size_gb}`, `snapshotted` `{known}`. ConflictError where its provider has none, MachineError when it was not told.
AskVolume = Callable[[EnvironmentRow, str, dict[str, Any]], dict[str, Any]]

#: Of the row's `provider`: what was there when a snapshot was first asked for, and which one it became, by request.
_ASKED = "snapshots_asked"
_MOST_ASKED = 20
#: Codes of providers for what they take from nobody.
_NOT_TAKEN = frozenset({"bad_size"})


@dataclass(frozen=True)
class Snapshot:
    """`stored_bytes`: what is billed; `days`: for so long its provider keeps it, whatever becomes of the volume."""

    id: str
    created_at: str
    state: str
    stored_bytes: int
    days: int


@dataclass(frozen=True)
class VolumePrices:
    """Per GB and month: of the volume's size, and of what snapshots store beyond what is free to an account."""

    currency: str
    gb_month: float
    snapshot_gb_month: float
    snapshot_free_gb: float


@dataclass(frozen=True)
class Volume:
    """As its provider shows it. `snapshot`: the one that this request made, or had made before.

    `snapshot_days`: for how long new snapshots are kept. `needs_restart`: a larger one is seen after a stop and start.
    """

    id: str
    region: str
    size_gb: int
    snapshot_days: int
    snapshots: list[Snapshot] = field(default_factory=list)
    prices: VolumePrices | None = None
    needs_restart: bool = False
    snapshot: str | None = None


def nobody_asks(row: EnvironmentRow, _wanted: str, _arguments: dict[str, Any]) -> dict[str, Any]:
    """Of a server that plays no playbook and has nobody who does."""
    raise MachineError(
        f"nobody is there to ask about the volume of {row.name}",
        hint="start one: fuelctl worker run",
        code="no_worker",
    )


def show(core: Core, row: EnvironmentRow, ask: AskVolume) -> Volume:
    """The volume and its snapshots. What it costs is counted by the size that it has."""
    check_enterable(row)
    with one_at_a_time(row.id):
        current = _current(core, row)
        volume = _asked(ask, current, SHOWN)
        if cost.grown(current.provider, 0.0, volume.size_gb) is not current.provider:
            _count(core, row, volume)
    return volume


def extend(core: Core, row: EnvironmentRow, size_gb: int, ask: AskVolume, *, month_limit: float = inf) -> Volume:
    """Have it so large; nothing changes where it is. ConflictError for less than it has.

    BudgetError when its owner would come over `month_limit` (USD) by it until the lease is over.

    Whoever dies before it is written leaves a larger volume; a repeat, or a look at it, counts it.
    """
    check_enterable(row)
    with one_at_a_time(row.id):
        current = _current(core, row)
        check_enterable(current)
        now = core.clock().wall
        with core.database.read() as session:
            more = cost.growing(current.provider, size_gb)
            budget.check(session, row.owner, more, month_limit, now=now, lease=(now, current.expires_at))
        volume = _asked(ask, current, EXTENDED, size_gb=size_gb)
        _count(core, row, volume, audited=True)
    if volume.size_gb > size_gb:
        raise ConflictError(
            f"the volume of {row.name} has {volume.size_gb} GB, and a volume never becomes smaller",
            hint=f"ask for more than {volume.size_gb} GB; a smaller one begins anew: fuelctl up --disk",
            code="only_grows",
            where=row.name,
            details={"size_gb": volume.size_gb},
        )
    return volume


def snapshot(core: Core, row: EnvironmentRow, key: str | None, ask: AskVolume) -> Volume:
    """Have a snapshot of it; of requests with one `key`, all have the same.

    What was there is written down before one is asked for, so that whoever repeats it, after whatever death, finds it.
    """
    check_enterable(row)
    name = hashlib.sha256((key or new_ulid(core.clock().wall)).encode("utf-8")).hexdigest()[:32]
    with one_at_a_time(row.id):
        current = _current(core, row)
        check_enterable(current)
        asked = (current.provider.get(_ASKED) or {}).get(name)
        if asked is None or asked.get("made"):
            volume = _asked(ask, current, SHOWN)
            if asked is not None:
                return replace(volume, snapshot=asked["made"])
            asked = _note(core, row, name, {"known": [each.id for each in volume.snapshots]})
        volume = _asked(ask, current, SNAPSHOTTED, known=asked["known"])
        if volume.snapshot is None:
            raise MachineError(
                f"the snapshot of {row.name} was asked for, and its provider does not show it yet",
                hint=f"look in a minute: fuelctl volume show {row.name}",
                where=row.name,
                code="snapshot_pending",
            )
        _note(core, row, name, {**asked, "made": volume.snapshot})
    return volume


def _current(core: Core, row: EnvironmentRow) -> EnvironmentRow:
    with core.database.read() as session:
        return session.get_one(EnvironmentRow, row.id)


def _asked(ask: AskVolume, row: EnvironmentRow, wanted: str, **arguments: Any) -> Volume:
    try:
        told = ask(row, wanted, arguments)
    except FuelError as error:
        if error.code in _NOT_TAKEN:
            raise UsageError(error.message, hint=error.hint, where=error.where, code=error.code) from error
        raise
    prices = told.get("prices")
    return Volume(
        id=str(told["id"]),
        region=str(told.get("region") or ""),
        size_gb=int(told["size_gb"]),
        snapshot_days=int(told.get("snapshot_days") or 0),
        snapshots=[Snapshot(**each) for each in told.get("snapshots") or []],
        prices=VolumePrices(**prices) if prices else None,
        needs_restart=bool(told.get("needs_restart")),
        snapshot=told.get("snapshot") or None,
    )


def _count(core: Core, row: EnvironmentRow, volume: Volume, *, audited: bool = False) -> None:
    """Have it cost what its size does from now on."""
    with core.write() as session:
        current = session.get_one(EnvironmentRow, row.id, with_for_update=True)
        provider = cost.grown(current.provider, core.clock().wall, volume.size_gb)
        if provider is not current.provider and current.ended_at is None:
            environments.change(session, row.id, provider=provider)
            sizes = {"size_gb": cost.disk_gb(current.provider)}, {"size_gb": volume.size_gb}
            if audited:
                core.audit(session, "environment.volume", row.id, before=sizes[0], after=sizes[1])
            events.append(session, row.id, [core.event("remote.update", {"volume": sizes[1]})])


def _note(core: Core, row: EnvironmentRow, name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Write down what a request for a snapshot has come to; what another process wrote before holds."""
    with core.write() as session:
        current = session.get_one(EnvironmentRow, row.id, with_for_update=True)
        known: dict[str, dict[str, Any]] = dict(current.provider.get(_ASKED) or {})
        if name in known and (known[name].get("made") or not asked.get("made")):
            return known[name]
        others = {each: one for each, one in known.items() if each != name}
        for each in sorted(others, key=lambda each: float(others[each]["at"]))[: max(0, len(others) - _MOST_ASKED + 1)]:
            del others[each]
        written = {**asked, "at": core.clock().wall}
        environments.change(session, row.id, provider={**current.provider, _ASKED: {**others, name: written}})
        if asked.get("made"):
            core.audit(session, "environment.snapshot", row.id, after={"snapshot": asked["made"]})
            events.append(session, row.id, [core.event("remote.update", {"snapshot": asked["made"]})])
    return written
