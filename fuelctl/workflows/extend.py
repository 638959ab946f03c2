# SPDX-License-Identifier: GPL-3.0-or-later
"""Extend: have the environment's own watchdog wait longer. No workflow: whoever asks for it waits for the answer."""

from __future__ import annotations

import math

from fuelctl.environments.core import MachineError
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.awaited import failed, play_for
from fuelctl.workflows.run import Plant


def move_deadline(plant: Plant, row: EnvironmentRow, expires_at: float) -> None:
    """Return once the watchdog lets the environment live until `expires_at`; MachineError when it was not reached."""
    elsewhere = plant.out_of_reach(row)
    if elsewhere is not None:
        message = f"{row.name} was not extended: {elsewhere['message']}"
        raise MachineError(message, hint=elsewhere["hint"], code=elsewhere["code"])
    # Rounded up: whatever the fraction, the watchdog is never earlier than the lease.
    result = play_for(plant, row, "extend", remote_expires_at=math.ceil(expires_at))
    if result.status != "ok":
        raise failed(result, f"{row.name} was not extended", "nobody says why")
    if "expires_at" not in result.of("watchdog"):
        raise MachineError(
            f"{row.name} was not extended: its machine is not there",
            hint=f"see fuelctl status {row.name}",
            code="no_machine",
        )
