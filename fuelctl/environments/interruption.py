# SPDX-License-Identifier: GPL-3.0-or-later
"""A notice that a cloud is about to take a machine back: it is ended before, while its work can still be saved."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fuelctl.environments import about
from fuelctl.environments.core import Core
from fuelctl.environments.registry import begin_termination
from fuelctl.environments.states import Operation, Status
from fuelctl.store import environments, events
from fuelctl.store.events import NewEvent
from fuelctl.store.ulids import ulid_of

_logger = logging.getLogger(__name__)
#: Seconds between notice and interruption, where the notice's own time is none.
USUAL = 120.0
#: Seconds before its time at which it is the watchdog that has ended a machine.
_WATCHDOGS = 5.0
#: What ends an environment when its machine is taken back.
BY = "spot"


#: What ended a machine without us: itself (somebody switched it off in there), its cloud, somebody in the console.
BY_ITSELF = ("machine", BY, "console")


def ended_by(reason: object, seconds_left: float) -> str:
    """What is said to have ended an environment that was found gone. `seconds_left`: of its lease."""
    if reason in BY_ITSELF[1:]:
        return str(reason)
    # Its own watchdog is meant to: a machine's clock may be a moment before ours.
    return "ttl" if seconds_left <= _WATCHDOGS else BY_ITSELF[0]


def noticed(core: Core, environment_id: str, notice: Mapping[str, Any], *, own_word: bool = False) -> str | None:
    """Log it once and begin the ending; the operation to start, or None when there is nothing left to do.

    `own_word`: nobody but the environment says so, whose token whoever works in it can read. Then it is heeded of a
    spot machine alone: no other is taken back.

    `notice`: `{action, time}` as the metadata service has it; `time` is RFC 3339, and of no consequence if it is not.
    """
    now = core.clock().wall
    action, said = str(notice.get("action"))[:20], str(notice.get("time"))[:40]
    told = NewEvent(
        "remote.machine.notice", {"action": action, "time": said}, now, ulid_of(0.0, "notice", environment_id, said)
    )
    with core.write() as session:
        row = environments.get(session, environment_id)
        if row is None or row.ended_at is not None:
            return None
        if own_word and not _is_spot(row.provider):
            said = "%s says that its machine is taken back, and has none on spot"
            _logger.warning(said, row.id, extra=about.of(row))
            return None
        events.append(session, environment_id, [told])
    if row.operation == Operation.TERMINATE or row.status == Status.TERMINATING:
        # An end is under way, and what failed of it is tried again.
        return None
    _row, operation_id = begin_termination(core, environment_id, discard=True, by=BY, until=until(said, now))
    return operation_id


def _is_spot(provider: Mapping[str, Any]) -> bool:
    machines = (provider.get("machines") or {}).values()
    return any(machine.get("market") == "spot" and machine.get("ended") is None for machine in machines)


def until(said: str, now: float) -> float:
    """The moment (epoch seconds) at which the machine is taken; one that cannot be meant is the usual one."""
    try:
        at = datetime.fromisoformat(said).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return now + USUAL
    return min(max(at, now), now + 2 * USUAL)
