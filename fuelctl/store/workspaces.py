# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries on workspaces: what environments belong to."""

from __future__ import annotations

from sqlalchemy import func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fuelctl.store.models import EnvironmentRow, WorkspaceRow


def put(session: Session, row: WorkspaceRow) -> tuple[WorkspaceRow, bool]:
    """The workspace of this place, made when there was none yet, and whether it was."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    facts = {"id": row.id, "url": row.url, "folder": row.folder, "name": row.name, "created_at": row.created_at}
    new = session.execute(
        insert(WorkspaceRow).values(**facts).on_conflict_do_nothing().returning(WorkspaceRow.id)
    ).scalar_one_or_none()
    place = WorkspaceRow.url == row.url, WorkspaceRow.folder == row.folder
    return session.scalars(select(WorkspaceRow).where(*place)).one(), new is not None


def get(session: Session, workspace_id: str) -> WorkspaceRow | None:
    """The workspace of this id."""
    return session.get(WorkspaceRow, workspace_id)


def meant(session: Session, word: str, url: str | None, most: int = 50) -> list[str]:
    """Ids of the workspaces that `word` may mean: an id, a name, or an address, normalised as `url`."""
    either = or_(WorkspaceRow.id == word.upper(), WorkspaceRow.name == word, WorkspaceRow.url == (url or word))
    return list(session.scalars(select(WorkspaceRow.id).where(either).order_by(WorkspaceRow.id).limit(most)))


def page(session: Session, *, after: str | None = None, limit: int = 100) -> list[WorkspaceRow]:
    """At most `limit` workspaces, the newest first, those that are older than `after` (an id)."""
    query = select(WorkspaceRow).order_by(WorkspaceRow.id.desc()).limit(limit)
    return list(session.scalars(query if after is None else query.where(WorkspaceRow.id < after)))


def live(session: Session, ids: list[str]) -> dict[str, int]:
    """How many live environments each of these workspaces has; without those that have none."""
    query = select(EnvironmentRow.workspace_id, func.count()).group_by(EnvironmentRow.workspace_id)
    query = query.where(EnvironmentRow.workspace_id.in_(ids), EnvironmentRow.ended_at.is_(None))
    return {str(one): count for one, count in session.execute(query)}
