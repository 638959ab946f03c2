# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit: ask a provider for all that carries our label. No workflow: whoever asks waits for the answer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from fuelctl import _shared, paths
from fuelctl.environments.audit import Place, Seen, read
from fuelctl.environments.core import MachineError
from fuelctl.workflows.run import Plant, play

_ROLE = "provider_"
#: What says that somebody is known to a provider: variables, and files of their home.
_SIGNS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "ec2": (
        (
            "AWS_ACCESS_KEY_ID",
            "AWS_CONFIG_FILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_PROFILE",
            "AWS_ROLE_ARN",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        ),
        (".aws/config", ".aws/credentials"),
    ),
    "fly": (("FLY_API_TOKEN",), ()),
}


def providers(known: Collection[str]) -> list[str]:
    """Every provider that can be asked here: it has an entry point `audit`, and is set up or has had an environment."""
    roles = Path(next(iter(_shared.__path__))).parent.parent / "roles"
    found = sorted(role.parent.parent.name.removeprefix(_ROLE) for role in roles.glob(f"{_ROLE}*/tasks/audit.yml"))
    return [name for name in found if name == "local" or name in known or _is_set_up(name, os.environ)]


def _is_set_up(name: str, source: Mapping[str, str]) -> bool:
    variables, files = _SIGNS.get(name, ((), ()))
    home = Path(source.get("HOME") or "~").expanduser()
    return any(source.get(variable) for variable in variables) or any((home / file).exists() for file in files)


def look(plant: Plant, place: Place) -> Seen:
    """What the provider shows; MachineError when it could not be asked."""
    name = place.provider
    record = paths.run_folder("audit", name)
    # Only the last one is of interest.
    shutil.rmtree(record, ignore_errors=True)
    result = play(
        plant,
        "audit",
        {
            "remote_provider": name,
            "remote_provider_options": place.options,
            "remote_regions": list(place.regions),
            "remote_all_regions": place.all_regions,
        },
        of=[],
        record=record,
        lock=f"audit-{name}",
    )
    if result.status == "busy":
        raise MachineError("another audit is under way", hint="repeat it in a moment", where=name, code="busy")
    if result.status == "stopped":
        raise MachineError("the control plane is stopping", hint="repeat it in a moment", where=name, code="stopping")
    if result.status != "ok":
        failure = result.failure or {}
        raise MachineError(
            str(failure.get("message")),
            hint=failure.get("hint"),
            where=failure.get("where") or name,
            code=failure.get("code") or "failed",
        )
    told = result.scrub([one for results in result.results.values() for one in results])
    return Seen(
        found=[read(name, entry) for one in told for entry in one.get("environments") or []],
        problems=[problem for one in told for problem in one.get("problems") or []],
    )
