#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: provider_machine
short_description: Pin a machine's host keys, and say how it is reached
version_added: 0.1.0
description:
  - A provider that makes machines, or has them, ends C(launch) and C(locate) with this. Whoever called the playbook
    learns from its result where the environment's machine is and which host key is believed.
  - The file of known hosts holds these keys under this alias, and nothing else.
  - Where the host is this machine, it runs inside Ansible itself, which takes milliseconds.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  state:
    description: Whether the keys are pinned.
    type: str
    choices: [present, absent]
    default: present
  known_hosts:
    description: The file, on the controller. Its folder is made when it is not there.
    type: path
    required: true
  alias:
    description: Name under which the keys are pinned (C(HostKeyAlias)).
    type: str
    required: true
  host_keys:
    description: Public host keys that are believed, the one that lasts at the end. Required with O(state=present).
    type: list
    elements: str
    default: []
  address:
    description: Where SSH answers. Required with O(state=present).
    type: str
  port:
    description: The port at which it does.
    type: int
    default: 22
  user:
    description: Who logs in.
    type: str
    default: root
  sudo:
    description: Whether O(user) needs C(sudo) for the Docker engine. Everybody but C(root) does, without.
    type: bool
  own_keys:
    description: Whether whoever enters the machine does so with keys of their own, and not with the environment's.
    type: bool
    default: false
  identity_file:
    description: With O(own_keys), which key that is. Whatever C(ssh) would use, without.
    type: path
  provider:
    description: What the provider wants to be remembered, for example C(type), C(region) and C(account).
    type: dict
    default: {}
  resources:
    description: What was made for the environment.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: For example C(instance).
        type: str
        required: true
      name:
        description: Its id.
        type: str
        required: true
extends_documentation_fragment:
  - fuel_code.remote.attributes
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Say how the machine is reached
  fuel_code.remote.provider_machine:
    known_hosts: /home/alice/keys/known_hosts
    alias: fuel-code-01jd3z5q8w6s9x4v7t2r1p0n8m
    host_keys: ["{{ lookup('file', '/home/alice/keys/host_ed25519.pub') }}"]
    address: 203.0.113.7
    user: fuel
    provider: {type: t3.medium, region: eu-central-1}
"""

RETURN = r"""
contact:
  description: How it is reached.
  returned: success, with O(state=present)
  type: dict
  sample: {address: 203.0.113.7, port: 22, user: fuel, sudo: true, host_key: ssh-ed25519 AAAA...}
provider:
  description: O(provider), with the address.
  returned: success, with O(state=present)
  type: dict
  sample: {type: t3.medium, region: eu-central-1, address: 203.0.113.7}
resources:
  description: O(resources); with O(state=absent), the file as an entry of a receipt.
  returned: success
  type: list
  elements: dict
  sample: [{kind: instance, name: i-0123456789abcdef0}]
known_hosts:
  description: The file.
  returned: success, with O(state=present)
  type: str
  sample: /home/alice/keys/known_hosts
is_new:
  description: Whether nothing was pinned there before.
  returned: success, with O(state=present)
  type: bool
  sample: false
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample: {message: no host key is given, hint: null, where: host_keys, code: no_host_key, details: {}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._machine import ARGUMENTS, provider_machine


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = provider_machine(module.params, check=module.check_mode)
    except FuelError as error:
        module.fail_json(msg=str(error), error=error.as_dict())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
