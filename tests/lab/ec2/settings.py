# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's cloud is asked to be like. All can be changed while it runs: `PATCH /_lab/settings`."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from typing import Any


@dataclass
class Settings:
    """Times in seconds."""

    #: After RunInstances, Describe* and TerminateInstances do not know the instance for a time between these two.
    describe_lag_min: float = 0.0
    describe_lag_max: float = 0.0
    #: After TerminateInstances, DescribeInstances goes on showing the state of before.
    stale: float = 0.0
    #: From RunInstances to `running`, and to the machine being started.
    boot_delay: float = 0.5
    #: From TerminateInstances to `terminated` at the earliest.
    shutdown_delay: float = 0.5
    #: A terminated instance is shown for this long (AWS: about an hour), then its id is unknown.
    remembered: float = 3600.0
    #: No time: 1, and a machine's port 22 drops what no rule of its groups lets in from the caller's address.
    filter: float = 0.0

    def describe_lag(self) -> float:
        return random.uniform(self.describe_lag_min, max(self.describe_lag_min, self.describe_lag_max))

    def update(self, changes: dict[str, Any]) -> None:
        """ValueError for a name that there is not, or a value that is no number of seconds."""
        known = {field.name for field in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in known or isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ValueError(f"no setting {name!r} of {value!r}")
        for name, value in changes.items():
            setattr(self, name, float(value))
