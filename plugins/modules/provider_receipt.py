#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: provider_receipt
short_description: Put together the proof that an environment is gone
version_added: 0.1.0
description:
  - Takes what several tasks found when they asked for their resources again, and makes one receipt of it.
  - Fails when anything is left or could not be asked for, with the receipt in the result.
attributes:
  check_mode:
    support: full
    details: In check mode, what is left is no failure.
  diff_mode:
    support: none
options:
  resources:
    description: Every resource with what asking for it again said.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description: What it is, for example V(container).
        type: str
        required: true
      name:
        description: Its name.
        type: str
        required: true
      state:
        description: What asking said.
        type: str
        choices: [gone, present, unknown]
        required: true
      detail:
        description: Why it is left, if it is.
        type: str
        default: ""
extends_documentation_fragment:
  - fuel_code.remote.attributes
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Prove that everything is gone
  fuel_code.remote.provider_receipt:
    resources: "{{ container.receipt.resources + key.resources }}"
"""

RETURN = r"""
receipt:
  description: The receipt.
  returned: always
  type: dict
  sample:
    complete: true
    checked_at: "2026-01-31T12:00:00Z"
    resources: [{kind: container, name: fuel-code-01jd3z5q8w6s9x4v7t2r1p0n8m-1, state: gone, detail: ""}]
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample: {message: 1 resource is left, hint: null, where: destroy, code: incomplete, details: {}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._receipt import ARGUMENTS, proof


def main() -> None:
    """Ansible's entry point, where the action plugin of this name does not do the work in Ansible's own process."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    result = proof(module.params, check=module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
