# SPDX-License-Identifier: GPL-3.0-or-later
"""Access: have an address, or a key, let in; a machine stopped or started. No workflow: who asks waits for it."""

from __future__ import annotations

from fuelctl import paths, provider_traits
from fuelctl.environments.access import LetIn
from fuelctl.environments.core import MachineError
from fuelctl.environments.registry import ConflictError
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.ulids import new_ulid
from fuelctl.workflows.run import Plant, common, play


def authorize(plant: Plant, row: EnvironmentRow, address: str) -> LetIn:
    """Return once port 22 of its machine is open to this address; MachineError when its provider could not be told."""
    result = play(
        plant,
        "access",
        {**common(row), "remote_let_in": [address]},
        of=[row.id],
        record=paths.run_folder(row.id, new_ulid(plant.core.clock().wall)),
    )
    if result.status == "stopped":
        raise MachineError("the control plane is stopping", hint="repeat it in a moment", code="stopping")
    failure = result.failure or {}
    told = result.scrub([one["let_in"] for results in result.results.values() for one in results if "let_in" in one])
    if result.status != "ok" or not told:
        raise MachineError(
            f"{address} was not let in to {row.name}: {failure.get('message') or 'its provider did not say so'}",
            hint=failure.get("hint"),
            where=failure.get("where"),
            code=failure.get("code") or "failed",
        )
    rules = [{"kind": str(each["kind"]), "name": str(each["name"])} for each in told[-1]["resources"]]
    return LetIn([str(each) for each in told[-1]["networks"]], rules)


def admit(plant: Plant, row: EnvironmentRow, public_key: str) -> None:
    """Return once this key opens the environment, and its machine on the way; MachineError when it was not reached."""
    elsewhere = plant.out_of_reach(row)
    if elsewhere is not None:
        message = f"the key was not let in to {row.name}: {elsewhere['message']}"
        raise MachineError(message, hint=elsewhere["hint"], code=elsewhere["code"])
    result = play(
        plant,
        "admit",
        {**common(row), "remote_public_key": public_key},
        of=[row.id],
        record=paths.run_folder(row.id, new_ulid(plant.core.clock().wall)),
    )
    if result.status == "stopped":
        raise MachineError("the control plane is stopping", hint="repeat it in a moment", code="stopping")
    failure = result.failure or {}
    if result.status != "ok" or "admitted" not in result.of("dev_container_key"):
        raise MachineError(
            f"the key was not let in to {row.name}: {failure.get('message') or 'its machine is not there'}",
            hint=failure.get("hint") or f"see fuelctl status {row.name}",
            where=failure.get("where"),
            code=failure.get("code") or "failed",
        )


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
    result = play(
        plant,
        "power",
        {**common(row), "remote_power": state},
        of=[row.id],
        record=paths.run_folder(row.id, new_ulid(plant.core.clock().wall)),
    )
    if result.status == "stopped":
        raise MachineError("the control plane is stopping", hint="repeat it in a moment", code="stopping")
    if result.status != "ok":
        failure = result.failure or {}
        raise MachineError(
            f"{row.name} is not {state}: {failure.get('message') or 'another run is at work on it'}",
            hint=failure.get("hint") or f"see fuelctl status {row.name}",
            where=failure.get("where"),
            code=failure.get("code") or "failed",
        )
