# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook for one environment that somebody waits for: no workflow, and its failure is the answer."""

from __future__ import annotations

from typing import Any

from fuelctl import paths
from fuelctl.environments.core import MachineError
from fuelctl.runner import RunResult
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.ulids import new_ulid
from fuelctl.workflows.run import Plant, common, play


def play_for(plant: Plant, row: EnvironmentRow, verb: str, **variables: Any) -> RunResult:
    """How it ended; MachineError when this process stops meanwhile."""
    record = paths.run_folder(row.id, new_ulid(plant.core.clock().wall))
    result = play(plant, verb, {**common(row), **variables}, of=[row.id], record=record)
    if result.status == "stopped":
        raise MachineError("the control plane is stopping", hint="repeat it in a moment", code="stopping")
    return result


def failed(result: RunResult, what: str, otherwise: str, *, hint: str | None = None) -> MachineError:
    """`what` has not been done, because of what the run said; where it said nothing, `otherwise` is why."""
    failure = result.failure or {}
    if result.status == "busy":
        otherwise = "another run is at work on it"
    return MachineError(
        f"{what}: {failure.get('message') or otherwise}",
        hint=failure.get("hint") or hint,
        where=failure.get("where"),
        code=failure.get("code") or "failed",
    )
