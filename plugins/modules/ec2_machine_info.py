#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ec2_machine_info
short_description: Tell which EC2 instances belong to environments
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Lists the instances of the environments that are named, or of all in the region, by their tags.
  - That AWS does not show an instance is no proof that there is none. An environment is told to be gone only when AWS
    shows that its instances have ended.
options:
  environment_ids:
    description: Environments to look for. All that carry the collection's tag, without.
    type: list
    elements: str
    default: []
  connect_to:
    description: Which address to tell as that of the machine.
    type: str
    choices: [public, private]
    default: public
  to_be_entered:
    description: Fail where one of them is stopped, for nobody could see what is in it.
    type: bool
    default: false
extends_documentation_fragment:
  - fuel_code.remote.attributes.info
  - fuel_code.remote.aws
  - fuel_code.remote.aws.patience
  - fuel_code.remote.progress
  - amazon.aws.common.modules
  - amazon.aws.region.modules
"""

EXAMPLES = r"""
- name: Find an environment's machine
  fuel_code.remote.ec2_machine_info:
    environment_ids: [01JD0000000000000000000000]
    region: eu-central-1
  register: found
"""

RETURN = r"""
machines:
  description:
    - Each instance with C(environment_id), C(owner), C(instance_id), C(state), C(address), C(instance_type), C(zone),
      C(market), C(launched_at) (epoch seconds), C(reason) (why it ended) and C(tags).
  returned: success
  type: list
  elements: dict
  sample:
    - environment_id: 01JD0000000000000000000000
      owner: alice
      instance_id: i-0123456789abcdef0
      state: running
      address: 203.0.113.7
      instance_type: t3.medium
      zone: eu-central-1a
      market: on-demand
      launched_at: 1767225600.0
      reason: ''
      tags: {Name: fuel-code-shop}
observed:
  description:
    - Environments of O(environment_ids) all of whose instances AWS shows as ended, one at least. In the shape of what
      M(fuel_code.remote.dev_container_info) tells of those that are there.
    - C(reason) is what ended them, by AWS's word C(spot) or C(console), or C(machine) for one that switched itself off.
  returned: success
  type: list
  elements: dict
  sample:
    - environment_id: 01JD0000000000000000000000
      present: false
      running: false
      events: []
      cursor: ''
      problem: null
      reason: spot
environments:
  description: Everything that carries the tag, by environment, with C(environment_id), C(owner) and C(resources).
  returned: success
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

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.fuel_code.remote.plugins.module_utils import _identity
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import _describe, _module, _view
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._view import Instance
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress


def shown(instance: Instance, connect_to: str) -> Dict[str, Any]:
    """An instance as the result has it."""
    return {
        "environment_id": instance.environment_id,
        "owner": instance.tags.get(_identity.TAG_OWNER, ""),
        "instance_id": instance.instance_id,
        "state": instance.state,
        "address": instance.address(connect_to),
        "instance_type": instance.instance_type,
        "zone": instance.zone,
        "market": instance.market,
        "launched_at": instance.launched_at,
        "reason": instance.reason_text or instance.reason,
        "tags": dict(instance.tags),
    }


def by_environment(machines: List[Instance]) -> List[Dict[str, Any]]:
    """What lives, by environment."""
    found: Dict[str, Dict[str, Any]] = {}
    for each in sorted(machines, key=lambda one: (one.environment_id, one.instance_id)):
        if each.state == "terminated":
            continue
        owner = each.tags.get(_identity.TAG_OWNER, "")
        empty: Dict[str, Any] = {"environment_id": each.environment_id, "owner": owner, "login": None, "resources": []}
        line = {"kind": "instance", "name": each.instance_id, "state": each.state}
        found.setdefault(each.environment_id, empty)["resources"].append(line)
    return [found[name] for name in sorted(found)]


def check_none_is_stopped(machines: List[Instance]) -> None:
    """FuelError for the first that is: what is on its disk can be seen by nobody."""
    for each in machines:
        if each.state in ("stopping", "stopped"):
            raise FuelError(
                f"the machine of {each.environment_id} is {each.state}, so nobody can look into it",
                hint=f"start it: aws ec2 start-instances --instance-ids {each.instance_id}",
                where=each.instance_id,
                code="ec2_stopped",
            )


def look(module: AnsibleAWSModule) -> Dict[str, Any]:
    """The module's result."""
    api = _module.connect(module)
    wanted = [_identity.check_environment_id(each) for each in module.params["environment_ids"]]
    machines = _describe.instances_of(api, wanted) if wanted else _describe.managed(api)
    if module.params["to_be_entered"]:
        check_none_is_stopped(machines)
    gone: Dict[str, Any] = {"present": False, "running": False, "events": [], "cursor": "", "problem": None}
    observed = []
    for name in wanted:
        its = [each for each in machines if each.environment_id == name]
        if its and all(each.state == "terminated" for each in its):
            observed.append({"environment_id": name, **gone, "reason": _view.ended_by(its)})
    return {
        "changed": False,
        "machines": [shown(each, module.params["connect_to"]) for each in machines],
        "observed": observed,
        "environments": by_environment(machines),
    }


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "environment_ids": {"type": "list", "elements": "str", "default": []},
            "connect_to": {"type": "str", "choices": ["public", "private"], "default": "public"},
            "to_be_entered": {"type": "bool", "default": False},
            **_module.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    progress = Progress("provider", module.params["progress_path"])
    _module.run(module, progress, lambda: look(module))


if __name__ == "__main__":
    main()
