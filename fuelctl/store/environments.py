# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries on environments. Every change carries the fence of the run that makes it; a lower one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, select, tuple_, update
from sqlalchemy.orm import Session, defer

from fuelctl._shared._errors import FuelError
from fuelctl.store.models import EnvironmentRow

_CANDIDATES_SHOWN = 20
#: Values in one query: SQLite takes 999.
_AT_ONCE = 500
#: Documents that say what an environment is, and not whether it may live.
_NEVER_DECISIVE = (
    EnvironmentRow.provider,
    EnvironmentRow.blueprint,
    EnvironmentRow.repository,
    EnvironmentRow.agent_home,
    EnvironmentRow.conditions,
    EnvironmentRow.stages,
    EnvironmentRow.connection,
    EnvironmentRow.agent,
    EnvironmentRow.error,
    EnvironmentRow.receipt,
)


#: What no list shows.
_NEVER_LISTED = (
    EnvironmentRow.source,
    EnvironmentRow.agent_home,
    EnvironmentRow.decision,
    EnvironmentRow.operation_options,
)


class FencedOffError(FuelError):
    """A write came from a workflow run that another one has taken over."""

    def __init__(self, environment_id: str) -> None:
        super().__init__(
            "another operation has taken this environment over",
            hint=f"see what it does: fuelctl status {environment_id}",
            where=environment_id,
            code="fenced_off",
        )


def get(session: Session, environment_id: str) -> EnvironmentRow | None:
    """The row of this id."""
    return session.get(EnvironmentRow, environment_id, populate_existing=True)


def find(session: Session, ref: str) -> list[EnvironmentRow]:
    """Every environment that `ref` may mean: the one with this id; else live ones by name or prefix; else ended ones.

    A name beats a prefix, a live environment beats an ended one; of ended ones with one name the last is meant.
    """
    exact = get(session, ref.upper())
    if exact is not None:
        return [exact]
    prefix = ref.upper()
    by_prefix = EnvironmentRow.id.startswith(prefix, autoescape=True)
    live = EnvironmentRow.ended_at.is_(None)
    for condition in (
        and_(live, EnvironmentRow.name == ref),
        and_(live, by_prefix),
    ):
        found = _select(session, condition)
        if found:
            return found
    return _select(session, EnvironmentRow.name == ref)[:1] or _select(session, by_prefix)


def of_token(session: Session, sha256: str) -> EnvironmentRow | None:
    """The environment that lives and whose own token has this digest."""
    query = select(EnvironmentRow).where(EnvironmentRow.token_sha256 == sha256, EnvironmentRow.ended_at.is_(None))
    return session.scalars(query.limit(1)).first()


def by_id(session: Session, ids: Iterable[str]) -> dict[str, EnvironmentRow]:
    """The rows of these ids, as far as there are any."""
    wanted = sorted(set(ids))
    found: dict[str, EnvironmentRow] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        query = select(EnvironmentRow).where(EnvironmentRow.id.in_(wanted[start : start + _AT_ONCE]))
        found |= {row.id: row for row in session.scalars(query)}
    return found


@dataclass(frozen=True)
class Wanted:
    """Which environments of a list; None is all. `workspaces`: ids, of which one is meant."""

    include_ended: bool = False
    status: tuple[str, ...] = ()
    owner: str | None = None
    workspaces: tuple[str, ...] | None = None


def page(
    session: Session, wanted: Wanted, *, after: tuple[float, str] | None = None, limit: int = 100
) -> list[EnvironmentRow]:
    """At most `limit` environments, the newest first, those that are older than `after` (`created_at`, id).

    What comes in meanwhile is newer, or lies where it belongs: no page shows one twice or leaves one out.
    """
    order = (EnvironmentRow.created_at.desc(), EnvironmentRow.id.desc())
    keys = select(EnvironmentRow.created_at, EnvironmentRow.id).order_by(*order).limit(limit)
    if not wanted.status and not wanted.include_ended:
        keys = keys.where(EnvironmentRow.ended_at.is_(None))
    # With a workspace, which has few, the others are no reason to go by another index.
    owner, status_is = EnvironmentRow.owner, EnvironmentRow.status
    if wanted.workspaces is not None:
        owner, status_is = _unindexed(owner), _unindexed(status_is)
    if wanted.owner is not None:
        keys = keys.where(owner == wanted.owner)
    if after is not None:
        keys = keys.where(tuple_(EnvironmentRow.created_at, EnvironmentRow.id) < after)
    # Of each status and workspace its own page, in the order of an index. Asked for all of them at once, a database
    # reads everything, and sorts it, for one page.
    found: set[tuple[float, str]] = set()
    everything: tuple[str | None, ...] = (None,)
    for status in tuple(sorted(set(wanted.status))) or everything:
        for workspace in wanted.workspaces if wanted.workspaces is not None else everything:
            one = keys if status is None else keys.where(status_is == status)
            one = one if workspace is None else one.where(EnvironmentRow.workspace_id == workspace)
            found.update((row.created_at, row.id) for row in session.execute(one))
    shown = [one_id for _at, one_id in sorted(found, reverse=True)[:limit]]
    query = select(EnvironmentRow).where(EnvironmentRow.id.in_(bindparam("ids", expanding=True)))
    query = query.options(*(defer(column, raiseload=True) for column in _NEVER_LISTED)).order_by(*order)
    return list(session.scalars(query, {"ids": shown})) if shown else []


def _unindexed(column: Any) -> Any:
    """The same value, in a form that no index has."""
    return column.op("||")("")


def live(session: Session) -> list[EnvironmentRow]:
    """All that may own something, however many they are."""
    return list(session.scalars(select(EnvironmentRow).where(EnvironmentRow.ended_at.is_(None))))


def latest_of(session: Session, owner: str, name: str) -> EnvironmentRow | None:
    """Of the environments with this name that are this owner's, the live one, or else the last."""
    query = select(EnvironmentRow).where(EnvironmentRow.owner == owner, EnvironmentRow.name == name)
    order = (EnvironmentRow.ended_at.is_not(None), EnvironmentRow.created_at.desc())
    return session.scalars(query.order_by(*order).limit(1)).first()


def due(session: Session, at: float | None, *, after: str = "", limit: int = 500) -> list[EnvironmentRow]:
    """Live environments whose `check_at` has come, the longest due first; with `at` None all live ones beyond `after`.

    They are locked until the transaction ends, and without those that somebody else has locked. What no decision is
    made from is not read.
    """
    query = select(EnvironmentRow).where(EnvironmentRow.ended_at.is_(None)).limit(limit)
    if at is not None:
        query = query.where(EnvironmentRow.check_at <= at).order_by(EnvironmentRow.check_at)
    else:
        query = query.where(EnvironmentRow.id > after).order_by(EnvironmentRow.id)
    query = query.options(*(defer(column, raiseload=True) for column in _NEVER_DECISIVE))
    return list(session.scalars(query.with_for_update(skip_locked=True)))


def remember(session: Session, decided: Sequence[tuple[str, float, dict[str, Any]]]) -> None:
    """Set `check_at` and `decision` of rows that are locked: (id, epoch seconds, record) each."""
    if decided:
        table = EnvironmentRow.__table__
        statement = update(EnvironmentRow).where(table.c.id == bindparam("row"))
        statement = statement.values(
            check_at=bindparam("at"), decision=bindparam("record", type_=table.c.decision.type)
        )
        values = [{"row": one_id, "at": at, "record": record} for one_id, at, record in decided]
        session.connection().execute(statement, values)


def with_operation(session: Session) -> list[EnvironmentRow]:
    """Environments for which a workflow should be running."""
    query = select(EnvironmentRow).where(EnvironmentRow.ended_at.is_(None), EnvironmentRow.operation_id.is_not(None))
    return list(session.scalars(query))


def take_fence(session: Session, environment_id: str, operation_id: str) -> int:
    """A new fence for a run of `operation_id`; FencedOffError when another operation has taken over."""
    taken = session.execute(
        update(EnvironmentRow)
        .where(EnvironmentRow.id == environment_id, EnvironmentRow.operation_id == operation_id)
        .values(fence=EnvironmentRow.fence + 1)
        .returning(EnvironmentRow.fence)
    ).scalar_one_or_none()
    if taken is None:
        raise FencedOffError(environment_id)
    return taken


def change(session: Session, environment_id: str, *, fence: int | None = None, **values: Any) -> None:
    """Set `values` on one row and count its version up; with a `fence`, only when nobody has taken a higher one."""
    statement = update(EnvironmentRow).where(EnvironmentRow.id == environment_id)
    if fence is not None:
        statement = statement.where(EnvironmentRow.fence == fence)
    changed = session.execute(
        statement.values(version=EnvironmentRow.version + 1, **values).returning(EnvironmentRow.id),
        execution_options={"synchronize_session": False},
    ).scalar_one_or_none()
    if changed is None:
        raise FencedOffError(environment_id)


def _select(session: Session, condition: ColumnElement[bool]) -> list[EnvironmentRow]:
    query = select(EnvironmentRow).where(condition).order_by(EnvironmentRow.created_at.desc())
    return list(session.scalars(query.limit(_CANDIDATES_SHOWN)))
