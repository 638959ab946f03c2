# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server can work. Its answer is for anybody who asks: yes and no, and times, of nobody in particular."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from fuelctl import paths
from fuelctl._shared._errors import FuelError
from fuelctl.environments import reaping
from fuelctl.server.parts import Parts
from fuelctl.store import figures, schema


@dataclass(frozen=True)
class State:
    """Of each thing that a server needs, whether it is there. `young`: it has just begun, and so has the reaper."""

    database: bool
    migrated: bool
    disk: bool
    workers: bool
    reaper: dict[str, Any]
    young: bool

    @property
    def good(self) -> bool:
        """Whether it can do its work."""
        never = self.reaper.get("last_cycle_at") is None
        late = bool(self.reaper.get("late")) and not (never and self.young)
        return self.database and self.migrated and self.disk and self.workers and not late


def look(given: Parts, age: float) -> State:
    """Look at everything once. `age`: seconds for which this process has run."""
    period = given.settings.reaper_seconds
    young = age < max(reaping.LATE_PERIODS * period, reaping.LATE_SECONDS)
    try:
        with given.core.database.read() as session:
            migrated = schema.is_current(session)
            workers = figures.workers(session) if migrated else None
        last = reaping.last(given.core)
    except (SQLAlchemyError, FuelError):
        return State(False, False, _has_room(), False, {"last_cycle_at": None}, young)
    reaper = reaping.shown(last, given.core.clock().wall, period)
    return State(True, migrated, _has_room(), workers is None or workers > 0, reaper, young)


def _has_room() -> bool:
    try:
        return paths.disk_full() is None
    except OSError:
        return False
