# SPDX-License-Identifier: GPL-3.0-or-later
"""Access: have an address, or a key, let in; a machine stopped or started. No workflow: who asks waits for it."""

from __future__ import annotations

from fuelctl import provider_traits
from fuelctl.environments.access import LetIn
from fuelctl.environments.core import MachineError
from fuelctl.environments.registry import ConflictError
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.awaited import failed, play_for
from fuelctl.workflows.run import Plant


def authorize(plant: Plant, row: EnvironmentRow, address: str) -> LetIn:
    """Return once port 22 of its machine is open to this address; MachineError when its provider could not be told."""
    result = play_for(plant, row, "access", remote_let_in=[address])
    told = result.scrub([one["let_in"] for results in result.results.values() for one in results if "let_in" in one])
    if result.status != "ok" or not told:
        raise failed(result, f"{address} was not let in to {row.name}", "its provider did not say so")
    rules = [{"kind": str(each["kind"]), "name": str(each["name"])} for each in told[-1]["resources"]]
    return LetIn([str(each) for each in told[-1]["networks"]], rules)


def admit(plant: Plant, row: EnvironmentRow, public_key: str) -> None:
    """Return once this key opens the environment, and its machine on the way; MachineError when it was not reached."""
    elsewhere = plant.out_of_reach(row)
    if elsewhere is not None:
        message = f"the key was not let in to {row.name}: {elsewhere['message']}"
        raise MachineError(message, hint=elsewhere["hint"], code=elsewhere["code"])
    result = play_for(plant, row, "admit", remote_public_key=public_key)
    if result.status != "ok" or "admitted" not in result.of("dev_container_key"):
        what = f"the key was not let in to {row.name}"
        raise failed(result, what, "its machine is not there", hint=f"see fuelctl status {row.name}")


def check_stops(row: EnvironmentRow) -> None:
    """ConflictError where its provider has no machines that can be stopped."""
    provider = row.provider["name"]
    if not provider_traits.of(provider).stops:
        raise ConflictError(
            f"the provider {provider} has no machines that can be stopped",
            hint=f"end it, and save its work before: fuelctl down --rescue {row.name}",
            code="cannot_stop",
            where=row.name,
        )


def power(plant: Plant, row: EnvironmentRow, state: str) -> None:
    """Return once its machine is in that state; MachineError when its provider could not be told."""
    check_stops(row)
    result = play_for(plant, row, "power", remote_power=state)
    if result.status != "ok":
        raise failed(result, f"{row.name} is not {state}", "nobody says why", hint=f"see fuelctl status {row.name}")
