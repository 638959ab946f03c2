#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ec2_access
short_description: Let an owner's address reach their EC2 machines by SSH, or nobody any more
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - With O(state=present), an owner has one security group in the VPC, in which port 22 is open to single addresses.
    Group and rules are found by name and tag, so a repeat makes nothing twice.
  - Without O(allow_from), the caller's own address is asked for, as a /32. When nobody says it, nobody is let in.
  - With O(state=present) and O(environment_id), an environment's machine that runs is let in to from elsewhere. The
    networks in O(allow_from) and the caller's own take the place of those that it was for, unless another machine of
    the owner says by its tag C(fuel-code:let-in) that it needs them. When the caller's own cannot be learned, all of
    them stay.
  - With O(state=absent), the owner's group goes with all its rules, unless a machine of theirs still runs. Then the
    rules go that were for the machines of the environments that are named, and for no other. Each rule and the group
    come back as entries of a receipt, asked for again.
  - Outgoing traffic is not restricted.
attributes:
  check_mode:
    support: full
    description: Asks AWS what there is. Changes nothing.
  diff_mode:
    support: full
    description: Shows the networks that are let in.
options:
  state:
    description: Whether somebody may connect.
    type: str
    choices: [present, absent]
    default: present
  owner:
    description: Whose group it is. Required with O(state=present), unless O(environment_id) says it.
    type: str
  environment_id:
    description: An environment whose machine's tags say the owner.
    type: str
  environment_ids:
    description: Several such environments, besides O(environment_id). Only with O(state=absent).
    type: list
    elements: str
    default: []
  subnet_ids:
    description: Subnets of the machines. Their VPC gets the group, without any the region's default VPC.
    type: list
    elements: str
    default: []
  allow_from:
    description: IPv4 networks to let in instead of the caller's own address. None wider than /16.
    type: list
    elements: str
    default: []
  address_services:
    description: Addresses at which a service answers with the caller's own address as text, in the order of preference.
    type: list
    elements: str
    default: ['https://checkip.amazonaws.com', 'https://api.ipify.org']
extends_documentation_fragment:
  - fuel_code.remote.aws
  - fuel_code.remote.aws.patience
  - fuel_code.remote.progress
  - amazon.aws.common.modules
  - amazon.aws.region.modules
"""

EXAMPLES = r"""
- name: Let this machine in
  fuel_code.remote.ec2_access:
    owner: alice
    region: eu-central-1
  register: access

- name: Let another address in to a machine that runs
  fuel_code.remote.ec2_access:
    environment_id: 01JD0000000000000000000000
    allow_from: [198.51.100.7]
    region: eu-central-1

- name: Close the door behind the last machine
  fuel_code.remote.ec2_access:
    state: absent
    owner: alice
    region: eu-central-1
"""

RETURN = r"""
access:
  description: The group.
  returned: with O(state=present)
  type: dict
  contains:
    group_id:
      description: Its id, empty in check mode when there is none yet.
      type: str
      sample: sg-0123456789abcdef0
    vpc_id:
      description: Its VPC.
      type: str
      sample: vpc-0123456789abcdef0
    networks:
      description: Networks that port 22 lets in.
      type: list
      elements: str
      sample: ["203.0.113.7/32"]
    account:
      description: The AWS account.
      type: str
      sample: "123456789012"
    region:
      description: The region.
      type: str
      sample: eu-central-1
let_in:
  description: Who is let in for this environment, or this time.
  returned: with O(state=present)
  type: dict
  contains:
    networks:
      description: The networks.
      type: list
      elements: str
      sample: ["203.0.113.7/32"]
    resources:
      description: The rules, with C(kind) and C(name), as a receipt is going to name them.
      type: list
      elements: dict
      sample: [{kind: ingress_rule, name: sg-0123456789abcdef0 port 22 from 203.0.113.7/32}]
receipt:
  description: What was asked for again after the end.
  returned: with O(state=absent)
  type: dict
  contains:
    complete:
      description: Whether everything is gone.
      type: bool
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

from typing import Any, Dict, List, Optional

from ansible.module_utils.urls import open_url
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import _access, _describe, _let_in, _module
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._caller import (
    LONGEST,
    SERVICES,
    caller_network,
    check_network,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._identity import TAG_OWNER, check_environment_id
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress
from ansible_collections.fuel_code.remote.plugins.module_utils._receipt import receipt


def read_url(url: str) -> str:
    """The text at an http(s) address; OSError when there is none within five seconds."""
    with open_url(url, timeout=5, http_agent="fuel-code") as answer:
        return str(answer.read(LONGEST).decode("ascii", "replace"))


def present(module: AnsibleAWSModule, progress: Progress) -> Dict[str, Any]:
    if module.params["environment_id"]:
        return moved(module, progress)
    params = module.params
    with progress.step("let SSH in") as step:
        networks = [check_network(each) for each in params["allow_from"]]
        networks = networks or [caller_network(params["address_services"], read_url)]
        api = _module.connect(module)
        vpc_id = _access.vpc_of(api, params["subnet_ids"])
        made = _access.ensure(api, params["owner"], vpc_id, networks, check=module.check_mode)
        step.message = f"from {', '.join(networks)}"
        if not made.changed:
            step.reuse()
    return result(module, made, sorted(set(networks)), made.networks)


def moved(module: AnsibleAWSModule, progress: Progress) -> Dict[str, Any]:
    params = module.params
    with progress.step("let SSH in") as step:
        environment_id = check_environment_id(params["environment_id"])
        named = [check_network(each) for each in params["allow_from"]]
        mine = own_network(params["address_services"], needed=not named)
        networks = sorted({*named, *([mine] if mine else [])})
        made = _let_in.move(
            _module.connect(module), environment_id, networks, keep=mine is None, check=module.check_mode
        )
        step.message = f"from {', '.join(made.networks)}"
        if not made.changed:
            step.reuse()
    return result(module, made, made.networks, made.all_networks)


def own_network(services: List[str], *, needed: bool) -> Optional[str]:
    """The caller's own; None when nobody says it, unless it is needed."""
    try:
        return caller_network(services, read_url)
    except FuelError:
        if needed:
            raise
        return None


def result(module: AnsibleAWSModule, made: Any, networks: List[str], every: List[str]) -> Dict[str, Any]:
    """The module's result: `networks` are this environment's, `every` are all that the group lets in."""
    shown = {"group_id": made.group_id, "vpc_id": made.vpc_id, "networks": every}
    rules = [{"kind": "ingress_rule", "name": _access.rule(made.group_id, each)} for each in networks]
    return {
        "changed": made.changed,
        "access": {**shown, "account": _module.account_of(module), "region": module.region},
        "let_in": {"networks": networks, "resources": rules},
        "diff": {"before": "", "after": "".join(f"port 22 from {each}\n" for each in every)},
    }


def absent(module: AnsibleAWSModule, progress: Progress) -> Dict[str, Any]:
    params = module.params
    changed = False
    lines: List[Dict[str, str]] = []
    with progress.step("let nobody in") as step:
        api = _module.connect(module)
        named = [*([params["environment_id"]] if params["environment_id"] else []), *params["environment_ids"]]
        ids = [check_environment_id(each) for each in named]
        # AWS shows them for an hour after the end.
        had = _describe.instances_of(api, ids)
        owners = {each.tags[TAG_OWNER] for each in had if TAG_OWNER in each.tags}
        for owner in sorted(owners or ({params["owner"]} if params["owner"] else set())):
            theirs = [each for each in had if each.tags.get(TAG_OWNER) == owner]
            released, entries = _let_in.release(api, owner, theirs, check=module.check_mode)
            changed, lines = changed or released, lines + entries
        step.message = ", ".join(each["name"] for each in lines)
        if not changed:
            step.reuse("nothing to close")
    return {"changed": changed, "receipt": receipt(lines)}


def main() -> None:
    words: Dict[str, Any] = {"type": "list", "elements": "str", "default": []}
    module = AnsibleAWSModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "owner": {"type": "str"},
            "environment_id": {"type": "str"},
            "environment_ids": words,
            "subnet_ids": words,
            "allow_from": words,
            "address_services": {**words, "default": list(SERVICES)},
            **_module.ARGUMENTS,
        },
        supports_check_mode=True,
        required_if=[
            ("state", "present", ["owner", "environment_id"], True),
            ("state", "absent", ["owner", "environment_id", "environment_ids"], True),
        ],
    )
    state = module.params["state"]
    progress = Progress("provider" if state == "present" else "destroy", module.params["progress_path"])
    work = present if state == "present" else absent
    _module.run(module, progress, lambda: work(module, progress))


if __name__ == "__main__":
    main()
