# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What the module dev_container takes and does, wherever it runs: as a module, or in Ansible's own process."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple

from .. import _heartbeat
from .._docker import Docker
from .._docker_engine import Machine, ensure
from .._errors import FuelError, UsageError
from .._identity import check_environment_id
from .._inside import ARGUMENTS as INSIDE
from .._inside import MACHINE
from .._progress import Progress
from .._receipt import GONE, PRESENT, entry, receipt
from . import _in_place
from ._absent import absent
from ._present import present
from ._spec import Spec

_SPEC: Dict[str, Any] = {
    "environment_id": {"type": "str", "required": True},
    "attempt": {"type": "int", "default": 1},
    "name": {"type": "str"},
    "owner": {"type": "str"},
    "image": {"type": "str"},
    "system_packages": {"type": "list", "elements": "str", "default": []},
    "ca_certificates": {"type": "list", "elements": "str", "default": []},
    "workspace": {"type": "str"},
    "authorized_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "env": {"type": "dict", "default": {}},
    "secrets_json": {"type": "str", "no_log": True},
    "ports": {"type": "list", "elements": "int", "default": []},
    "services": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
            "env": {"type": "dict", "default": {}},
            "ports": {"type": "list", "elements": "int", "default": []},
            "command": {"type": "list", "elements": "str", "default": []},
        },
    },
    "memory": {"type": "str"},
    "cpus": {"type": "float"},
    "caches": {"type": "list", "elements": "str", "default": ["npm", "pip"]},
    "user": {"type": "str"},
    "expires_at": {"type": "float"},
}
_HEARTBEAT: Dict[str, Any] = {
    "heartbeat_url": {"type": "str"},
    "heartbeat_token_file": {"type": "path", "no_log": False},
}
ARGUMENTS: Dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "progress_path": {"type": "path"},
    "engine": {
        "type": "dict",
        "options": {"registry_mirrors": {"type": "list", "elements": "str", "default": []}},
    },
    **_HEARTBEAT,
    **_SPEC,
    **INSIDE,
}
RULES: Dict[str, Any] = {
    "required_if": [("state", "present", ("name", "owner"))],
    "required_together": [tuple(_HEARTBEAT)],
}


def dev_container(params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
    """The module's result."""
    state = params["state"]
    progress = Progress("container" if state == "present" else "destroy", params["progress_path"])
    try:
        if params["environment_is"] == MACHINE:
            result = _on_machine(params, progress, check=check)
        elif state == "absent":
            result = _absent(params, Docker(), progress, check=check)
        else:
            installed = _have_engine(params["engine"], progress, check=check)
            # Where one would first have to be installed, there is nothing to look into.
            result = {} if installed and check else _present(params, Docker(), progress, check=check)
            result["changed"] = installed or result["changed"]
    except FuelError as error:
        return error.as_result(steps=progress.steps)
    return {**result, "steps": progress.steps}


def _on_machine(params: Mapping[str, Any], progress: Progress, *, check: bool) -> Dict[str, Any]:
    if params["state"] == "absent":
        raise UsageError(
            "an environment that is a machine is ended with it, by its provider", where="state", code="provider_ends_it"
        )
    return _in_place.present(_spec({**params, "image": params["image"] or "machine"}), progress, check=check)


def _spec(params: Mapping[str, Any]) -> Spec:
    given = {name: params[name] for name in _SPEC}
    given["workspace"] = given["workspace"] or given["name"]
    given["image"] = given["image"] or ""
    return Spec.build(**given)


def _have_engine(wanted: Optional[Mapping[str, Any]], progress: Progress, *, check: bool) -> bool:
    """Whether the machine's engine had to be installed or to be set otherwise. Nothing is touched without `wanted`."""
    return wanted is not None and ensure(wanted["registry_mirrors"], progress, Machine(), check=check).changed


def _present(params: Mapping[str, Any], docker: Docker, progress: Progress, *, check: bool) -> Dict[str, Any]:
    outcome = present(docker, _spec(params), progress, check=check)
    result: Dict[str, Any] = {"changed": outcome.changed, "diff": {"before": outcome.before, "after": outcome.after}}
    if outcome.environment:
        result.update(environment=outcome.environment, resources=outcome.resources)
        if not check:
            armed, changed = _have_heartbeat(params, outcome.environment["container"], progress)
            result.update(heartbeat=armed, changed=outcome.changed or changed)
    return result


def _have_heartbeat(params: Mapping[str, Any], container: str, progress: Progress) -> Tuple[bool, bool]:
    """(whether the machine tells by itself what is done, whether that was changed)."""
    url, environment_id = params["heartbeat_url"], params["environment_id"]
    if not url or not _heartbeat.Place().can():
        changed = _heartbeat.armed(environment_id)
        _heartbeat.disarm(environment_id)
        return False, changed
    with progress.step("heartbeat") as step:
        changed = _heartbeat.arm(environment_id, container, url, params["heartbeat_token_file"])
        if not changed:
            step.reuse()
    return True, changed


def _absent(params: Mapping[str, Any], docker: Docker, progress: Progress, *, check: bool) -> Dict[str, Any]:
    environment_id = check_environment_id(params["environment_id"])
    timers = []
    if not check and _heartbeat.armed(environment_id):
        state = GONE if _heartbeat.disarm(environment_id) else PRESENT
        timers = [entry("timer", _heartbeat.unit_of(environment_id), state)]
    changed, found, before = absent(docker, environment_id, progress, attempt=params["attempt"], check=check)
    told = receipt([*found["resources"], *timers]) if timers else found
    return {"changed": changed or bool(timers), "receipt": told, "diff": {"before": before, "after": {"resources": []}}}
