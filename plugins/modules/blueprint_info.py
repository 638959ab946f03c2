#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: blueprint_info
short_description: Detect what a project is built from
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Reads the manifests of a project and says which image, runtimes, package managers, ports, services and set-up
    commands an environment for it needs, and for each value where it came from.
  - Nothing is written, run or fetched, and nothing outside the folder is read.
requirements:
  - Python 3.11 or newer on the machine the module runs on, which is usually the controller
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
  diff_mode:
    support: none
    description: Changes nothing.
options:
  path:
    description: Folder of the project, on the machine the module runs on.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: See what a project needs
  fuel_code.remote.blueprint_info:
    path: /home/alice/shop
  delegate_to: localhost
  register: detected

- name: Show it
  ansible.builtin.debug:
    var: detected.blueprint
"""

RETURN = r"""
blueprint:
  description: The blueprint, as M(fuel_code.remote.blueprint) writes it.
  returned: success
  type: dict
  sample: {version: 1, image: node:22-bookworm, setup: [npm ci], ports: [3000]}
evidence:
  description: One entry for each field that was decided.
  returned: success
  type: list
  elements: dict
  contains:
    field: {description: "Path of the field.", type: str, returned: always, sample: "runtimes[0].version"}
    value: {description: "What was decided.", type: raw, returned: always, sample: "20.11.1"}
    source: {description: "File and line, or V(default).", type: str, returned: always, sample: ".nvmrc:1"}
    kind: {description: "One of V(pin), V(range), V(alias), V(default).", type: str, returned: always, sample: pin}
    confidence: {description: "0 to 1.", type: float, returned: always, sample: 0.97}
conflicts:
  description: Pairs of sources that disagree, the one that won, and why.
  returned: success
  type: list
  elements: dict
  sample: []
platforms:
  description: Platforms that the project is deployed to, with their signals and one confidence each.
  returned: success
  type: list
  elements: dict
  sample: [{name: fly.io, confidence: 1.0, detected: true, signals: []}]
warnings_found:
  description: Files that were skipped and why, as dictionaries with file, line and message.
  returned: success
  type: list
  elements: dict
  sample: []
elapsed_ms:
  description: Milliseconds that detection took.
  returned: success
  type: float
  sample: 0.8
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint import detect
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError


def main() -> None:
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    path = module.params["path"]
    try:
        found = detect(path)
        signals = found.platforms
    except FuelError as error:
        module.fail_json(msg=str(error), error=error.as_dict())
    module.exit_json(
        changed=False,
        blueprint=found.blueprint,
        evidence=found.evidence,
        conflicts=[conflict.as_dict() for conflict in found.conflicts],
        platforms=signals,
        # `warnings` would be printed by Ansible as warnings of its own.
        warnings_found=found.warnings,
        elapsed_ms=found.elapsed_ms,
    )


if __name__ == "__main__":
    main()
