#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fly_machine
short_description: Have one Fly Machine of a name, in a state, or end it with proof
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Makes at most one machine of a name in an app. Fly.io refuses a second one, and so a repeat, also of a run that was
    killed at any moment, finds the machine and makes no other.
  - What changes a machine that there is holds its lease meanwhile. That of a killed run ends by itself within seconds,
    for which the next run waits.
  - A digest of the configuration is kept in the machine's metadata. Another one has Fly.io replace the machine under
    the same id, with its volume; metadata alone is changed in place. What other tools change is not undone.
  - A machine that is there and of another environment is refused.
attributes:
  check_mode:
    support: full
    description: Asks Fly.io what there is, and changes nothing.
  diff_mode:
    support: full
    description: Shows state, region, configuration and metadata before and after.
options:
  name:
    description: Name of the machine, the only one of it in the app.
    type: str
    required: true
  state:
    description:
      - V(started), V(stopped) and V(suspended) are waited for.
      - V(present) leaves a machine in the state that it has, and makes one without starting it.
      - With V(absent), there is none, and a receipt.
    type: str
    choices: [started, stopped, suspended, present, absent]
    default: started
  region:
    description: Region, for example V(fra). It cannot be changed. Fly.io chooses without.
    type: str
    default: ''
  image:
    description:
      - Image that it runs.
      - Without one, a machine that there is keeps its configuration, and none is made.
    type: str
    default: ''
  cpu_kind:
    description: Kind of its CPUs.
    type: str
    choices: [shared, performance]
    default: shared
  cpus:
    description: How many.
    type: int
    default: 2
  memory_mb:
    description: Memory in MiB, a multiple of 256.
    type: int
    default: 4096
  env:
    description:
      - Environment variables. Whoever may see the machine sees them.
      - What is secret goes by M(fuel_code.remote.fly_secrets).
    type: dict
    default: {}
  mounts:
    description: Volumes, by id or name, and where they are mounted. At most one, of the machine's region.
    type: list
    elements: dict
    default: []
    suboptions:
      volume:
        description: Id of the volume.
        type: str
        required: true
      path:
        description: Where it is mounted.
        type: str
        required: true
  services:
    description: TCP ports that the app's addresses take connections on.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: Port of the address.
        type: int
        required: true
      internal_port:
        description: Port in the machine.
        type: int
        required: true
      autostart:
        description: Whether a connection starts the machine.
        type: bool
        default: true
      autostop:
        description: What Fly.io does with the machine when nobody has been connected for some minutes.
        type: str
        choices: ['off', stop, suspend]
        default: 'off'
  command:
    description: Runs in the place of the image's own command.
    type: list
    elements: str
    default: []
  restart:
    description: When Fly.io starts it again after its main process has ended.
    type: str
    choices: ['no', on-failure, always]
    default: 'no'
  stop_signal:
    description: Signal that asks its main process to end.
    type: str
    default: SIGTERM
  stop_timeout:
    description: Seconds until it is killed then.
    type: int
    default: 30
  auto_destroy:
    description: Whether the machine is destroyed when its main process ends. Its volume stays.
    type: bool
    default: false
  config:
    description: Further fields of the machine's configuration, as the Machines API takes them. They win.
    type: dict
    default: {}
  metadata:
    description: Further metadata.
    type: dict
    default: {}
  environment_id:
    description: ULID of the environment that it is for, for the metadata. A machine of another one is refused.
    type: str
    default: ''
  owner:
    description: Who the environment belongs to, for the metadata.
    type: str
    default: ''
  expires_at:
    description: When it is to end, for the metadata. Epoch seconds.
    type: int
  wait_timeout:
    description: Seconds to wait for the state.
    type: float
    default: 180
  lease_timeout:
    description: Seconds to wait for whoever else is changing the machine.
    type: float
    default: 60
  org:
    description:
      - Slug of the app's organization.
      - With O(state=absent), what is not there is believed to be gone only if the token sees this organization.
    type: str
    default: personal
extends_documentation_fragment:
  - fuel_code.remote.fly
  - fuel_code.remote.fly.app
  - fuel_code.remote.progress
"""

EXAMPLES = r"""
- name: Have a machine with a volume, which SSH reaches and wakes
  fuel_code.remote.fly_machine:
    app: fuel-code-01jd0000000000000000000000
    name: dev
    region: fra
    image: registry.fly.io/fuel-code-dev:latest
    cpus: 2
    memory_mb: 4096
    mounts: [{volume: vol_4o5p6q7r8s9t, path: /data}]
    services: [{port: 10022, internal_port: 2222}]
    environment_id: 01JD0000000000000000000000
    owner: alice
  register: launched

- name: Stop it, whatever it is made from
  fuel_code.remote.fly_machine:
    app: fuel-code-01jd0000000000000000000000
    name: dev
    state: stopped

- name: End it
  fuel_code.remote.fly_machine:
    app: fuel-code-01jd0000000000000000000000
    name: dev
    state: absent
    environment_id: 01JD0000000000000000000000
  register: ended
"""

RETURN = r"""
machine:
  description:
    - The machine as Fly.io shows it, with C(id), C(name), C(state), C(region), C(instance_id) (its version),
      C(private_ip), C(config), C(created_at) and C(events).
  returned: but with O(state=absent); in check mode only where there is one
  type: dict
  sample: {id: 148ed123456789, name: dev, state: started, region: fra}
done:
  description:
    - What was done, or would be, of C(create), C(update), C(metadata), C(start), C(stop), C(suspend) and C(destroy).
  returned: success
  type: list
  elements: str
  sample: [create]
receipt:
  description: What was asked for again after the end.
  returned: with O(state=absent), not in check mode
  type: dict
  contains:
    complete:
      description: Whether everything is gone.
      type: bool
    checked_at:
      description: When, in RFC 3339, UTC.
      type: str
      sample: '2026-01-01T00:00:00Z'
    resources:
      description: Each thing with C(kind), C(name), C(state) (C(gone), C(present) or C(unknown)) and C(detail).
      type: list
      elements: dict
steps:
  description: What was done, with C(stage), C(step), C(state), C(seconds) and C(message).
  returned: always
  type: list
  elements: dict
error:
  description: What went wrong, with C(message), C(hint), C(where), C(code) and C(details).
  returned: failure
  type: dict
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import _machine, _module, _tags
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress
from ansible_collections.fuel_code.remote.plugins.module_utils._receipt import receipt


def configuration(params: Dict[str, Any]) -> Dict[str, Any]:
    """The machine's configuration as the API takes it."""
    services: List[Dict[str, Any]] = [
        {
            "protocol": "tcp",
            "internal_port": each["internal_port"],
            "ports": [{"port": each["port"], "handlers": []}],
            "autostart": each["autostart"],
            "autostop": each["autostop"],
            "min_machines_running": 0,
        }
        for each in params["services"]
    ]
    made: Dict[str, Any] = {
        "image": params["image"],
        "guest": {"cpu_kind": params["cpu_kind"], "cpus": params["cpus"], "memory_mb": params["memory_mb"]},
        "env": {str(key): str(value) for key, value in params["env"].items()},
        "mounts": [{"volume": each["volume"], "path": each["path"]} for each in params["mounts"]],
        "services": services,
        "restart": {"policy": params["restart"]},
        "stop_config": {"signal": params["stop_signal"], "timeout": f"{params['stop_timeout']}s"},
        "auto_destroy": params["auto_destroy"],
    }
    if params["command"]:
        made["init"] = {"cmd": params["command"]}
    return {**made, **params["config"]}


def plan(params: Dict[str, Any]) -> _machine.Plan:
    """What is wanted; without an image, a machine that there is, with the configuration that it has."""
    marks = {str(key): str(value) for key, value in params["metadata"].items()}
    if params["environment_id"]:
        marks.update(_tags.metadata(params["environment_id"], params["owner"], params["expires_at"]))
    return _machine.Plan(
        app=params["app"],
        name=params["name"],
        region=params["region"],
        config=configuration(params) if params["image"] else None,
        metadata=marks,
        state="" if params["state"] in ("present", "absent") else params["state"],
        org=params["org"],
    )


def work(module: AnsibleModule, progress: Progress) -> Dict[str, Any]:
    """The module's result."""
    api = _module.connect(module, open_url)
    params, check = module.params, module.check_mode
    wanted = plan(params)
    waiting = _machine.Waiting(
        timeout=params["wait_timeout"],
        lease=params["lease_timeout"],
        tell=lambda message: progress.output("machine", message),
    )
    if params["state"] == "absent":
        with progress.step("destroy machine"):
            ended, lines, before = _machine.destroy(api, wanted, waiting, check=check)
        return {
            "changed": bool(ended),
            "done": ["destroy"] if ended else [],
            "diff": {"before": before, "after": _machine.summary(None)},
            **({} if check else {"receipt": receipt(lines)}),
        }
    if params["memory_mb"] % 256:
        raise UsageError(f"{params['memory_mb']} MiB is no multiple of 256", where="memory_mb")
    with progress.step("machine") as step:
        result = _machine.ensure(api, wanted, waiting, check=check)
        if not result.done:
            step.reuse()
    return {
        "changed": bool(result.done),
        "done": result.done,
        "diff": {"before": result.before, "after": result.after},
        **({} if result.machine is None else {"machine": result.machine}),
    }


def argument_spec() -> Dict[str, Any]:
    text: Dict[str, Any] = {"type": "str", "default": ""}
    mount: Dict[str, Any] = {"volume": {"type": "str", "required": True}, "path": {"type": "str", "required": True}}
    service: Dict[str, Any] = {
        "port": {"type": "int", "required": True},
        "internal_port": {"type": "int", "required": True},
        "autostart": {"type": "bool", "default": True},
        "autostop": {"type": "str", "choices": ["off", "stop", "suspend"], "default": "off"},
    }
    return {
        "app": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "state": {
            "type": "str",
            "choices": ["started", "stopped", "suspended", "present", "absent"],
            "default": "started",
        },
        "region": text,
        "image": text,
        "cpu_kind": {"type": "str", "choices": ["shared", "performance"], "default": "shared"},
        "cpus": {"type": "int", "default": 2},
        "memory_mb": {"type": "int", "default": 4096},
        "env": {"type": "dict", "default": {}},
        "mounts": {"type": "list", "elements": "dict", "default": [], "options": mount},
        "services": {"type": "list", "elements": "dict", "default": [], "options": service},
        "command": {"type": "list", "elements": "str", "default": []},
        "restart": {"type": "str", "choices": ["no", "on-failure", "always"], "default": "no"},
        "stop_signal": {"type": "str", "default": "SIGTERM"},
        "stop_timeout": {"type": "int", "default": 30},
        "auto_destroy": {"type": "bool", "default": False},
        "config": {"type": "dict", "default": {}},
        "metadata": {"type": "dict", "default": {}},
        "environment_id": text,
        "owner": text,
        "expires_at": {"type": "int"},
        "wait_timeout": {"type": "float", "default": 180},
        "lease_timeout": {"type": "float", "default": 60},
        "org": {"type": "str", "default": "personal"},
        **_module.ARGUMENTS,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    progress = Progress("destroy" if module.params["state"] == "absent" else "provider", module.params["progress_path"])
    _module.run(module, progress, lambda: work(module, progress))


if __name__ == "__main__":
    main()
