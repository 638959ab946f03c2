#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: dev_container_key
short_description: Let one more key into a living environment
version_added: 0.1.0
description:
  - Adds one public key to those by which an environment's container is entered, so that its user comes in from a second
    laptop. Keys that are there stay.
  - On a machine that its people pass through, the key is let in there too.
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
  public_key:
    description:
      - The one line of an C(id_*.pub) file, without options before the key. Its comment is left out.
      - Ed25519, ECDSA, or RSA of 3072 bits at least.
    type: str
    required: true
  machine_user:
    description: Who logs in to this machine on the way into the environment. Without it, the machine is left as it is.
    type: str
extends_documentation_fragment:
  - fuel_code.remote.environment_is
  - fuel_code.remote.attributes
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Let my laptop in
  fuel_code.remote.dev_container_key:
    environment_id: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
    public_key: "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"
"""

RETURN = r"""
admitted:
  description: Which key may enter, and whether it was let in to the machine as well.
  returned: success
  type: dict
  sample:
    fingerprint: SHA256:tVYSXv8FzXQbF4sTk7xNPyGkEYEtJrpQ3u1hLYtWc0g
    machine: false
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample: {message: The key was not let in, hint: see whether the environment runs, code: not_admitted, details: {}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._admit import ARGUMENTS, admit
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = admit(module.params, check=module.check_mode)
    except FuelError as error:
        module.fail_json(msg=str(error), error=error.as_dict())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
