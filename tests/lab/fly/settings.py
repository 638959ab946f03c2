# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's Fly.io is asked to be like. All can be changed while it runs: `PATCH /_lab/settings`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass
class Settings:
    """Times in seconds."""

    #: From `starting` (or `replacing`) to `started`, besides what the container takes.
    boot_delay: float = 0.2
    #: From `stopping`, `suspending` and `destroying` to what follows them.
    end_delay: float = 0.1
    #: A destroyed machine is still shown by its id for this long.
    remembered: float = 3600.0
    #: No time: 1, and the documented limits hold (one call a second for each action and machine, bursts of three).
    rate_limits: float = 0.0
    #: What was made is in no list for so long; by its own name or id it is there at once.
    list_lag: float = 0.0
    #: Fly Proxy stops a machine whose services ask for it after so long without a connection; 0: never.
    autostop_after: float = 0.0

    def update(self, changes: dict[str, Any]) -> None:
        """ValueError for a name that there is not, or a value that is no number of seconds."""
        known = {field.name for field in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in known or isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ValueError(f"no setting {name!r} of {value!r}")
        for name, value in changes.items():
            setattr(self, name, float(value))
