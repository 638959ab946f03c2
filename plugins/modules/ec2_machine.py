#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ec2_machine
short_description: Launch one EC2 instance for an environment, or end it with proof
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Launches at most one instance for each environment and attempt. The client token of the launch is computed from
    them, so that a repeat, also of a run that was killed at any moment, finds the same instance and makes no other.
  - An attempt whose instance has ended is followed by the next one. O(attempt) is where that begins.
  - The instance carries its tags from the moment it exists, powers off into termination, has an encrypted gp3 root
    volume that goes with it, answers metadata requests by IMDSv2 with one hop only, and has no instance profile unless
    O(instance_profile) names one.
  - With O(state=absent), instances are ended in one call, AWS is asked until it says that they are terminated, and
    instances, volumes and network interfaces come back as entries of a receipt.
  - That Describe does not show an instance is not believed right after a launch or a termination, because it lags.
attributes:
  check_mode:
    support: full
    description: Asks AWS what there is, and with C(DryRun) whether the launch would be allowed. Changes nothing.
  diff_mode:
    support: none
    description: The result says all there is to say.
options:
  state:
    description:
      - With V(present), there is one running machine.
      - With V(absent), there is none, and a receipt.
    type: str
    choices: [present, absent]
    default: present
  environment_id:
    description: ULID of the environment. Required with O(state=present).
    type: str
  environment_ids:
    description: Environments to end together, besides O(environment_id). Only with O(state=absent).
    type: list
    elements: str
    default: []
  instance_ids:
    description:
      - Instances to end besides those that carry the environments' tags. Only with O(state=absent).
      - One that does not carry the collection's tag is refused.
    type: list
    elements: str
    default: []
  owner:
    description: Who the environment belongs to, for the tag. Required with O(state=present).
    type: str
  name:
    description: Name of the environment, for the tag C(Name).
    type: str
    default: ''
  attempt:
    description: The attempt to begin with.
    type: int
    default: 1
  expires_at:
    description: When the machine ends by itself, for the tag C(fuel-code:expires-at). Epoch seconds.
    type: int
  image_id:
    description:
      - The AMI, or a distribution of which the newest one is taken. V(al2023), V(debian-12), V(debian-13),
        V(ubuntu-22.04) or V(ubuntu-24.04), for the architecture of O(instance_types).
      - What was found is remembered in O(cache_path) for a day.
    type: str
    default: al2023
  instance_types:
    description: Instance types in the order of preference. Without any, the smallest that has O(cpus) and O(memory_gb).
    type: list
    elements: str
    default: []
  cpus:
    description: CPUs that the machine is to have, where no O(instance_types) are given.
    type: float
    default: 2
  memory_gb:
    description: GiB of memory that the machine is to have, where no O(instance_types) are given.
    type: float
    default: 4
  cache_path:
    description: Folder on the controller in which AMIs that were found are remembered. Nothing is without it.
    type: path
  subnet_ids:
    description: Subnets in the order of preference. Without any, those of the default VPC.
    type: list
    elements: str
    default: []
  zones:
    description: Availability zones in the order of preference, where no O(subnet_ids) are given. AWS chooses without.
    type: list
    elements: str
    default: []
  spot:
    description: Asks for spot capacity first, and for on-demand capacity where there is none.
    type: bool
    default: false
  security_group_ids:
    description: Security groups of the instance.
    type: list
    elements: str
    default: []
  open_to:
    description:
      - Networks from which SSH is let in. With them, the owner's own security group, as of
        M(fuel_code.remote.ec2_access), is made anew when AWS does not know those of O(security_group_ids) any more,
        because the end of another machine of that owner has just taken it away; and opened to them again, when that end
        came while this machine was starting.
    type: list
    elements: str
    default: []
  key_name:
    description: Key pair that cloud-init lets in.
    type: str
    default: ''
  user_data:
    description: User-data, at most 16 KiB. Readable on the machine by everybody there, so never a lasting secret.
    type: str
    default: ''
  host_key_path:
    description:
      - Private ed25519 host key for the first contact, on the controller, with its public half beside it (C(.pub)).
      - With it, user-data is made here. It arms the timer that ends the machine at O(expires_at), and gives it this key
        and the login.
      - Needs O(expires_at), and no O(user_data).
    type: path
  login:
    description: Name of the user that O(authorized_keys) let in, whatever the AMI calls it. Only with O(host_key_path).
    type: str
    default: fuel
  authorized_keys:
    description: Public keys that let O(login) in. Only with O(host_key_path).
    type: list
    elements: str
    default: []
  disk_gb:
    description: Size of the root volume in GiB, at least that of the AMI.
    type: int
    default: 30
  kms_key:
    description: KMS key for the root volume, the account's default key without.
    type: str
    default: ''
  instance_profile:
    description: Name or ARN of an instance profile. The machine has no AWS credentials without.
    type: str
    default: ''
  public_address:
    description: Whether to ask for a public address. What the subnet is set to, without.
    type: bool
  connect_to:
    description: Address at which SSH is waited for.
    type: str
    choices: [public, private]
    default: public
  port:
    description: TCP port at which an SSH server has to answer. With V(0), it is enough that AWS says C(running).
    type: int
    default: 22
  wait_timeout:
    description:
      - Seconds to wait for the machine, or for its end.
      - Defaults to 120 with O(state=present) and to 300 with O(state=absent).
    type: float
  poll_interval:
    description: Seconds between two questions.
    type: float
    default: 0.7
  settle:
    description: Seconds for which Describe may lag behind a launch or a termination.
    type: float
    default: 45
  launched_at:
    description:
      - When a launch was last asked for, as epoch seconds. Only with O(state=absent).
      - Where AWS shows no machine, it is asked until O(settle) seconds have passed since then. Counts from now without.
    type: float
  launches:
    description: Launches in one run at most, where machines end while they start.
    type: int
    default: 2
extends_documentation_fragment:
  - fuel_code.remote.aws
  - fuel_code.remote.aws.patience
  - fuel_code.remote.progress
  - amazon.aws.common.modules
  - amazon.aws.region.modules
"""

EXAMPLES = r"""
- name: Launch a machine, on spot capacity where there is any
  fuel_code.remote.ec2_machine:
    environment_id: 01JD0000000000000000000000
    owner: alice
    name: shop
    image_id: ami-0123456789abcdef0
    instance_types: [m7i.xlarge, m6i.xlarge]
    spot: true
    security_group_ids: [sg-0123456789abcdef0]
    key_name: fuel-code-01JD0000000000000000000000
    region: eu-central-1
  register: launched

- name: Launch the newest Debian, on a machine that ends by itself after eight hours
  fuel_code.remote.ec2_machine:
    environment_id: 01JD0000000000000000000000
    owner: alice
    image_id: debian-12
    cpus: 4
    memory_gb: 8
    security_group_ids: [sg-0123456789abcdef0]
    host_key_path: /home/alice/keys/host_ed25519
    authorized_keys: ["{{ lookup('file', '/home/alice/keys/id_ed25519.pub') }}"]
    expires_at: "{{ now(utc=true).timestamp() | int + 28800 }}"
    region: eu-central-1

- name: End it, from the environment's id alone
  fuel_code.remote.ec2_machine:
    state: absent
    environment_id: 01JD0000000000000000000000
    region: eu-central-1
  register: ended
"""

RETURN = r"""
machine:
  description: The machine.
  returned: success, with O(state=present); in check mode only where there is one
  type: dict
  contains:
    instance_id:
      description: Its id.
      type: str
      sample: i-0123456789abcdef0
    attempt:
      description: The attempt that it belongs to.
      type: int
      sample: 1
    state:
      description: Its state as AWS showed it last.
      type: str
      sample: running
    address:
      description: Where to connect.
      type: str
      sample: 203.0.113.7
    public_address:
      description: Its public address, empty without one.
      type: str
      sample: 203.0.113.7
    private_address:
      description: Its private address.
      type: str
      sample: 172.31.5.9
    instance_type:
      description: Its type.
      type: str
      sample: m7i.xlarge
    zone:
      description: Its availability zone.
      type: str
      sample: eu-central-1a
    market:
      description: Either C(on-demand) or C(spot).
      type: str
      sample: spot
    image_id:
      description: Its AMI.
      type: str
      sample: ami-0123456789abcdef0
    launched_at:
      description: When AWS launched it, as epoch seconds.
      type: float
      sample: 1767225600.0
    volumes:
      description: Ids of its volumes.
      type: list
      elements: str
    interfaces:
      description: Ids of its network interfaces.
      type: list
      elements: str
    tags:
      description: Its tags.
      type: dict
receipt:
  description: What was asked for again after the end.
  returned: with O(state=absent), not in check mode
  type: dict
  contains:
    complete:
      description: Whether everything is gone.
      type: bool
    checked_at:
      description: When, as epoch seconds.
      type: float
      sample: 1767225600.0
    resources:
      description: Each thing with C(kind), C(name), C(state) (C(gone), C(present) or C(unknown)) and C(detail).
      type: list
      elements: dict
receipts:
  description: The same for each environment, by its id. One that had nothing has an empty one, which is complete.
  returned: with O(state=absent), not in check mode
  type: dict
lost:
  description:
    - Instances that had ended before this asked them to, with C(environment_id), C(name) and C(reason), in AWS's words.
  returned: with O(state=absent), not in check mode
  type: list
  elements: dict
  sample:
    - environment_id: 01JD0000000000000000000000
      name: i-0123456789abcdef0
      reason: "Server.SpotInstanceTermination: Spot instance termination"
instances:
  description: Ids that would be ended.
  returned: with O(state=absent), in check mode
  type: list
  elements: str
steps:
  description: What was done, with C(stage), C(step), C(state), C(seconds) and C(message).
  returned: always, but in check mode
  type: list
  elements: dict
error:
  description: What went wrong, with C(message), C(hint), C(where), C(code) and C(details).
  returned: failure
  type: dict
"""

import os
import time
from dataclasses import replace
from typing import Any, Dict, List, Tuple

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.fuel_code.remote.plugins.module_utils import _identity
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import (
    _access,
    _image,
    _launch,
    _module,
    _request,
    _terminate,
    _user_data,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._api import Api
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._caller import check_network
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._view import machine
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress


def argument_spec() -> Dict[str, Any]:
    words: Dict[str, Any] = {"type": "list", "elements": "str", "default": []}
    return {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "environment_id": {"type": "str"},
        "environment_ids": words,
        "instance_ids": words,
        "owner": {"type": "str"},
        "name": {"type": "str", "default": ""},
        "attempt": {"type": "int", "default": 1},
        "expires_at": {"type": "int"},
        "image_id": {"type": "str", "default": "al2023"},
        "instance_types": words,
        "cpus": {"type": "float", "default": 2},
        "memory_gb": {"type": "float", "default": 4},
        "cache_path": {"type": "path"},
        "subnet_ids": words,
        "zones": words,
        "spot": {"type": "bool", "default": False},
        "security_group_ids": words,
        "open_to": words,
        "key_name": {"type": "str", "default": "", "no_log": False},
        "user_data": {"type": "str", "default": "", "no_log": True},
        "host_key_path": {"type": "path", "no_log": False},
        "login": {"type": "str", "default": "fuel"},
        "authorized_keys": {**words, "no_log": False},
        "disk_gb": {"type": "int", "default": 30},
        "kms_key": {"type": "str", "default": "", "no_log": False},
        "instance_profile": {"type": "str", "default": ""},
        "public_address": {"type": "bool"},
        "connect_to": {"type": "str", "choices": ["public", "private"], "default": "public"},
        "port": {"type": "int", "default": 22},
        "wait_timeout": {"type": "float"},
        "poll_interval": {"type": "float", "default": 0.7},
        "settle": {"type": "float", "default": 45},
        "launched_at": {"type": "float"},
        "launches": {"type": "int", "default": 2},
        **_module.ARGUMENTS,
    }


def plan(api: Api, params: Dict[str, Any], *, endpoint: str = "") -> _request.Plan:
    """What is wanted, with the root device and the least size that the AMI asks for."""
    types = params["instance_types"] or [_image.type_for(params["cpus"], params["memory_gb"])]
    cache = _image.Cache(params["cache_path"] or "")
    image, _how = _image.find(api, params["image_id"], _image.architecture_of(types), endpoint=endpoint, cache=cache)
    root, smallest = root_of(image)
    return _request.Plan(
        environment_id=_identity.check_environment_id(params["environment_id"]),
        owner=params["owner"],
        name=params["name"],
        image_id=image["ImageId"],
        root_device=root,
        candidates=_request.candidates(types, params["subnet_ids"], params["zones"], params["spot"]),
        expires_at=params["expires_at"],
        key_name=params["key_name"],
        security_groups=params["security_group_ids"],
        let_in=[check_network(each) for each in params["open_to"]],
        user_data=params["user_data"] or user_data(params),
        disk_gb=max(params["disk_gb"], smallest),
        kms_key=params["kms_key"],
        instance_profile=params["instance_profile"],
        public_address=params["public_address"],
    )


def with_group(api: Api, wanted: _request.Plan, params: Dict[str, Any]) -> _request.Plan:
    """The same, in the owner's own group, which is made when it is not there."""
    vpc_id = _access.vpc_of(api, params["subnet_ids"])
    group = _access.ensure(api, params["owner"], vpc_id, [check_network(each) for each in params["open_to"]])
    return replace(wanted, security_groups=[group.group_id])


def root_of(image: Dict[str, Any]) -> Tuple[str, int]:
    """Root device of an AMI, and the GiB that it has at least."""
    root = image.get("RootDeviceName") or "/dev/sda1"
    mapped: List[Dict[str, Any]] = image.get("BlockDeviceMappings") or []
    sizes = [each.get("Ebs", {}).get("VolumeSize") or 0 for each in mapped if each.get("DeviceName") == root]
    return root, max([0, *sizes])


def user_data(params: Dict[str, Any]) -> str:
    """The machine's beginning; empty when no host key is given."""
    path = params["host_key_path"]
    if not path:
        return ""
    if params["expires_at"] is None:
        raise UsageError("a machine of ours ends by itself", hint="set expires_at", code="ec2_parameters")
    try:
        with open(path, encoding="ascii") as private, open(f"{path}.pub", encoding="ascii") as public:
            host_key, host_key_public = private.read(), public.read().strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise FuelError(f"cannot read the host key: {reason}", where=os.path.dirname(path)) from error
    return _user_data.render(
        expires_at=params["expires_at"],
        host_key=host_key,
        host_key_public=host_key_public,
        login=params["login"],
        authorized_keys=params["authorized_keys"],
    )


def waiting(api: Api, wanted: _request.Plan, params: Dict[str, Any]) -> _launch.Waiting:
    return _launch.Waiting(
        open_door=lambda: _access.let_in_again(api, wanted.security_groups, wanted.let_in),
        timeout=120.0 if params["wait_timeout"] is None else params["wait_timeout"],
        interval=params["poll_interval"],
        settle=params["settle"],
        port=params["port"],
        connect_to=params["connect_to"],
        launches=max(1, params["launches"]),
    )


def ending(params: Dict[str, Any]) -> _terminate.Ending:
    ids = [*([params["environment_id"]] if params["environment_id"] else []), *params["environment_ids"]]
    return _terminate.Ending(
        environment_ids=[_identity.check_environment_id(each) for each in ids],
        instance_ids=params["instance_ids"],
        timeout=300.0 if params["wait_timeout"] is None else params["wait_timeout"],
        interval=params["poll_interval"],
        settle=params["settle"],
        launched_at=params["launched_at"],
    )


def present(api: Api, params: Dict[str, Any], progress: Progress, *, check: bool, endpoint: str = "") -> Dict[str, Any]:
    wanted = plan(api, params, endpoint=endpoint)
    if check:
        found, attempt = _launch.look(api, wanted, params["attempt"])
        if found is not None:
            return {"changed": False, "machine": machine(found, attempt, params["connect_to"])}
        _launch.rehearse(api, wanted, attempt)
        return {"changed": True}
    try:
        made = _launch.ensure(api, wanted, params["attempt"], waiting(api, wanted, params), progress)
    except FuelError as error:
        if not params["open_to"] or error.details.get("aws_code") not in _access.UNKNOWN:
            raise
        wanted = with_group(api, wanted, params)
        made = _launch.ensure(api, wanted, params["attempt"], waiting(api, wanted, params), progress)
    return {
        "changed": made.changed,
        "machine": machine(made.instance, made.attempt, params["connect_to"]),
    }


def absent(api: Api, params: Dict[str, Any], progress: Progress, *, check: bool) -> Dict[str, Any]:
    wanted = ending(params)
    if check:
        live = sorted(name for name, each in _terminate.find(api, wanted).items() if not each.dead)
        return {"changed": bool(live), "instances": live}
    ended = _terminate.ensure_gone(api, wanted, progress)
    checked_at = round(time.time(), 3)

    def receipt(lines: List[Dict[str, str]]) -> Dict[str, Any]:
        complete = all(each["state"] == "gone" for each in lines)
        return {"complete": complete, "checked_at": checked_at, "resources": lines}

    receipts = {each: receipt(ended.of(each)) for each in wanted.environment_ids}
    return {"changed": ended.changed, "receipt": receipt(ended.resources), "receipts": receipts, "lost": ended.lost}


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec=argument_spec(),
        supports_check_mode=True,
        required_if=[
            ("state", "present", ["environment_id", "owner"]),
            ("state", "absent", ["environment_id", "environment_ids", "instance_ids"], True),
        ],
        mutually_exclusive=[("user_data", "host_key_path")],
    )
    params = module.params
    progress = Progress("provider" if params["state"] == "present" else "destroy", params["progress_path"])

    def work() -> Dict[str, Any]:
        api = _module.connect(module)
        if params["state"] == "absent":
            return absent(api, params, progress, check=module.check_mode)
        endpoint = f"{module.region or ''} {module.params.get('endpoint_url') or ''}"
        return present(api, params, progress, check=module.check_mode, endpoint=endpoint)

    _module.run(module, progress, work)


if __name__ == "__main__":
    main()
