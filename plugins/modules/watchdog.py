#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: watchdog
short_description: Move the time at which an environment ends by itself
version_added: 0.1.0
description:
  - Moves the deadline of an environment's watchdog on this engine. Nothing else of the environment is touched, and
    there is no moment without a watchdog.
  - On a machine that powers itself off at its time, that time is moved as well when it would come earlier.
  - Fails when there is no watchdog, or when it does not run.
requirements:
  - The Docker command line, and the right to use the engine. E(DOCKER_HOST) is honoured.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  environment_id:
    description: Id of the environment.
    type: str
    required: true
  attempt:
    description: Which attempt at it.
    type: int
    default: 1
  expires_at:
    description: When it ends by itself. Epoch seconds.
    type: int
    required: true
  only_later:
    description: Keep a deadline that is later already, so that of two who extend it at once the longer one holds.
    type: bool
    default: false
extends_documentation_fragment:
  - fuel_code.remote.environment_is
  - fuel_code.remote.attributes
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Let it live for two hours more
  fuel_code.remote.watchdog:
    environment_id: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
    expires_at: "{{ now(utc=true).timestamp() | int + 7200 }}"
    only_later: true
"""

RETURN = r"""
expires_at:
  description: The deadline that holds now. Epoch seconds.
  returned: success
  type: int
  sample: 1764007200
expires_at_before:
  description: The deadline that held until now. Epoch seconds.
  returned: success
  type: int
  sample: 1764000000
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample: {message: There is no watchdog, hint: bring it up again, code: no_watchdog, details: {}}
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils import _machine_timer, _watchdog
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container import _in_place
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._lock import only_one
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Docker
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._identity import container_names
from ansible_collections.fuel_code.remote.plugins.module_utils._inside import ARGUMENTS as INSIDE
from ansible_collections.fuel_code.remote.plugins.module_utils._inside import MACHINE


def _move(docker: Docker, params: Dict[str, Any], *, check: bool) -> Dict[str, Any]:
    name = _watchdog.container_name(container_names(params["environment_id"], params["attempt"]).container)
    wanted: int = params["expires_at"]
    # Between reading the deadline and writing it nobody else may move it.
    with only_one(name):
        watchdog = _running(docker, name)
        before = int(_watchdog.deadline(docker, watchdog))
        after = max(before, wanted) if params["only_later"] else wanted
        machine = _machine_timer.deadline() if _machine_timer.present() else None
        if machine is not None:
            # Whichever is first ends the environment: a machine of ours powers itself off.
            before = min(before, machine)
            if machine != max(machine, after) and not check:
                _machine_timer.move(after)
        if after != before and not check:
            _watchdog.deadline(docker, watchdog, after)
    return _result(name, before, after)


def _move_machine(params: Dict[str, Any], *, check: bool) -> Dict[str, Any]:
    """Of an environment that is this machine: it ends by itself."""
    wanted: int = params["expires_at"]
    with only_one("machine.deadline"):
        # `never` is what nobody asked for: the lease decides.
        before = _in_place.deadline()[0] or wanted
        after = max(before, wanted) if params["only_later"] else wanted
        if not check:
            _in_place.deadline(after)
    return _result("the machine", before, after)


def _result(name: str, before: int, after: int) -> Dict[str, Any]:
    shown = {"before": f"{name} ends it at {before}\n", "after": f"{name} ends it at {after}\n"}
    return {"changed": after != before, "expires_at": after, "expires_at_before": before, "diff": shown}


def _running(docker: Docker, name: str) -> Dict[str, Any]:
    found = docker.inspect([name], kind="container")
    if not found:
        raise FuelError(
            "There is no watchdog, so nothing ends this environment by itself",
            hint="bring the environment up again, or end it",
            where=name,
            code="no_watchdog",
        )
    if not _watchdog.is_running(found[0]):
        raise FuelError(
            "The watchdog does not run, so nothing ends this environment by itself",
            hint=f"docker start {name}",
            where=name,
            code="watchdog_stopped",
        )
    return found[0]


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={
            "environment_id": {"type": "str", "required": True},
            "attempt": {"type": "int", "default": 1},
            "expires_at": {"type": "int", "required": True},
            "only_later": {"type": "bool", "default": False},
            **INSIDE,
        },
        supports_check_mode=True,
    )
    try:
        if module.params["environment_is"] == MACHINE:
            result = _move_machine(module.params, check=module.check_mode)
        else:
            result = _move(Docker(), module.params, check=module.check_mode)
    except FuelError as error:
        module.fail_json(msg=str(error), error=error.as_dict())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
