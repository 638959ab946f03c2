# SPDX-License-Identifier: GPL-3.0-or-later
"""Named points at which a test can kill this process: `FUELCTL_CRASH_AT=<name>` ends it there with SIGKILL.

With `FUELCTL_CRASH_ONCE=<file>` it happens once: the file is made first, and a process that finds it goes on.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from fuelctl._shared._progress import STAGES

#: The steps of each workflow, in order. `workflows` runs them under these names and no others.
STEPS: dict[str, tuple[str, ...]] = {
    "provision": ("unpack", "up", "publish", "undo", "report", "clean"),
    "terminate": ("down", "settle", "clean"),
}
#: Before a step begins; when its work is done and nobody knows; when that has been recorded.
MOMENTS = ("before", "done", "recorded")


def names() -> tuple[str, ...]:
    """Every crash point."""
    points = ["create.committed", "provision.committed", "terminate.committed"]
    for workflow, steps in STEPS.items():
        points.append(f"{workflow}.fenced")
        points += [f"{workflow}.{step}.{moment}" for step in steps for moment in MOMENTS]
    points += [f"stage.{stage}.{state}" for stage in STAGES for state in ("start", "ok")]
    return tuple(points)


def reach(name: str) -> None:
    """Die here when the environment says so."""
    if os.environ.get("FUELCTL_CRASH_AT") != name:
        return
    once = os.environ.get("FUELCTL_CRASH_ONCE")
    if once:
        try:
            Path(once).touch(exist_ok=False)
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
