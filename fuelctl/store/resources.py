# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of resources: written before any of them exists, so that nothing need be remembered to be undone."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fuelctl._shared._identity import container_names
from fuelctl.store.models import ResourceRow


def intend(session: Session, environment_id: str, attempt: int, now: float) -> None:
    """Write down every name that a run of this attempt may use; a repeat changes nothing."""
    names = container_names(environment_id, attempt)
    for kind, name in (
        ("container", names.container),
        ("network", names.network),
        ("volume", names.workspace_volume),
        ("image", names.image_tag),
        ("ssh_key", environment_id),
    ):
        _put(session, environment_id, (kind, name), attempt, state="intended", now=now, only_new=True)


def intend_one(session: Session, environment_id: str, key: tuple[str, str], attempt: int, now: float) -> None:
    """Write down one more (kind, name), before it is there."""
    _put(session, environment_id, key, attempt, state="intended", now=now, only_new=True)


def record(session: Session, environment_id: str, attempt: int, found: Iterable[dict[str, str]], now: float) -> None:
    """What a run says that it has made: `{kind, name}` each."""
    for resource in found:
        _put(session, environment_id, (resource["kind"], resource["name"]), attempt, state="created", now=now)


def settle(session: Session, environment_id: str, receipt: dict[str, object], now: float) -> None:
    """What a receipt proves: everything of a complete one is gone, of another one what it says."""
    if receipt.get("complete"):
        session.execute(
            update(ResourceRow).where(ResourceRow.environment_id == environment_id).values(state="gone", changed_at=now)
        )
        return
    listed = receipt.get("resources")
    for resource in listed if isinstance(listed, list) else ():
        if resource.get("state") == "gone":
            session.execute(
                update(ResourceRow)
                .where(
                    ResourceRow.environment_id == environment_id,
                    ResourceRow.kind == resource.get("kind"),
                    ResourceRow.name == resource.get("name"),
                )
                .values(state="gone", changed_at=now)
            )


def of_environment(session: Session, environment_id: str) -> list[ResourceRow]:
    """The journal of one environment."""
    query = select(ResourceRow).where(ResourceRow.environment_id == environment_id)
    return list(session.scalars(query.order_by(ResourceRow.kind, ResourceRow.name)))


def _put(
    session: Session,
    environment_id: str,
    key: tuple[str, str],
    attempt: int,
    *,
    state: str,
    now: float,
    only_new: bool = False,
) -> None:
    kind, name = key
    row = session.get(ResourceRow, (environment_id, kind, name))
    if row is None:
        session.add(
            ResourceRow(
                environment_id=environment_id, kind=kind, name=name, attempt=attempt, state=state, changed_at=now
            )
        )
    elif not only_new:
        row.state, row.attempt, row.changed_at = state, attempt, now
