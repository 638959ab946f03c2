# SPDX-License-Identifier: GPL-3.0-or-later
"""A reaper that does not go round, or a team without workers, is said wherever somebody looks: nothing ends in time."""

from __future__ import annotations

from typing import Any

from fuelctl.cli._environment import moment, now
from fuelctl.cli._output import duration, note

#: What a server that does not judge by itself is held to.
_STALE_SECONDS = 180


def warn_of_reaper(reaper: dict[str, Any] | None) -> None:
    """Say when nothing has looked after leases for a while."""
    known = reaper or {}
    last = moment(known.get("last_cycle_at"))
    if last is None:
        return
    age = known.get("age_seconds")
    seconds = float(age) if age is not None else (now() - last).total_seconds()
    late = known.get("late")
    if late or (late is None and seconds > _STALE_SECONDS):
        words = f"The reaper last ran {duration(seconds)} ago: leases are not being watched, and nothing ends in time."
        note(f"{words} See `fuelctl server status`, and the server's log.")


def warn_of_workers(workers: int | None) -> None:
    """Say when a team has none; None where the server does the work itself, or does not say."""
    if workers == 0:
        note("No worker is there: what is asked for waits. Start one on any machine of the team: fuelctl worker run")
