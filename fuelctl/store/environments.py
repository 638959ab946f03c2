# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries on environments. Every change carries the fence of the run that makes it; a lower one is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, select, tuple_, update
from sqlalchemy.orm import Session, defer

from fuelctl._shared._errors import FuelError
from fuelctl.store import checks
from fuelctl.store.models import EnvironmentRow

_CANDIDATES_SHOWN = 20
#: Values in one query: SQLite takes 999.
_AT_ONCE = 500
#: What no list shows.
_NEVER_LISTED = (
    EnvironmentRow.source,
    EnvironmentRow.agent_home,
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


def of_tokens(connection: Connection, sha256s: Iterable[str]) -> list[tuple[str, str]]:
    """Of the environments that live and whose own token has one of these digests: id and digest."""
    row = EnvironmentRow.__table__.c
    query = select(row.id, row.token_sha256).where(row.token_sha256.in_(sorted(sha256s)), row.ended_at.is_(None))
    return [(found.id, found.token_sha256) for found in connection.execute(query)]


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
    whole = select(EnvironmentRow).options(*(defer(column, raiseload=True) for column in _NEVER_LISTED))
    everything: tuple[str | None, ...] = (None,)
    statuses = tuple(sorted(set(wanted.status))) or everything
    places = wanted.workspaces if wanted.workspaces is not None else everything
    is_one = len(statuses) == len(places) == 1
    keys: Select[*tuple[Any, ...]] = select(EnvironmentRow.created_at, EnvironmentRow.id)
    if is_one:
        keys = whole
    keys = keys.order_by(*order).limit(limit)
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
    for status in statuses:
        for place in places:
            one = keys if status is None else keys.where(status_is == status)
            one = one if place is None else one.where(EnvironmentRow.workspace_id == place)
            if is_one:
                return list(session.scalars(one))
            found.update((row.created_at, row.id) for row in session.execute(one))
    shown = [one_id for _at, one_id in sorted(found, reverse=True)[:limit]]
    query = whole.where(EnvironmentRow.id.in_(bindparam("ids", expanding=True))).order_by(*order)
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


def add(session: Session, row: EnvironmentRow, *, check_at: float) -> None:
    """A new one, that is looked at then (epoch seconds)."""
    session.add(row)
    session.flush()
    checks.add(session, row.id, check_at)


def change(session: Session, environment_id: str, *, fence: int | None = None, **values: Any) -> None:
    """Set `values`, those of `checks` as well, and count its version up; what ends is looked at no more.

    With a `fence`, only when nobody has taken a higher one.
    """
    if values.get("ended_at") is not None:
        values["check_at"] = None
    values, check = checks.apart(values)
    statement = update(EnvironmentRow).where(EnvironmentRow.id == environment_id)
    if fence is not None:
        statement = statement.where(EnvironmentRow.fence == fence)
    changed = session.execute(
        statement.values(version=EnvironmentRow.version + 1, **values).returning(EnvironmentRow.id),
        execution_options={"synchronize_session": False},
    ).scalar_one_or_none()
    if changed is None:
        raise FencedOffError(environment_id)
    checks.put(session, environment_id, check)


def _select(session: Session, condition: ColumnElement[bool]) -> list[EnvironmentRow]:
    query = select(EnvironmentRow).where(condition).order_by(EnvironmentRow.created_at.desc())
    return list(session.scalars(query.limit(_CANDIDATES_SHOWN)))
