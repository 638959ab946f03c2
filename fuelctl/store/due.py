# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reaper reads and writes of many environments at a time: the columns that a decision is made from, no more.

A row of the table is forty columns and a dozen documents; taking it apart costs more than deciding about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, Select, bindparam, cast, func, select, true
from sqlalchemy.orm import Session

from fuelctl.store import checks
from fuelctl.store.models import EnvironmentRow

_TABLE = EnvironmentRow.metadata.tables[EnvironmentRow.__tablename__]
_CHECKS = checks.TABLE


class Due(NamedTuple):
    """One environment that is to be decided about; columns as in `EnvironmentRow` and `CheckRow`."""

    id: str
    status: str
    operation: str | None
    operation_id: str | None
    retries: int
    source: dict[str, Any] | None
    ttl_seconds: int
    idle_seconds: int | None
    idle_stops: bool
    rescue: bool
    expires_at: float
    lease_boot_id: str
    lease_boottime: float
    created_at: float
    ended_at: float | None
    activity: dict[str, Any] | None
    conditions: list[dict[str, Any]]
    check_at: float | None
    #: Of the last decision.
    reason: str | None


_OF_IT = tuple(_TABLE.c[name] for name in Due._fields[: Due._fields.index("check_at")])
_OF_ITS_CHECK = (_CHECKS.c.check_at, _CHECKS.c.reason)
_LIVES = _TABLE.c.ended_at.is_(None)


@lru_cache(2)
def _wanted(*, everything: bool) -> Select[Any]:
    query = select(_CHECKS.c.environment_id, *_OF_ITS_CHECK).limit(bindparam("most"))
    if everything:
        query = query.where(_CHECKS.c.check_at.is_not(None), _CHECKS.c.environment_id > bindparam("after"))
        return query.order_by(_CHECKS.c.environment_id)
    return query.where(_CHECKS.c.check_at <= bindparam("at")).order_by(_CHECKS.c.check_at)


@lru_cache(2)
def _whole(*, everything: bool) -> Select[Any]:
    query = _wanted(everything=everything).with_only_columns(*_OF_IT, *_OF_ITS_CHECK)
    return query.join_from(_CHECKS, _TABLE, (_TABLE.c.id == _CHECKS.c.environment_id) & _LIVES)


@lru_cache(1)
def _of_these() -> Select[Any]:
    """One after the other, by their ids: together with a list of them, Postgres may read all that there are."""
    ids = ARRAY(_TABLE.c.id.type)
    given = func.unnest(cast(bindparam("ids", type_=ids), ids)).table_valued("id").render_derived(name="given")
    # The offset keeps it from being turned into a join.
    one = select(*_OF_IT).where(_TABLE.c.id == given.c.id, _LIVES).offset(0).lateral("one")
    return select(*one.c).select_from(given.join(one, true()))


def due(session: Session, at: float | None, *, after: str = "", limit: int = 500) -> list[Due]:
    """Live environments whose `check_at` has come, the longest due first; with `at` None all live ones beyond `after`.

    When they are looked at is locked until the transaction ends, and those are left out of which somebody else has.
    """
    connection = session.connection()
    given = {"after": after, "most": limit} if at is None else {"at": at, "most": limit}
    if connection.dialect.name != "postgresql":
        return [Due(*row) for row in connection.execute(_whole(everything=at is None), given).all()]
    # First when, and then what, as it is by now: who brings an end nearer writes that, and after it when to look, in
    # one transaction. Either it is done, and is seen whole; or it comes after us, and its time to look stays.
    wanted = _wanted(everything=at is None).with_for_update(skip_locked=True)
    held = connection.execute(wanted, given).all()
    ids = [one_id for one_id, *_check in held]
    rows = {row.id: row for row in connection.execute(_of_these(), {"ids": ids}).all()} if ids else {}
    return [Due(*rows[one_id], *check) for one_id, *check in held if one_id in rows]


def remember(session: Session, decided: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Write down what was decided of those that are locked: id, and columns of `CheckRow`."""
    checks.put_each(session, [{"environment_id": one_id, **values} for one_id, values in decided])
