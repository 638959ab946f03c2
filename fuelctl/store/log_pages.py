# SPDX-License-Identifier: GPL-3.0-or-later
"""The event log in pages, for whoever follows all of it, some environments, or everything of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from fuelctl.store.models import EnvironmentRow, EventRow


@dataclass(frozen=True)
class Logged:
    """An event, and the workspace of its environment; empty where that has none."""

    row: EventRow
    workspace: str


_WORKSPACE = EnvironmentRow.workspace_id


def last(session: Session) -> int:
    """The highest number there is; 0 in an empty log."""
    return session.scalar(select(func.max(EventRow.seq))) or 0


def page(
    session: Session, cursor: int, environments: Sequence[str], workspaces: Sequence[str], limit: int
) -> tuple[list[Logged], int]:
    """Events beyond `cursor` in order, and how far these are complete. Without a filter, all.

    Numbers become visible in their order, so whatever is up to the highest one now is all that will ever be there.
    """
    top = last(session)
    query = select(EventRow, _WORKSPACE).join(EnvironmentRow, EnvironmentRow.id == EventRow.environment_id)
    query = query.where(EventRow.seq > cursor, EventRow.seq <= top).order_by(EventRow.seq).limit(limit)
    wanted = []
    if environments:
        wanted.append(EventRow.environment_id.in_(environments))
    if workspaces:
        wanted.append(_WORKSPACE.in_(workspaces))
    if wanted:
        query = query.where(or_(*wanted))
    found = [Logged(row, workspace or "") for row, workspace in session.execute(query)]
    return found, found[-1].row.seq if len(found) == limit else max(cursor, top)
