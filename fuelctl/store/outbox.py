# SPDX-License-Identifier: GPL-3.0-or-later
"""The outbox of webhooks: what is to be sent is written before it is sent, and removed when it has arrived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from fuelctl.store import events
from fuelctl.store.models import EventRow, OutboxRow, SettingRow
from fuelctl.store.ulids import new_ulid

_CURSOR = "webhooks"


def cursor(session: Session, *, lock: bool = False) -> int | None:
    """Up to where the log of events has been taken in; None before the first time."""
    row = session.get(SettingRow, _CURSOR, with_for_update=lock or None, populate_existing=True)
    return None if row is None else int(row.value["seq"])


def move_cursor(session: Session, seq: int) -> None:
    """Events up to `seq` have been taken in."""
    session.merge(SettingRow(name=_CURSOR, value={"seq": seq}))


def news(session: Session, after: int, types: Iterable[str], limit: int) -> tuple[list[EventRow], int]:
    """Events of these types beyond `after`, in order, and up to where the log was read."""
    last = events.last_cursor(session)
    if last <= after:
        return [], after
    query = select(EventRow).where(EventRow.seq > after, EventRow.seq <= last, EventRow.type.in_(list(types)))
    rows = list(session.scalars(query.order_by(EventRow.seq).limit(limit)))
    return rows, last if len(rows) < limit else rows[-1].seq


def put(session: Session, receiver: str, type_: str, body: str, now: float, *, most: int) -> int:
    """Something is to be sent; how many of the oldest went because there are more than `most`."""
    session.add(
        OutboxRow(id=new_ulid(now), receiver=receiver, type=type_, body=body, created_at=now, attempts=0, next_at=now)
    )
    session.flush()
    waiting = select(OutboxRow.id).where(OutboxRow.receiver == receiver)
    count = session.scalar(select(func.count()).select_from(waiting.subquery())) or 0
    if count <= most:
        return 0
    oldest = waiting.order_by(OutboxRow.seq).limit(count - most)
    return len(session.execute(delete(OutboxRow).where(OutboxRow.id.in_(oldest)).returning(OutboxRow.id)).all())


def due(session: Session, receiver: str, now: float, *, within: float) -> OutboxRow | None:
    """The one that waits longest of those whose time has come.

    None waits longer than `within` seconds: one that seems to was written before the clock was set back.
    """
    time_has_come = or_(OutboxRow.next_at <= now, OutboxRow.next_at > now + within)
    query = select(OutboxRow).where(OutboxRow.receiver == receiver, time_has_come)
    return session.scalars(query.order_by(OutboxRow.next_at, OutboxRow.seq).limit(1)).first()


def claim(session: Session, one: OutboxRow, next_at: float) -> bool:
    """Before it is sent: whoever dies meanwhile leaves it due at `next_at`. False when another process has it."""
    taken = session.execute(
        update(OutboxRow)
        .where(OutboxRow.id == one.id, OutboxRow.attempts == one.attempts)
        .values(attempts=one.attempts + 1, next_at=next_at)
        .returning(OutboxRow.id),
        # The row at hand stays what was read.
        execution_options={"synchronize_session": False},
    )
    return taken.scalar_one_or_none() is not None


def failed(session: Session, one_id: str, problem: str) -> None:
    """Why it did not arrive."""
    session.execute(update(OutboxRow).where(OutboxRow.id == one_id).values(problem=problem))


def remove(session: Session, one_id: str) -> None:
    """It has arrived, or is given up."""
    session.execute(delete(OutboxRow).where(OutboxRow.id == one_id))


def keep_only(session: Session, receivers: Sequence[str]) -> int:
    """Forget what was for receivers that are not there any more."""
    others = delete(OutboxRow).where(OutboxRow.receiver.not_in(list(receivers)))
    if not receivers:
        session.execute(delete(SettingRow).where(SettingRow.name == _CURSOR))
    return len(session.execute(others.returning(OutboxRow.id)).all())


def waiting(session: Session) -> dict[str, dict[str, Any]]:
    """Receiver -> how many wait, since when, and why the one that was tried last did not arrive."""
    query = select(OutboxRow.receiver, func.count(), func.min(OutboxRow.created_at), func.max(OutboxRow.problem))
    rows = session.execute(query.group_by(OutboxRow.receiver))
    return {name: {"waiting": count, "since": since, "problem": problem} for name, count, since, problem in rows}
