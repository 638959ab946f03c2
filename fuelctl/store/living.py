# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read and written of environments because they live: the columns that say what goes on in them, no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from fuelctl.store import bulk, checks
from fuelctl.store.models import EnvironmentRow

_TABLE = EnvironmentRow.metadata.tables[EnvironmentRow.__tablename__]
#: Values in one query: SQLite takes 999.
_AT_ONCE = 500


class Living(NamedTuple):
    """One environment that has not ended; columns as in `EnvironmentRow`."""

    id: str
    version: int
    status: str
    operation_id: str | None
    ended_at: float | None
    last_event_at: float | None
    idle_seconds: int | None
    activity: dict[str, Any] | None
    conditions: list[dict[str, Any]]


_COLUMNS = tuple(_TABLE.c[name] for name in Living._fields)


def living(session: Session, ids: Iterable[str]) -> dict[str, Living]:
    """Those of these ids that have not ended."""
    found: dict[str, Living] = {}
    for some in _parts(ids):
        query = select(*_COLUMNS).where(_TABLE.c.id.in_(some), _TABLE.c.ended_at.is_(None))
        found |= {row.id: Living(*row) for row in session.connection().execute(query)}
    return found


class Mark(NamedTuple):
    """What tells whether a row has been changed since it was read, and when its environment was last heard of."""

    version: int
    last_event_at: float | None


def marks(session: Session, ids: Iterable[str]) -> dict[str, Mark]:
    """Of those of these ids that have not ended."""
    found: dict[str, Mark] = {}
    columns = (_TABLE.c.id, _TABLE.c.version, _TABLE.c.last_event_at)
    for some in _parts(ids):
        query = select(*columns).where(_TABLE.c.id.in_(some), _TABLE.c.ended_at.is_(None))
        found |= {row.id: Mark(row.version, row.last_event_at) for row in session.connection().execute(query)}
    return found


def write(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Set the columns that each names, those of `checks` as well, by its `id`."""
    both = [(row["id"], *checks.apart(row)) for row in rows]
    bulk.update_rows(session, _TABLE, [here for _id, here, _check in both])
    checks.put_each(session, [{"environment_id": one_id, **check} for one_id, _here, check in both if check])


def _parts(ids: Iterable[str]) -> Iterator[list[str]]:
    wanted = sorted(set(ids))
    for begin in range(0, len(wanted), _AT_ONCE):
        yield wanted[begin : begin + _AT_ONCE]
