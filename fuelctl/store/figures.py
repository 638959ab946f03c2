# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of what is in the database, for monitoring; what has ended is not counted, for it is not looked at."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fuelctl.store import log_pages
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.ulids import time_of
from fuelctl.store.workers import alive


@dataclass(frozen=True)
class Figures:
    """Counts of environments that have not ended by status, of operations by kind, and so on.

    `oldest_operation`: when it was asked for, epoch seconds. `workers`: None where there are none to be.
    """

    statuses: dict[str, int]
    operations: dict[str, int]
    oldest_operation: float | None
    retried: int
    events: int
    workers: int | None


def read(session: Session) -> Figures:
    """The figures of this moment."""
    live = EnvironmentRow.ended_at.is_(None)
    by_status = select(EnvironmentRow.status, func.count()).where(live).group_by(EnvironmentRow.status)
    at_work = live & EnvironmentRow.operation_id.is_not(None)
    by_operation = select(EnvironmentRow.operation, func.count(), func.min(EnvironmentRow.operation_id))
    operations = session.execute(by_operation.where(at_work).group_by(EnvironmentRow.operation)).all()
    # An operation's id begins with the moment at which it was made.
    oldest = min((one_id for _operation, _count, one_id in operations if one_id), default=None)
    retried = select(func.count()).where(live, EnvironmentRow.retries > 0)
    return Figures(
        statuses=dict(session.execute(by_status).all()),
        operations={str(operation): count for operation, count, _oldest in operations},
        oldest_operation=time_of(oldest) if oldest else None,
        retried=session.scalar(retried) or 0,
        events=log_pages.last(session),
        workers=workers(session),
    )


def workers(session: Session) -> int | None:
    """Workers that take work; None on a database whose server is its own."""
    if session.get_bind().dialect.name != "postgresql":
        return None
    return len(alive(session))
