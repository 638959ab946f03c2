#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ec2_lease
short_description: Have an environment's EC2 machine say that it ends later
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Moves the tag C(fuel-code:expires-at) of the environment's machine, its disks and its network interfaces, by which
    whoever lost everything else knows how long it is meant to live. A later time is kept.
  - The timer on the machine, which ends it, is M(fuel_code.remote.watchdog)'s. Moved after the tag, nothing is ever
    believed to end before it does.
attributes:
  check_mode:
    support: full
    description: Asks AWS what there is. Changes nothing.
  diff_mode:
    support: none
    description: Tells in RV(machines) what was said before.
options:
  environment_id:
    description: The environment.
    type: str
    required: true
  expires_at:
    description: When it ends, at least, as epoch seconds.
    type: int
    required: true
extends_documentation_fragment:
  - fuel_code.remote.aws
  - fuel_code.remote.aws.patience
  - fuel_code.remote.progress
  - amazon.aws.common.modules
  - amazon.aws.region.modules
"""

EXAMPLES = r"""
- name: Let it live two hours more
  fuel_code.remote.ec2_lease:
    environment_id: 01JD0000000000000000000000
    expires_at: "{{ '%s' | ansible.builtin.strftime | int + 7200 }}"
    region: eu-central-1
"""

RETURN = r"""
machines:
  description: Machines that have not ended, with what their tags said before (epoch seconds, or none).
  returned: success
  type: list
  elements: dict
  sample: [{instance_id: i-0123456789abcdef0, expires_at_before: 1767254400.0}]
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

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import _describe, _module, _tags
from ansible_collections.fuel_code.remote.plugins.module_utils._identity import check_environment_id
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress


def extend(module: AnsibleAWSModule, progress: Progress) -> Dict[str, Any]:
    """The module's result."""
    params = module.params
    with progress.step("say when it ends") as step:
        api = _module.connect(module)
        alive = [
            each
            for each in _describe.instances_of(api, [check_environment_id(params["environment_id"])])
            if not each.dead
        ]
        moved = [_tags.move_end(api, each, params["expires_at"], check=module.check_mode) for each in alive]
        step.message = _tags.stamp(params["expires_at"])
        if not any(moved):
            step.reuse()
    told = [
        {"instance_id": each.instance_id, "expires_at_before": _tags.moment(each.tags.get(_tags.EXPIRES_AT, ""))}
        for each in alive
    ]
    return {"changed": any(moved), "machines": told}


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "environment_id": {"type": "str", "required": True},
            "expires_at": {"type": "int", "required": True},
            **_module.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    progress = Progress("provider", module.params["progress_path"])
    _module.run(module, progress, lambda: extend(module, progress))


if __name__ == "__main__":
    main()
