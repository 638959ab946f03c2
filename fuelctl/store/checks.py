# SPDX-License-Identifier: GPL-3.0-or-later
"""When each environment is to be looked at, and what was decided about it last: what every round of the reaper writes.

Apart from the rest of it: one of `environments` is kilobytes that a dozen indexes point at, and Postgres writes all of
that anew when an indexed column changes. Written together with it, by `environments.add` and `change` and by
`living.write`, to which these are columns like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Table, insert, literal, select, update
from sqlalchemy.orm import Session

from fuelctl.store import bulk
from fuelctl.store.models import CheckRow, EnvironmentRow

_ENVIRONMENTS: Table = EnvironmentRow.metadata.tables[EnvironmentRow.__tablename__]
TABLE = CheckRow.metadata.tables[CheckRow.__tablename__]
_KEY = "environment_id"
COLUMNS = frozenset(TABLE.c.keys()) - {_KEY}


class Check(NamedTuple):
    """Columns as in `CheckRow`."""

    check_at: float | None
    decision: dict[str, Any] | None
    ending: dict[str, Any] | None


_READ = tuple(TABLE.c[name] for name in Check._fields)


def apart(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of these values is written in `environments`, and what here."""
    here = {name: values[name] for name in values.keys() & COLUMNS}
    return {name: value for name, value in values.items() if name not in here}, here


def add(session: Session, environment_id: str, check_at: float) -> None:
    """Of a new environment."""
    session.execute(insert(TABLE).values(environment_id=environment_id, check_at=check_at))


def mend(session: Session, at: float) -> None:
    """Have all that live looked at, by `at` at the latest those of which it is not said: nobody would end them."""
    known = select(TABLE.c[_KEY])
    lost = select(_ENVIRONMENTS.c.id, literal(at)).where(
        _ENVIRONMENTS.c.ended_at.is_(None), _ENVIRONMENTS.c.id.not_in(known)
    )
    session.execute(insert(TABLE).from_select([_KEY, "check_at"], lost))
    live = select(_ENVIRONMENTS.c.id).where(_ENVIRONMENTS.c.ended_at.is_(None))
    never = TABLE.c.check_at.is_(None) & TABLE.c[_KEY].in_(live)
    session.execute(update(TABLE).where(never).values(check_at=at))


def get(session: Session, environment_id: str) -> Check:
    """Of an environment; one of which nothing is known was never looked at."""
    found = session.execute(select(*_READ).where(TABLE.c[_KEY] == environment_id)).one_or_none()
    return Check(*found) if found is not None else Check(None, None, None)


def times(session: Session) -> dict[str, float]:
    """When each that lives is to be looked at, by id."""
    query = select(TABLE.c[_KEY], TABLE.c.check_at).where(TABLE.c.check_at.is_not(None))
    return {row.environment_id: row.check_at for row in session.execute(query)}


def put(session: Session, environment_id: str, values: Mapping[str, Any]) -> None:
    """Set these columns of one, whose row in `environments` is held by the same transaction."""
    if values:
        session.execute(update(TABLE).where(TABLE.c[_KEY] == environment_id).values(**values))


def put_each(session: Session, rows: Sequence[bulk.Row]) -> None:
    """The same of many, by `environment_id`."""
    bulk.update_rows(session, TABLE, rows, key=_KEY)
