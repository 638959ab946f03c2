#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_keypair
short_description: Make or remove the SSH key pair of an environment
version_added: 0.1.0
description:
  - Keeps an ed25519 key pair in a folder. Both halves appear whole or not at all, and no temporary file is left.
  - The private half is in no result, no diff and no log.
requirements:
  - OpenSSH's C(ssh-keygen) on the host where the module runs, usually the controller.
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
options:
  state:
    description: Whether the pair is to be there.
    type: str
    choices: [present, absent]
    default: present
  backend:
    description: Where the pair is kept.
    type: str
    choices: [file]
    default: file
  path:
    description:
      - File of the private half (mode 0600); the public half is beside it, with C(.pub) added.
      - The folder around it is made with mode 0700 and should hold nothing else. It is removed when it becomes empty.
    type: path
    required: true
  comment:
    description: Comment in the public half.
    type: str
    default: fuel-code
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Make a key pair
  fuel_code.remote.ssh_keypair:
    path: ~/.local/share/fuel-code/keys/01JD3Z5Q8W6S9X4V7T2R1P0N8M/id_ed25519
    comment: fuel-code-01JD3Z5Q8W6S9X4V7T2R1P0N8M
  register: key

- name: Remove it
  fuel_code.remote.ssh_keypair:
    path: ~/.local/share/fuel-code/keys/01JD3Z5Q8W6S9X4V7T2R1P0N8M/id_ed25519
    state: absent
"""

RETURN = r"""
path:
  description: File of the private half.
  returned: success
  type: str
  sample: /home/ada/.local/share/fuel-code/keys/01JD3Z5Q8W6S9X4V7T2R1P0N8M/id_ed25519
public_key:
  description: The public half, one line. Empty in check mode when there is none yet.
  returned: success and O(state=present)
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMZopxtR1NLt fuel-code-01JD3Z5Q8W6S9X4V7T2R1P0N8M
fingerprint:
  description: Fingerprint of the key.
  returned: success and O(state=present)
  type: str
  sample: SHA256:2a5e
resources:
  description: The files, each with the answer to whether it is there.
  returned: O(state=absent)
  type: list
  elements: dict
  sample: [{kind: local_key, name: /home/ada/id_ed25519, state: gone, detail: ""}]
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample: {message: Failed to write the key pair, hint: null, where: /keys, code: key_storage, details: {}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._ssh_keys import ARGUMENTS, keypair


def main() -> None:
    """Ansible's entry point, where the action plugin of this name does not do the work in Ansible's own process."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = keypair(module.params, check=module.check_mode)
    except FuelError as error:
        module.fail_json(msg=str(error), error=error.as_dict())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
