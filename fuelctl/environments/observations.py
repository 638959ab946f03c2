# SPDX-License-Identifier: GPL-3.0-or-later
"""A row as the decision sees it, and the record that is kept of a decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from fuelctl.environments import idleness
from fuelctl.environments.clock import Now, rfc3339
from fuelctl.environments.core import Core
from fuelctl.environments.decision import RESCUE_LEAD, RESCUE_SHARE, SLOWEST_RETRY, Action, Decision, Observations
from fuelctl.environments.lease import Lease
from fuelctl.environments.power import is_stopped
from fuelctl.environments.registry import lease_of
from fuelctl.environments.states import Status
from fuelctl.store import events
from fuelctl.store.due import Due
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.ulids import time_of

#: What ends an environment, gives it up, or stops it.
_ENDINGS = (Action.END, Action.ABANDON, Action.STOP)


def observe(
    row: EnvironmentRow | Due, check_at: float | None, now: Now, running: frozenset[str], *, slept: bool, period: float
) -> Observations:
    """The row as the decision sees it. `period`: seconds between two rounds of the observer."""
    lease = lease_of(row)
    due_in = (check_at or 0.0) - now.wall
    # As it is stored: to make a whole `Activity` of each costs more than to decide.
    known = row.activity or {}
    kept = known.get("kept")
    return Observations(
        status=row.status,
        operation=row.operation if row.operation_id else None,
        operation_running=row.operation_id in running,
        age=lease.age(now),
        seconds_left=lease.seconds_left(now),
        source_complete=bool((row.source or {}).get("complete")),
        held=row.status == Status.ERROR and row.ended_at is None,
        retries=row.retries,
        # After the wall clock was set back, the moment to retry may seem far away.
        retry_due_in=due_in if due_in <= SLOWEST_RETRY else 0.0,
        slept=slept,
        idle_limit=row.idle_seconds,
        quiet=known.get("quiet", 0.0),
        observed_ago=idleness.since(known.get("observed"), now),
        fresh_for=idleness.fresh_for(period),
        kept_for=idleness.since(kept["at"], now) if kept else None,
        idle_stops=row.idle_stops,
        stopped=is_stopped(row.conditions),
        lead=min(RESCUE_LEAD, lease.ttl_seconds * RESCUE_SHARE) if row.rescue else 0.0,
        operation_age=_operation_age(row, lease, now),
    )


def _operation_age(row: EnvironmentRow | Due, lease: Lease, now: Now) -> float:
    """Seconds since the operation's id was made, by what has really passed: a wall clock set forward adds nothing."""
    if not row.operation_id:
        return 0.0
    jumped = max(0.0, (now.wall - row.created_at) - lease.age(now))
    return max(0.0, now.wall - time_of(row.operation_id) - jumped)


def record(row: Due, decision: Decision, now: Now) -> dict[str, Any]:
    """What is kept of it (`CheckRow`): when it is due again, the decision with its inputs, what had been seen then."""
    known = row.activity or {}
    seen = {"last": known.get("last", {}), "observed": known.get("observed"), "kept": known.get("kept")}
    new = {**decision.as_dict(), "at": rfc3339(now.wall), "seen": seen}
    kept = {"check_at": now.wall + decision.check_in, "decision": new, "reason": decision.reason}
    return {**kept, "ending": new} if decision.action in _ENDINGS else kept


def tell(core: Core, session: Session, decided: Sequence[tuple[Due, Decision]]) -> None:
    """Log the decisions that differ from the last ones."""
    news = [(row.id, decision) for row, decision in decided if _is_news(row, decision)]
    told = [(one_id, core.event("remote.decision", decision.as_dict())) for one_id, decision in news]
    events.append_each(session, told)


def _is_news(row: Due, decision: Decision) -> bool:
    """That nothing is to be done is worth a line only after something was."""
    # Each reason is of one action.
    if row.reason == decision.reason:
        return False
    ordinary = ("within its lease", "under way", "waiting for its source", None)
    return decision.reason not in ordinary or row.reason not in ordinary
