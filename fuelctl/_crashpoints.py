# SPDX-License-Identifier: GPL-3.0-or-later
"""Named points at which a test can kill this process: `FUELCTL_CRASH_AT=<name>[,<name>...]` ends it there with SIGKILL.

With `FUELCTL_CRASH_ONCE=<file>` it happens once at each: the name is written there first, and who finds it goes on.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from fuelctl._shared._progress import STAGES

#: The steps of each workflow, in order. `workflows` runs them under these names and no others.
STEPS: dict[str, tuple[str, ...]] = {
    "provision": ("unpack", "up", "undo", "clean", "publish", "report"),
    "terminate": ("rescue", "down", "settle", "clean"),
}
#: Stages that no playbook goes through: the caller packs the source, and being ready is an end.
_OUTSIDE = ("source", "ready")
#: Before a step begins; when its work is done and nobody knows; when that has been recorded.
MOMENTS = ("before", "done", "recorded")


def names() -> tuple[str, ...]:
    """Every crash point."""
    points = ["create.committed", "provision.committed", "terminate.committed", "key.marked", "extend.moved"]
    for workflow, steps in STEPS.items():
        points.append(f"{workflow}.fenced")
        points += [f"{workflow}.{step}.{moment}" for step in steps for moment in MOMENTS]
    points += [f"stage.{stage}.{state}" for stage in STAGES if stage not in _OUTSIDE for state in ("start", "ok")]
    return tuple(points)


def reach(name: str) -> None:
    """Die here when the environment says so."""
    if name not in os.environ.get("FUELCTL_CRASH_AT", "").split(","):
        return
    once = os.environ.get("FUELCTL_CRASH_ONCE")
    if once:
        reached = Path(once)
        if reached.exists() and name in reached.read_text(encoding="ascii").split():
            return
        with reached.open("a", encoding="ascii") as opened:
            opened.write(f"{name}\n")
    os.kill(os.getpid(), signal.SIGKILL)
