# SPDX-License-Identifier: GPL-3.0-or-later
"""What a line of the log says of the environment that it is about, for `extra` and `saying`."""

from __future__ import annotations

from fuelctl.store.models import EnvironmentRow


def of(row: EnvironmentRow) -> dict[str, str]:
    """`{environment, instance?}`: its id, and its cloud's id of its newest machine, else its container's name."""
    machines = row.provider.get("machines") or {}
    newest = max(machines, key=lambda name: float(machines[name].get("begun") or 0.0), default=None)
    instance = newest or (row.connection or {}).get("container")
    return {"environment": row.id, **({"instance": str(instance)} if instance else {})}
