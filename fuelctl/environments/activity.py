# SPDX-License-Identifier: GPL-3.0-or-later
"""What environments tell of the work in them, by callback or when asked: taken in once, whatever comes twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from fuelctl.environments import idle_work, idleness
from fuelctl.environments.core import Core
from fuelctl.environments.states import Status
from fuelctl.store import environments, events
from fuelctl.store.events import NewEvent
from fuelctl.store.living import living, write

#: A machine's clock may be off; its events are not believed to come from beyond this many seconds ahead.
_AHEAD = 300.0


def take_in(
    core: Core, session: Session, environment_id: str, told: Sequence[NewEvent], *, at_work: bool = False
) -> int:
    """Store the events that are new (by id), and move status and last activity; returns how many were new.

    `last_event_at` never moves back, in whatever order events arrive, and never beyond now. `at_work`: that they come
    says by itself that somebody is at work this very moment.
    """
    now = core.clock()
    # What is no time at all (NaN, infinity, before 1970) can be neither stored nor shown.
    told = [NewEvent(item.type, item.data, min(max(0.0, item.at), 1e11), item.id) for item in told]
    believed = [NewEvent(item.type, item.data, min(item.at, now.wall + _AHEAD), item.id) for item in told]
    accepted = events.append(session, environment_id, believed)
    row = living(session, [environment_id]).get(environment_id) if accepted else None
    if row is None:
        return accepted
    before = idleness.read(row.activity)
    # By the machine's own clock, with which its samples are compared.
    known = idleness.heard(before, [(item.type, item.data, item.at) for item in told])
    changed: dict[str, Any] = {
        "last_event_at": max(row.last_event_at or 0.0, min(max(item.at for item in believed), now.wall))
    }
    if at_work:
        changed |= idle_work.at_work(row, known, "agent", now)
    elif known is not before:
        changed["activity"] = known.as_dict()
    if row.status in (Status.READY, Status.IDLE):
        changed["status"] = Status.ACTIVE
        events.append(session, environment_id, [core.event("remote.update", {"status": Status.ACTIVE})])
    if changed.keys() == {"last_event_at"}:
        write(session, [{"id": environment_id, **changed}])
    else:
        environments.change(session, environment_id, **changed)
    return accepted
