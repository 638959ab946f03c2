# SPDX-License-Identifier: GPL-3.0-or-later
"""Rescues: what is known of each, whose it is, how long it is kept. Their content is in the control plane's files."""

from __future__ import annotations

import re
from typing import Any, BinaryIO

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core
from fuelctl.environments.registry import ConflictError, NotFoundError
from fuelctl.store.files import RESCUES
from fuelctl.store.models import EnvironmentRow, RescueRow
from fuelctl.store.ulids import new_ulid

_MOST_LISTED = 1000
#: As `key` makes them: a bucket may have other things beside them, which are nobody's to remove.
_OURS = re.compile(rf"{RESCUES}/([0-7][0-9A-HJKMNP-TV-Z]{{25}})/rescue\.tar")


def key(rescue_id: str) -> str:
    """Where its one tar file is, among the control plane's files."""
    return f"{RESCUES}/{rescue_id}/rescue.tar"


def add(
    session: Session, core: Core, row: EnvironmentRow, rescue_id: str, *, tar: tuple[int, str], manifest: dict[str, Any]
) -> list[str]:
    """Write down that the content is there, (size, SHA-256) of it; ids of earlier ones of this environment, now old."""
    now = core.clock().wall
    older = session.scalars(
        select(RescueRow).where(RescueRow.environment_id == row.id, RescueRow.id != rescue_id)
    ).all()
    for one in older:
        session.delete(one)
    kept = {name: value for name, value in manifest.items() if name not in ("path", "format")}
    provider = {name: row.provider.get(name) for name in ("name", "options", "region")}
    content = {**kept, "blueprint": row.blueprint, "repository": row.repository, "provider": provider}
    session.merge(
        RescueRow(
            id=rescue_id,
            environment_id=row.id,
            owner=row.owner,
            name=row.name,
            created_at=now,
            size=tar[0],
            sha256=tar[1],
            complete=bool(manifest.get("complete")),
            manifest=content,
        )
    )
    core.audit(session, "rescue.save", rescue_id, after={"environment": row.id, "owner": row.owner, "size": tar[0]})
    return [one.id for one in older]


def listing(session: Session, *, owner: str | None = None, environment: str | None = None) -> list[RescueRow]:
    """The newest first."""
    query = select(RescueRow).order_by(RescueRow.created_at.desc()).limit(_MOST_LISTED)
    query = query.where(RescueRow.owner == owner) if owner is not None else query
    query = query.where(RescueRow.environment_id == environment) if environment is not None else query
    return list(session.scalars(query))


def resolve(session: Session, ref: str, *, prefer: str) -> RescueRow:
    """What an id of a rescue, a unique prefix of one, or an environment's id or name means; the newest of a name."""
    wanted = ref.upper()
    query = select(RescueRow).order_by(RescueRow.created_at.desc())
    exact = session.scalars(query.where(or_(RescueRow.id == wanted, RescueRow.environment_id == wanted))).first()
    if exact is not None:
        return exact
    named = list(session.scalars(query.where(RescueRow.name == ref)))
    mine = [row for row in named if row.owner == prefer]
    if mine or named:
        return (mine or named)[0]
    found = [
        row for row in session.scalars(query.where(RescueRow.id.startswith(wanted, autoescape=True)).limit(2)) if wanted
    ]
    if len(found) > 1:
        raise ConflictError(f"{ref[:64]!r} may mean several rescues", hint="use more of the id", code="ambiguous")
    if not found:
        raise NotFoundError(f"there is no rescue {ref[:64]!r}", hint="see fuelctl rescue ls", code="not_found")
    return found[0]


def content(core: Core, row: RescueRow) -> BinaryIO:
    """The bytes of its tar file; to be closed."""
    try:
        return core.files.open(key(row.id))
    except FileNotFoundError as error:
        hint = "fuelctl rescue ls shows the others; forget this one: fuelctl rescue rm"
        raise NotFoundError(
            "the content of this rescue is gone", hint=hint, where=row.id, code="rescue_lost"
        ) from error


def remove(core: Core, rescue_id: str) -> None:
    """Forget it, its content first: a row whose content is gone says so."""
    core.files.delete(f"{RESCUES}/{rescue_id}")
    with core.write() as session:
        row = session.get(RescueRow, rescue_id)
        if row is not None:
            session.delete(row)
            core.audit(
                session, "rescue.remove", rescue_id, before={"environment": row.environment_id, "owner": row.owner}
            )


def forget(core: Core, before: float) -> int:
    """Remove those made before `before` (epoch seconds), and content that no row came to name; how many."""
    with core.database.read() as session:
        known = {row.id: row.created_at for row in session.scalars(select(RescueRow))}
    old = {one for one, at in known.items() if at < before}
    # An id holds the time at which its ending began.
    oldest = new_ulid(before)[:10]
    stored = {found[1] for name in core.files.list(RESCUES) if (found := _OURS.fullmatch(name))}
    old |= {one for one in stored - known.keys() if one[:10] < oldest}
    for one in sorted(old):
        remove(core, one)
    return len(old)


def view(row: RescueRow) -> dict[str, Any]:
    """As the API shows it."""
    return {
        "id": row.id,
        "environment_id": row.environment_id,
        "name": row.name,
        "owner": row.owner,
        "created_at": rfc3339(row.created_at),
        "size": row.size,
        "sha256": row.sha256,
        "complete": row.complete,
        **{name: row.manifest.get(name) for name in ("commit", "branch", "counts", "left_out", "unfinished")},
        **{name: row.manifest.get(name) for name in ("blueprint", "repository", "provider")},
    }
