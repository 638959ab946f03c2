# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done with each type of event that comes from outside. One table; every handler may be called twice.

An environment tells with its own token, about itself; a person about an environment of theirs, or their own laptop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from fuelctl.environments import about, activity, devices
from fuelctl.environments.core import Core
from fuelctl.environments.registry import ConflictError
from fuelctl.environments.states import Status
from fuelctl.store import environments, events
from fuelctl.store.events import NewEvent
from fuelctl.store.models import EnvironmentRow

_logger = logging.getLogger(__name__)
#: Epoch seconds of a far day that can still be written as a date.
_LATEST = 1e11


@dataclass(frozen=True)
class Teller:
    """Who tells. `environment_id`: what it is about, None for a laptop. `person`: who says so, if not it itself."""

    environment_id: str | None = None
    person: str | None = None


#: How many of the events were new.
Handler = Callable[[Core, Session, Teller, Sequence[NewEvent]], int]


def take_in(core: Core, session: Session, teller: Teller, told: Sequence[NewEvent]) -> int:
    """Hand each event to its handler, in the order of their types' first coming; how many were new.

    KeyError of a type that nobody handles; ConflictError of one that the environment's state does not allow.
    """
    by_handler: dict[Handler, list[NewEvent]] = {}
    for event in map(_timely, told):
        by_handler.setdefault(handler(event.type), []).append(event)
    return sum(handle(core, session, teller, items) for handle, items in by_handler.items())


def _timely(event: NewEvent) -> NewEvent:
    """What is no time at all (NaN, infinity, before 1970) can be neither stored nor shown to those who follow."""
    return NewEvent(event.type, event.data, min(max(0.0, event.at), _LATEST), event.id)


def handler(type_: str) -> Handler:
    """Who handles this type: by its whole name, or by its family (`session.*`)."""
    exact = HANDLERS.get(type_)
    return exact if exact is not None else HANDLERS[f"{type_.partition('.')[0]}.*"]


def of_environments_only(type_: str) -> bool:
    """Whether nobody but an environment itself can say so."""
    return type_.startswith("remote.")


def _work(core: Core, session: Session, teller: Teller, told: Sequence[NewEvent]) -> int:
    """The agent is at work."""
    return activity.take_in(core, session, str(teller.environment_id), told, at_work=True)


def _alive(core: Core, session: Session, teller: Teller, told: Sequence[NewEvent]) -> int:
    """Move `last_event_at` and nothing else; it never moves back."""
    row = environments.get(session, str(teller.environment_id))
    if row is not None:
        row.last_event_at = max(row.last_event_at or 0.0, core.clock().wall)
    return len(told)


def _reported(_core: Core, session: Session, teller: Teller, told: Sequence[NewEvent]) -> int:
    """What it says of its own provisioning is noted: what makes it ready is the control plane's own check."""
    row = _row(session, teller)
    for event in told:
        if row.status == Status.TERMINATING and not event.type.endswith(".error"):
            raise ConflictError(
                f"{row.name} is being ended",
                hint="nothing more is to be said of its start",
                code="not_live",
                where=row.name,
            )
    return events.append(session, row.id, [_as_report(event) for event in told])


def _ending(core: Core, session: Session, teller: Teller, told: Sequence[NewEvent]) -> int:
    """It says that it is about to end: it is looked at soon. Whether it has ended says its provider."""
    row = _row(session, teller)
    accepted = events.append(session, row.id, [_as_report(event) for event in told])
    if accepted:
        environments.change(session, row.id, check_at=core.clock().wall)
        _logger.warning("%s says that it is about to end", row.id, extra=about.of(row))
    return accepted


def _device(core: Core, session: Session, teller: Teller, told: Sequence[NewEvent]) -> int:
    """A machine says what it is. A laptop's id is its own (`data.id`), or that of the event."""
    if teller.environment_id is not None:
        row = _row(session, teller)
        if row.ready_at is not None:
            # Before that there is no device: it registers itself when it is ready.
            devices.of_environment(core, session, row, told[-1].data)
        return events.append(session, row.id, told)
    for event in told:
        own = event.data.get("id") or event.id
        devices.of_person(core, session, str(teller.person), str(own), event.data)
    return len(told)


def _row(session: Session, teller: Teller) -> EnvironmentRow:
    return session.get_one(EnvironmentRow, str(teller.environment_id), with_for_update=True)


def _as_report(event: NewEvent) -> NewEvent:
    """`remote.provision.ready` is ours to say; that the environment said so is `remote.report.ready`."""
    return NewEvent(f"remote.report.{event.type.rpartition('.')[2]}", event.data, event.at, event.id)


HANDLERS: dict[str, Handler] = {
    "remote.provision.start": _reported,
    "remote.provision.ready": _reported,
    "remote.provision.error": _reported,
    "remote.terminate": _ending,
    "remote.heartbeat": _alive,
    "system.device.register": _device,
    "session.*": _work,
    "tool.*": _work,
    "agent.*": _work,
}
