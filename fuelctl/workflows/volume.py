# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk that outlives its machine: shown, extended, snapshotted. No workflow: who asks waits for it."""

from __future__ import annotations

from typing import Any

from fuelctl import provider_traits
from fuelctl.environments.core import MachineError
from fuelctl.environments.registry import ConflictError
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.awaited import failed, play_for
from fuelctl.workflows.run import Plant


def check_has_volume(row: EnvironmentRow) -> None:
    """ConflictError where no disk of its provider outlives its machine."""
    provider = row.provider["name"]
    if not provider_traits.of(provider).has_volume:
        raise ConflictError(
            f"the provider {provider} has no volume that outlives its machine",
            hint=f"what is worked on is saved by a rescue: fuelctl down --rescue {row.name}",
            code="no_volume",
            where=row.name,
        )


def ask_volume(plant: Plant, row: EnvironmentRow, wanted: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Its volume, as its provider shows it, once it is as wanted; MachineError when its provider could not be told."""
    check_has_volume(row)
    more = {f"remote_volume_{name}": value for name, value in arguments.items()}
    result = play_for(plant, row, "volume", remote_volume=wanted, **more)
    hint = f"see fuelctl status {row.name}"
    if result.status != "ok":
        raise failed(result, f"the volume of {row.name} is not {wanted}", "nobody says why", hint=hint)
    told = [one["disk"] for results in result.results.values() for one in results if isinstance(one.get("disk"), dict)]
    if not told:
        raise MachineError(
            f"its provider shows no volume of {row.name}",
            hint=hint,
            where=row.name,
            code="no_volume",
        )
    return dict(result.scrub(told[-1]))
