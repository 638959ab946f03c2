# SPDX-License-Identifier: GPL-3.0-or-later
"""The event log: appended to, followed by cursor, idempotent by event id."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, func, select, text
from sqlalchemy.orm import Session

from fuelctl.store import bulk
from fuelctl.store.models import EnvironmentRow, EventRow
from fuelctl.store.notices import Channel
from fuelctl.store.ulids import new_ulid

_SEQUENCE_LOCK = 0x66_75_65_6D
_LOG = EventRow.metadata.tables[EventRow.__tablename__]


@dataclass(frozen=True)
class NewEvent:
    """An event to be appended; without an `id` it gets a fresh one."""

    type: str
    data: dict[str, Any]
    at: float
    id: str | None = None


def append(session: Session, environment_id: str, events: Sequence[NewEvent]) -> int:
    """Append what is not there yet; how many were new."""
    # Of two with one id in a batch it is the last that counts, in the place of the first.
    named = {event.id: event for event in events if event.id is not None}
    told = (*named.values(), *(event for event in events if event.id is None))
    return append_each(session, [(environment_id, event) for event in told])


def append_each(session: Session, events: Sequence[tuple[str, NewEvent]]) -> int:
    """The same of several environments (id, event)."""
    if not events:
        return 0
    in_order(session, append=True)
    rows = [
        {
            "id": event.id or new_ulid(event.at),
            "environment_id": environment_id,
            "at": event.at,
            "type": event.type,
            "data": event.data,
        }
        for environment_id, event in events
    ]
    # What the transaction has in mind of an environment comes before what is said of it.
    session.flush()
    return bulk.insert_new(session, _LOG, rows, ("environment_id", "id"))


def in_order(session: Session, *, append: bool = False) -> None:
    """From here to the end of the transaction nobody else takes a number of a log.

    Numbers must become visible in their order, or a reader that follows a cursor would pass over one. One lock for all
    logs: of two, transactions that write to both would take them in different orders.
    """
    if session.get_bind().dialect.name == "postgresql":
        # With the commit, whoever follows in another process is told: by the same statement, for it costs a round trip.
        told = f", pg_notify('{Channel.EVENTS}', '')" if append else ""
        session.execute(text(f"SELECT pg_advisory_xact_lock(:key){told}"), {"key": _SEQUENCE_LOCK})


def after(session: Session, cursor: int, *, environment_id: str | None = None, limit: int = 500) -> list[EventRow]:
    """Events beyond `cursor`, in order."""
    query = select(EventRow).where(EventRow.seq > cursor).order_by(EventRow.seq).limit(limit)
    if environment_id is not None:
        query = query.where(EventRow.environment_id == environment_id)
    return list(session.scalars(query))


def timeline(session: Session, environment_id: str, limit: int = 500) -> list[EventRow]:
    """The newest `limit` changes of stage and status, in order."""
    # Word for word as the index has it: SQLite takes a partial one for nothing else.
    told = text("type IN ('remote.stage', 'remote.update')")
    query = select(EventRow).where(EventRow.environment_id == environment_id, told)
    return list(session.scalars(query.order_by(EventRow.seq.desc()).limit(limit)))[::-1]


def logs_of_ended(session: Session, before: float) -> list[str]:
    """Ids of the environments that ended before `before` (epoch seconds) and whose log is still there."""
    logged = exists().where(EventRow.environment_id == EnvironmentRow.id)
    return list(session.scalars(select(EnvironmentRow.id).where(EnvironmentRow.ended_at < before, logged)))


def forget(session: Session, environment_id: str, limit: int = 5000) -> int:
    """Remove the oldest `limit` events of one environment; how many there were."""
    oldest = select(EventRow.seq).where(EventRow.environment_id == environment_id).order_by(EventRow.seq).limit(limit)
    removed = session.execute(delete(EventRow).where(EventRow.seq.in_(oldest)).returning(EventRow.seq))
    return len(removed.all())


def last_cursor(session: Session) -> int:
    """The highest `seq` there is."""
    return session.scalar(select(func.max(EventRow.seq))) or 0


class Bell:
    """Wakes the readers of this process when something was appended; `notices.Listener` rings it for another's."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rung = 0

    def ring(self) -> None:
        """Something was committed."""
        with self._condition:
            self._rung += 1
            self._condition.notify_all()

    def count(self) -> int:
        """How often it rang; taken before looking, so that nothing is missed between looking and waiting."""
        with self._condition:
            return self._rung

    def wait(self, since: int, timeout: float) -> None:
        """Until it rang more than `since` times, at most `timeout` seconds."""
        with self._condition:
            self._condition.wait_for(lambda: self._rung > since, timeout)
