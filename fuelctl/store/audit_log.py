# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log: who changed what, and who was refused. Appended to and read; the database refuses anything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from fuelctl.store import events
from fuelctl.store.models import AuditRow

_LONGEST = {"actor": 200, "address": 64, "user_agent": 200, "object": 200}
DONE = "done"
REFUSED = "refused"


@dataclass(frozen=True)
class Actor:
    """On whose behalf something is done. Without an address: by the control plane itself, or over its own socket."""

    name: str = "system"
    token_id: str | None = None
    address: str = ""
    user_agent: str = ""


@dataclass(frozen=True)
class Entry:
    """What is written: `before` and `after` hold what changed, and never a secret."""

    actor: Actor
    action: str
    object: str
    outcome: str = DONE
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


@dataclass(frozen=True)
class Filter:
    """Which rows are wanted; None is all."""

    actor: str | None = None
    action: str | None = None
    object: str | None = None
    outcome: str | None = None


def append(session: Session, entry: Entry, now: float) -> None:
    """Write one row, in the transaction of the change that it tells of: after it, as with events.

    All take the row first and the logs' lock then; the other way round, two could wait for each other.
    """
    events.in_order(session)
    session.add(
        AuditRow(
            at=now,
            actor=_short("actor", entry.actor.name),
            token_id=entry.actor.token_id,
            address=_short("address", entry.actor.address),
            user_agent=_short("user_agent", entry.actor.user_agent),
            action=entry.action,
            object=_short("object", entry.object),
            outcome=entry.outcome,
            before=entry.before,
            after=entry.after,
        )
    )
    session.flush()


def page(
    session: Session, wanted: Filter, *, before: int | None = None, after: int | None = None, limit: int = 100
) -> list[AuditRow]:
    """At most `limit` rows: the newest first, older than `before`; or, from `after` on, the oldest first."""
    query = select(AuditRow).limit(limit)
    query = query.order_by(AuditRow.seq.desc() if after is None else AuditRow.seq)
    if before is not None:
        query = query.where(AuditRow.seq < before)
    if after is not None:
        query = query.where(AuditRow.seq > after)
    for column, value in (
        (AuditRow.actor, wanted.actor),
        (AuditRow.action, wanted.action),
        (AuditRow.object, wanted.object),
        (AuditRow.outcome, wanted.outcome),
    ):
        if value is not None:
            query = query.where(column == value)
    return list(session.scalars(query))


def _short(column: str, text: str) -> str:
    """What came from outside: one line, no longer than its column, and nothing that Postgres cannot store."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable[: _LONGEST[column]]
