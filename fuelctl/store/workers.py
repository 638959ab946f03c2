# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers of a team: who they are, who lives, and the locks that say so. On Postgres only.

A worker lives as long as its session holds the advisory lock of its row's number, and its row was written lately. The
lock falls at once when the process dies. The time tells of those whose session outlives them: a network that was cut, a
process that is stopped.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Float,
    delete,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from fuelctl.store.database import now_of
from fuelctl.store.models import WorkerRow

#: A worker that could not write for so long stops working.
LOST_AFTER = 6.0
#: Its playbooks end by themselves when they have not heard of it for so long.
PULSE = 9.0
#: After so long its session is ended, and its work taken up by others. In this order nobody works beside another.
DEAD_AFTER = 12.0

_LOCKS = 0x66_75_65_6D  # any number that nobody else on a team's Postgres uses
_NOW: ColumnElement[float] = literal_column("extract(epoch FROM clock_timestamp())", Float)


def alive(session: Session, workflows: int = 0) -> list[WorkerRow]:
    """Workers that take work and were heard of lately, of those that know this version of workflows; oldest first."""
    if session.get_bind().dialect.name != "postgresql":
        return []
    since = now_of(session) - DEAD_AFTER
    query = select(WorkerRow).where(WorkerRow.last_seen > since, WorkerRow.workflows >= workflows, ~WorkerRow.draining)
    return list(session.scalars(query.order_by(WorkerRow.number)))


def enter(connection: Connection, facts: dict[str, str | int]) -> int:
    """A row for a new worker, its lock held by this session; its number.

    `facts`: `id`, `host`, `pid`, `version`, `workflows`, `concurrency`.
    """
    with connection.begin():
        values = {**facts, "draining": False, "since": _NOW, "last_seen": _NOW}
        number = connection.execute(insert(WorkerRow).values(values).returning(WorkerRow.number)).scalar_one()
        # Before anybody else sees the row. Of the session, not of the transaction.
        connection.execute(text("SELECT pg_advisory_lock(:space, :number)"), {"space": _LOCKS, "number": number})
    return int(number)


def beat(connection: Connection, number: int) -> bool:
    """Say that this worker lives; False when others have taken it for dead."""
    statement = update(WorkerRow).where(WorkerRow.number == number).values(last_seen=_NOW)
    return _done(connection, statement.returning(WorkerRow.number))


def drain(connection: Connection, number: int) -> None:
    """It takes nothing more; what it has it finishes."""
    _done(
        connection,
        update(WorkerRow).where(WorkerRow.number == number).values(draining=True).returning(WorkerRow.number),
    )


def leave(connection: Connection, number: int) -> None:
    """It has ended; what it left is anybody's."""
    _done(connection, delete(WorkerRow).where(WorkerRow.number == number).returning(WorkerRow.number))


def bury_the_dead(connection: Connection, mine: int) -> list[str]:
    """Forget every other worker whose lock can be had, or that has not written for long; their ids."""
    with connection.begin():
        others = connection.execute(
            select(WorkerRow.number, WorkerRow.id, WorkerRow.last_seen < _NOW - DEAD_AFTER)
            .where(WorkerRow.number != mine)
            .order_by(WorkerRow.number)
        ).all()
    return [one_id for number, one_id, silent in others if _bury(connection, number, silent=silent)]


def living(connection: Connection) -> Sequence[str]:
    """The ids of all workers that nobody has taken for dead."""
    with connection.begin():
        return connection.scalars(select(WorkerRow.id)).all()


def _bury(connection: Connection, number: int, *, silent: bool) -> bool:
    with connection.begin():
        if silent:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 "
                    "AND classid = :space AND objid = :number AND pid <> pg_backend_pid() "
                    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                ),
                {"space": _LOCKS, "number": number},
            )
        # For this transaction only: of several that look, one forgets it.
        free = text("SELECT pg_try_advisory_xact_lock(:space, :number)")
        if not connection.execute(free, {"space": _LOCKS, "number": number}).scalar_one():
            return False
        gone = delete(WorkerRow).where(WorkerRow.number == number).returning(WorkerRow.number)
        return connection.execute(gone).scalar_one_or_none() is not None


def _done(connection: Connection, statement: Executable) -> bool:
    with connection.begin():
        return connection.execute(statement).scalar_one_or_none() is not None
