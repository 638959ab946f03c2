#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_engine
short_description: Have a Docker engine on a machine
version_added: 0.1.0
description:
  - Installs the distribution's own Docker engine where there is none, and starts it where it does not run.
  - Knows Amazon Linux 2023, Debian and Ubuntu. An engine that is there already is used on any system.
  - A package manager that is at work on the machine is waited for, and what may pass by itself is tried three times.
  - An engine that was there keeps its settings, besides O(registry_mirrors). One that is installed here gets bounded
    container logs.
requirements:
  - The right to install packages, so usually C(become).
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  registry_mirrors:
    description: Registries that are asked before Docker Hub.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - fuel_code.remote.attributes
  - fuel_code.remote.progress
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Have an engine that asks a mirror first
  fuel_code.remote.docker_engine:
    registry_mirrors: ["https://mirror.example.com"]
  become: true
"""

RETURN = r"""
version:
  description: Version of the engine that answers; empty in check mode where there is none yet.
  returned: success
  type: str
  sample: 20.10.24
added:
  description: What this run added to the machine.
  returned: success
  type: dict
  sample: {packages: [docker.io], files: [/etc/docker/daemon.json]}
steps:
  description: What was done, with C(stage), C(step), C(state), C(seconds) and C(message).
  returned: always
  type: list
  elements: dict
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample: {message: the Docker engine does not answer, hint: null, where: null, code: engine_start, details: {}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._docker_engine import ARGUMENTS, docker_engine


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    result = docker_engine(module.params, check=module.check_mode)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
