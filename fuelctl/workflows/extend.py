# SPDX-License-Identifier: GPL-3.0-or-later
"""Extend: have the environment's own watchdog wait longer. No workflow: whoever asks for it waits for the answer."""

from __future__ import annotations

import math

from fuelctl import paths
from fuelctl.environments.core import MachineError
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.ulids import new_ulid
from fuelctl.workflows.run import Plant, common, play


def move_deadline(plant: Plant, row: EnvironmentRow, expires_at: float) -> None:
    """Return once the watchdog lets the environment live until `expires_at`; MachineError when it was not reached."""
    elsewhere = plant.out_of_reach(row)
    if elsewhere is not None:
        message = f"{row.name} was not extended: {elsewhere['message']}"
        raise MachineError(message, hint=elsewhere["hint"], code=elsewhere["code"])
    result = play(
        plant,
        "extend",
        # Rounded up: whatever the fraction, the watchdog is never earlier than the lease.
        {**common(row), "remote_expires_at": math.ceil(expires_at)},
        of=[row.id],
        record=paths.run_folder(row.id, new_ulid(plant.core.clock().wall)),
    )
    if result.status == "stopped":
        raise MachineError("the control plane is stopping", hint="repeat it in a moment", code="stopping")
    if result.status != "ok":
        failure = result.failure or {}
        raise MachineError(
            f"{row.name} was not extended: {failure.get('message')}",
            hint=failure.get("hint"),
            where=failure.get("where"),
            code=failure.get("code") or "failed",
        )
    if "expires_at" not in result.of("watchdog"):
        raise MachineError(
            f"{row.name} was not extended: its machine is not there",
            hint=f"see fuelctl status {row.name}",
            code="no_machine",
        )
