#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fly_exec
short_description: Run a command in a Fly Machine, over the Machines API
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Runs a command, without a shell, in a machine that is started. It needs no port of the machine and no key to it, so
    it is how a host key is read that is believed from then on.
  - A command is never run twice unless it says that this does no harm (O(again)).
attributes:
  check_mode:
    support: full
    description: Runs nothing.
  diff_mode:
    support: none
    description: What a command changes is not known here.
options:
  name:
    description: Name of the machine.
    type: str
    required: true
  argv:
    description: The command's words.
    type: list
    elements: str
    required: true
  stdin:
    description: What it reads. It may be a secret, and comes into no result.
    type: str
    default: ''
  timeout:
    description: Seconds that it may take, at most 60.
    type: int
    default: 30
  again:
    description:
      - Whether it does no harm to run it twice, as when it only reads.
      - It is repeated then, within O(patience), until it ends with 0. It does not count as a change.
    type: bool
    default: false
extends_documentation_fragment:
  - fuel_code.remote.fly
  - fuel_code.remote.fly.app
  - fuel_code.remote.progress
"""

EXAMPLES = r"""
- name: Read the host key that the machine has made
  fuel_code.remote.fly_exec:
    app: fuel-code-01jd0000000000000000000000
    name: dev
    argv: [cat, /workspaces/.fuel-code/ssh/ssh_host_ed25519_key.pub]
    again: true
  register: host_key
"""

RETURN = r"""
rc:
  description: Its exit code. The module fails when it is not 0.
  returned: but in check mode, once it ran
  type: int
  sample: 0
stdout:
  description: What it wrote.
  returned: but in check mode, once it ran
  type: str
stderr:
  description: What it wrote as errors.
  returned: but in check mode, once it ran
  type: str
machine_id:
  description: Id of the machine.
  returned: but in check mode, once it ran
  type: str
  sample: 148ed123456789
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

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import _app, _exec, _module
from ansible_collections.fuel_code.remote.plugins.module_utils._fly._refusals import one_line
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress


def work(module: AnsibleModule, progress: Progress) -> Dict[str, Any]:
    """The module's result."""
    api = _module.connect(module, open_url)
    params = module.params
    command = _exec.Command(
        app=_app.check_name(params["app"]),
        machine=params["name"],
        argv=params["argv"],
        stdin=params["stdin"],
        timeout=params["timeout"],
        again=params["again"],
    )
    if module.check_mode:
        return {"changed": not command.again}
    with progress.step("exec"):
        done = _exec.run(api, command)
    if done.rc:
        raise FuelError(
            f"{params['argv'][0]} ended with {done.rc}: {one_line(done.stderr or done.stdout)}",
            hint="see what it wrote",
            where=f"{command.app}/{command.machine}",
            code="fly_command",
            details={"rc": done.rc, "stdout": done.stdout[-2000:], "stderr": done.stderr[-2000:]},
        )
    return {
        "changed": not command.again,
        "rc": done.rc,
        "stdout": done.stdout,
        "stderr": done.stderr,
        "machine_id": done.machine_id,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "argv": {"type": "list", "elements": "str", "required": True},
            "stdin": {"type": "str", "default": "", "no_log": True},
            "timeout": {"type": "int", "default": 30},
            "again": {"type": "bool", "default": False},
            **_module.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    progress = Progress("provider", module.params["progress_path"])
    _module.run(module, progress, lambda: work(module, progress))


if __name__ == "__main__":
    main()
