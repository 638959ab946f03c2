# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop an environment's machine, with what is on its volume kept, and start it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fuelctl.environments import cost
from fuelctl.environments.access import check_enterable, one_at_a_time
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core, MachineError
from fuelctl.environments.idle_work import UNREACHABLE
from fuelctl.store import environments, events
from fuelctl.store.models import EnvironmentRow

STARTED, STOPPED = "started", "stopped"
#: `power(row, state)`: its machine is in that state. ConflictError where its provider stops none, MachineError when it
#: could not be told.
Power = Callable[[EnvironmentRow, str], None]


#: Of the row's `provider`: when its machine was last stopped or started, by the control plane's clock.
_SINCE = "powered_at"


def changed_since(row: EnvironmentRow, at: float) -> bool:
    """Whether its machine was stopped or started since then: what a look that began before saw is not so any more."""
    return float(row.provider.get(_SINCE) or 0.0) >= at


def nobody_can(row: EnvironmentRow, _state: str) -> None:
    """Of a server that plays no playbook and has nobody who does."""
    raise MachineError(
        f"nobody is there to stop or start {row.name}", hint="start one: fuelctl worker run", code="no_worker"
    )


def set_power(core: Core, row: EnvironmentRow, state: str, power: Power) -> EnvironmentRow:
    """Have its machine `started` or `stopped`; twice is harmless. ConflictError where nobody can enter it anyway.

    The lease goes on meanwhile: what is stopped costs, and ends at its time.
    """
    check_enterable(row)
    with one_at_a_time(row.id):
        with core.database.read() as session:
            current = session.get_one(EnvironmentRow, row.id)
        check_enterable(current)
        power(current, state)
        with core.write() as session:
            current = session.get_one(EnvironmentRow, row.id, with_for_update=True)
            if current.ended_at is not None:
                check_enterable(current)
            # Whether it answers is asked anew.
            kept = [each for each in current.conditions if each["type"] not in (STOPPED, UNREACHABLE)]
            if state == STOPPED:
                said = {"type": STOPPED, "message": asleep(current, state)}
                kept.append({**said, "since": rfc3339(core.clock().wall), "details": {}})
            now = core.clock().wall
            provider = {**cost.powered(current.provider, now, awake=state == STARTED), _SINCE: now}
            environments.change(session, row.id, conditions=kept, provider=provider)
            core.audit(session, "environment.power", row.id, after={"state": state})
            events.append(session, row.id, [core.event("remote.update", {"power": state})])
    with core.database.read() as session:
        return session.get_one(EnvironmentRow, row.id)


def asleep(row: EnvironmentRow, state: Any) -> str:
    """What is said of an environment that does not run, and what to do."""
    if (row.connection or {}).get("container"):
        return "its container does not run: `docker start` wakes it, `down` ends it"
    found = state if state in (STOPPED, "suspended") else STOPPED
    return f"its machine is {found}, and its volume costs on: `fuelctl start {row.name}` wakes it, `down` ends it"
