#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: machine_record
short_description: Record what is found on a machine, and put it back to that when the last environment has gone
version_added: 0.1.0
description:
  - With O(state=present), looks at packages, groups, users, network links, firewall, the Docker engine with its
    images, volumes and networks, and the paths that an engine, Ansible and this collection leave behind; keeps that on
    the machine itself, once; and adds the environment to those that are there.
  - With O(state=absent), the environment is taken off the record. With the last one, the module removes what came by
    environments and was not there before (shared images and volumes, the engine with its packages, folders, firewall
    rules), looks again, shows the difference, and removes the record when nothing of ours is left.
  - What somebody else did meanwhile stays. When somebody else's containers or volumes are on an engine that was
    installed for environments, the engine stays too, and that is said.
  - Not looked at are logs, and the package manager's lists and caches.
requirements:
  - The rights of root, so usually C(become).
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  state:
    description:
      - Whether the environment is on the record.
      - With V(query), only tells whether an engine answers.
    type: str
    choices: [present, absent, query]
    default: present
  environment_id:
    description: The environment's id, a ULID.
    type: str
    required: true
  images:
    description: References of the images that it asks for, so that those that were not there can go with it.
    type: list
    elements: str
    default: []
  name:
    description: How the receipt names the machine.
    type: str
    default: ''
extends_documentation_fragment:
  - fuel_code.remote.attributes
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Know what there is, before anything is changed
  fuel_code.remote.machine_record:
    environment_id: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
    images: ["node:22-bookworm"]
  become: true

- name: Leave no trace
  fuel_code.remote.machine_record:
    state: absent
    environment_id: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
  become: true
  register: restored
"""

RETURN = r"""
found:
  description: What was found before anything was changed.
  returned: success, with O(state=present), not in check mode
  type: dict
environments:
  description: The environments on record.
  returned: success, with O(state=present), not in check mode
  type: list
  elements: str
resources:
  description: The machine as an entry of a receipt, V(gone) when nothing of ours is left on it.
  returned: success, with O(state=absent)
  type: list
  elements: dict
  sample: [{kind: machine, name: 203.0.113.7, state: gone, detail: as it was found}]
difference:
  description: What of ours is left, one line each; empty when there is nothing.
  returned: success, with O(state=absent)
  type: list
  elements: str
foreign:
  description: What else has changed meanwhile, by somebody else.
  returned: success, with O(state=absent)
  type: list
  elements: str
  sample: [package htop added]
engine:
  description: Whether a Docker engine answers.
  returned: success, with O(state=query)
  type: bool
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample: {message: the packages cannot be removed, hint: null, where: null, code: packages_stay, details: {}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._machine_record._task import ARGUMENTS, machine_record


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    result = machine_record(module.params, check=module.check_mode)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
