# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries on devices: environments and laptops that have made themselves known."""

from __future__ import annotations

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from fuelctl.store.models import DeviceRow

ENVIRONMENT = "environment"
LAPTOP = "laptop"
ACTIVE = "active"
TERMINATED = "terminated"


def get(session: Session, device_id: str) -> DeviceRow | None:
    """The device of this id, locked until the transaction ends."""
    return session.get(DeviceRow, device_id, with_for_update=True)


def of_environment(session: Session, environment_id: str) -> DeviceRow | None:
    """The device that an environment is, or was."""
    return session.scalars(select(DeviceRow).where(DeviceRow.environment_id == environment_id)).first()


def terminate(session: Session, environment_id: str, now: float) -> None:
    """The environment has ended, and its device with it; twice is harmless."""
    lives = DeviceRow.environment_id == environment_id, DeviceRow.status == ACTIVE
    session.execute(update(DeviceRow).where(*lives).values(status=TERMINATED, terminated_at=now))


def page(
    session: Session,
    *,
    kind: str | None = None,
    include_terminated: bool = False,
    laptops_of: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[DeviceRow]:
    """At most `limit` devices, by id from the highest, those below `after`; `laptops_of`: laptops of this user only."""
    query = select(DeviceRow).order_by(DeviceRow.id.desc()).limit(limit)
    if kind is not None:
        query = query.where(DeviceRow.kind == kind)
    if not include_terminated:
        query = query.where(DeviceRow.status == ACTIVE)
    if laptops_of is not None:
        query = query.where(or_(DeviceRow.kind == ENVIRONMENT, DeviceRow.owner == laptops_of))
    return list(session.scalars(query if after is None else query.where(DeviceRow.id < after)))
