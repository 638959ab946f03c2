#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_host_info
short_description: Where a host is that one can C(ssh) to, and which host keys of it are believed
version_added: 0.1.0
description:
  - Asks the OpenSSH client of the controller what its configuration makes of the host, and takes the host keys out of
    the files of known hosts.
  - With O(fingerprint), the host is asked for its keys, and those with that fingerprint are believed.
  - No key is trusted on first use. Without a known one, the module fails.
requirements:
  - OpenSSH's client (C(ssh), C(ssh-keygen), C(ssh-keyscan))
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  host:
    description: As after C(ssh), with the port behind a colon, for example C(alice@build.example.org:2222).
    type: str
    required: true
  fingerprint:
    description: SHA-256 fingerprint of the host key, as C(ssh-keygen -l) shows it.
    type: str
    default: ''
  known_hosts:
    description: File of known hosts to believe instead of those of the user's configuration.
    type: path
  timeout:
    description: Seconds to wait for the host, with O(fingerprint).
    type: int
    default: 10
extends_documentation_fragment:
  - fuel_code.remote.attributes
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Know a host
  fuel_code.remote.ssh_host_info:
    host: alice@build.example.org
  delegate_to: localhost
  register: known
"""

RETURN = r"""
address:
  description: Where SSH answers.
  returned: success
  type: str
  sample: 203.0.113.7
port:
  description: At which port.
  returned: success
  type: int
  sample: 22
user:
  description: Who logs in.
  returned: success
  type: str
  sample: alice
host_keys:
  description: The keys that are believed, the best one last.
  returned: success
  type: list
  elements: str
  sample: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ...]
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample: {message: the host key is not known, hint: null, where: 'build:22', code: unknown_host_key, details: {}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._ssh_host import ARGUMENTS, ssh_host_info


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = ssh_host_info(module.params, check=module.check_mode)
    except FuelError as error:
        module.fail_json(msg=str(error), error=error.as_dict())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
