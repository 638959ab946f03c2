# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody asks of a worker and waits for: plain data there and back, for it travels through the database.

No operation of an environment: it is cancelled when nobody waits for it any more, and harmless when it is done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from fuelctl._shared._errors import FuelError
from fuelctl.environments.access import LetIn
from fuelctl.environments.audit import Found, Place, Seen
from fuelctl.environments.core import MachineError
from fuelctl.store import environments
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows import audit
from fuelctl.workflows.access import admit, authorize, power
from fuelctl.workflows.extend import move_deadline
from fuelctl.workflows.run import Plant
from fuelctl.workflows.volume import ask_volume

WORKFLOW = "ask"
#: `answer(plant, **arguments)`: plain data; FuelError says why not.
Answer = Callable[..., Any]


def answer(plant: Plant, verb: str, arguments: dict[str, Any], more: Mapping[str, Answer]) -> dict[str, Any]:
    """`{value}`, or `{error}` as `FuelError.as_dict` gives it. `more`: verbs that are known besides ours."""
    known = {**_VERBS, **more}
    try:
        if verb not in known:
            # A newer server asks an older worker.
            raise FuelError("this worker does not know how", hint="upgrade it", code="not_known")
        return {"value": known[verb](plant, **arguments)}
    except FuelError as error:
        return {"error": error.as_dict()}


def value_of(told: dict[str, Any]) -> Any:
    """What `answer` was; its error raised as MachineError."""
    if "error" not in told:
        return told["value"]
    error = told["error"]
    raise MachineError(
        str(error["message"]), hint=error.get("hint"), where=error.get("where"), code=str(error.get("code") or "failed")
    )


def seen_of(value: dict[str, Any]) -> Seen:
    """What a provider shows, from the plain data of it."""
    return Seen(found=[Found(**each) for each in value["found"]], problems=value["problems"])


def _extend(plant: Plant, environment_id: str, expires_at: float) -> None:
    move_deadline(plant, _row(plant, environment_id), expires_at)


def _authorize(plant: Plant, environment_id: str, address: str) -> dict[str, Any]:
    let_in: LetIn = authorize(plant, _row(plant, environment_id), address)
    return asdict(let_in)


def _admit(plant: Plant, environment_id: str, public_key: str) -> None:
    admit(plant, _row(plant, environment_id), public_key)


def _power(plant: Plant, environment_id: str, state: str) -> None:
    power(plant, _row(plant, environment_id), state)


def _volume(plant: Plant, environment_id: str, wanted: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return ask_volume(plant, _row(plant, environment_id), wanted, arguments)


def _audit(plant: Plant, place: dict[str, Any]) -> dict[str, Any]:
    return asdict(audit.look(plant, Place(**place)))


_VERBS: dict[str, Answer] = {
    "extend": _extend,
    "authorize": _authorize,
    "admit": _admit,
    "power": _power,
    "volume": _volume,
    "audit": _audit,
}


def _row(plant: Plant, environment_id: str) -> EnvironmentRow:
    with plant.core.database.read() as session:
        row = environments.get(session, environment_id)
    if row is None:
        raise MachineError(
            "there is no such environment", hint="see fuelctl ls --all", where=environment_id, code="not_found"
        )
    return row
