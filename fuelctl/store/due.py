# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reaper reads and writes of many environments at a time: the columns that a decision is made from, no more.

A row of the table is forty columns and a dozen documents; taking it apart costs more than deciding about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from fuelctl.store import bulk
from fuelctl.store.models import EnvironmentRow

_TABLE = EnvironmentRow.metadata.tables[EnvironmentRow.__tablename__]


class Due(NamedTuple):
    """One environment that is to be decided about; columns as in `EnvironmentRow`."""

    id: str
    status: str
    operation: str | None
    operation_id: str | None
    retries: int
    check_at: float | None
    source: dict[str, Any] | None
    ttl_seconds: int
    idle_seconds: int | None
    rescue: bool
    expires_at: float
    lease_boot_id: str
    lease_boottime: float
    created_at: float
    ended_at: float | None
    activity: dict[str, Any] | None
    #: Of the last decision, and the whole of the last one that was to end it.
    last_action: str | None
    last_reason: str | None
    ending: dict[str, Any] | None


_LAST = EnvironmentRow.decision
_COLUMNS = (
    *(_TABLE.c[name] for name in Due._fields[: Due._fields.index("last_action")]),
    _LAST["action"].as_string(),
    _LAST["reason"].as_string(),
    _LAST["ending"],
)


def due(session: Session, at: float | None, *, after: str = "", limit: int = 500) -> list[Due]:
    """Live environments whose `check_at` has come, the longest due first; with `at` None all live ones beyond `after`.

    They are locked until the transaction ends, and without those that somebody else has locked.
    """
    query = select(*_COLUMNS).where(_TABLE.c.ended_at.is_(None)).limit(limit)
    if at is not None:
        query = query.where(_TABLE.c.check_at <= at).order_by(_TABLE.c.check_at)
    else:
        query = query.where(_TABLE.c.id > after).order_by(_TABLE.c.id)
    return [Due(*row) for row in session.connection().execute(query.with_for_update(skip_locked=True))]


def remember(session: Session, decided: Sequence[tuple[str, float, dict[str, Any]]]) -> None:
    """Set `check_at` and `decision` of rows that are locked: (id, epoch seconds, record) each."""
    rows = [{"id": one_id, "check_at": at, "decision": record} for one_id, at, record in decided]
    bulk.update_rows(session, _TABLE, rows)
