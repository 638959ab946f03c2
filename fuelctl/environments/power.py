# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop an environment's machine, with what is on its volume kept, and start it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any

from fuelctl.environments import budget, cost, idle_work
from fuelctl.environments.access import check_enterable, one_at_a_time
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core, MachineError
from fuelctl.environments.idle_work import UNREACHABLE, UNSAVED
from fuelctl.store import environments, events
from fuelctl.store.models import EnvironmentRow

STARTED, STOPPED, SUSPENDED = "started", "stopped", "suspended"
#: `power(row, state)`: its machine is in that state. ConflictError where its provider stops none, MachineError when it
#: could not be told.
Power = Callable[[EnvironmentRow, str], None]


#: Of the row's `provider`: when its machine was last stopped or started, by the control plane's clock.
_SINCE = "powered_at"


def changed_since(row: EnvironmentRow, at: float) -> bool:
    """Whether its machine was stopped or started since then: what a look that began before saw is not so any more."""
    return float(row.provider.get(_SINCE) or 0.0) >= at


def nobody_can(row: EnvironmentRow, _state: str) -> None:
    """Of a server that plays no playbook and has nobody who does."""
    raise MachineError(
        f"nobody is there to stop or start {row.name}", hint="start one: fuelctl worker run", code="no_worker"
    )


def is_stopped(conditions: Iterable[Mapping[str, Any]]) -> bool:
    """Whether it does not run, of its conditions."""
    return any(each["type"] == STOPPED for each in conditions)


def set_power(
    core: Core,
    row: EnvironmentRow,
    state: str,
    power: Power,
    *,
    by: str = "user",
    if_activity: dict[str, Any] | None = None,
    month_limit: float = inf,
) -> EnvironmentRow:
    """Have its machine `started` or `stopped`; twice is harmless. ConflictError where nobody can enter it anyway.

    BudgetError when its owner would come over `month_limit` (USD) by what a started one costs until its lease is over.

    The lease goes on meanwhile: what is stopped costs, and ends at its time.

    `by` says who wants it (`user`, `idle`). With `if_activity` nothing is done when the row's activity is another one
    by now.
    """
    check_enterable(row)
    with one_at_a_time(row.id):
        with core.database.read() as session:
            current = session.get_one(EnvironmentRow, row.id)
        check_enterable(current)
        if if_activity is not None and current.activity != if_activity:
            return current
        if state == STARTED:
            _check_month(core, current, month_limit)
        power(current, state)
        with core.write() as session:
            current = session.get_one(EnvironmentRow, row.id, with_for_update=True)
            if current.ended_at is not None:
                check_enterable(current)
            # Whether it answers is asked anew. Whoever starts it is at work with it.
            over = (STOPPED, UNREACHABLE, *([UNSAVED] if state == STARTED else []))
            kept = [each for each in current.conditions if each["type"] not in over]
            if state == STOPPED:
                kept.append(condition(core, current, (current.provider.get("options") or {}).get("stop_as"), by))
            now = core.clock()
            provider = {**cost.powered(current.provider, now.wall, awake=state == STARTED), _SINCE: now.wall}
            values: dict[str, Any] = {"conditions": kept, "provider": provider, "check_at": now.wall}
            if state == STARTED:
                values = {**idle_work.values(current, "person", now), **values}
            environments.change(session, row.id, **values)
            core.audit(session, "environment.power", row.id, after={"state": state, "by": by})
            events.append(session, row.id, [core.event("remote.update", {"power": state, "by": by})])
    with core.database.read() as session:
        return session.get_one(EnvironmentRow, row.id)


def _check_month(core: Core, row: EnvironmentRow, limit: float) -> None:
    """What it costs while it is stopped is in the month's figures already."""
    now = core.clock().wall
    with core.database.read() as session:
        budget.check(session, row.owner, cost.waking(row.provider), limit, now=now, lease=(now, row.expires_at))


def condition(core: Core, row: EnvironmentRow, state: Any, by: str | None = None) -> dict[str, Any]:
    """What is said of one that does not run, as its condition. `by`: who stopped it, where that is known."""
    found = state if state in (STOPPED, SUSPENDED) else STOPPED
    details = {"state": found, **({"by": by} if by else {})}
    why = "nothing happened in it: " if by == "idle" else ""
    since = rfc3339(core.clock().wall)
    return {"type": STOPPED, "message": f"{why}{asleep(row, found)}", "since": since, "details": details}


def asleep(row: EnvironmentRow, state: str) -> str:
    """What is said of an environment that does not run, and what to do."""
    if (row.connection or {}).get("container"):
        return "its container does not run: `docker start` wakes it, `down` ends it"
    return f"its machine is {state}, and its volume costs on: `fuelctl start {row.name}` wakes it, `down` ends it"
