#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fly_secrets
short_description: Set and remove secrets of an app on Fly.io
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Sets all values in one call. Fly.io shows a digest of each, never a value; the digests before and after say what
    has changed.
  - Machines get a secret with their next start.
  - No value comes into the result, or into a message.
attributes:
  check_mode:
    support: partial
    description: Changes nothing.
    details: Says which secrets are missing, or would be removed. What a value is now, Fly.io does not tell.
  diff_mode:
    support: full
    description: Shows the names before and after.
options:
  values:
    description: Name and value of each secret.
    type: dict
    default: {}
  values_file:
    description:
      - File with more of them, a JSON object that nobody else may read (mode 0600).
      - Its values are no Ansible variables.
    type: path
  absent:
    description: Names of secrets to remove.
    type: list
    elements: str
    default: []
  purge:
    description: Whether secrets that are not named here are removed.
    type: bool
    default: false
extends_documentation_fragment:
  - fuel_code.remote.fly
  - fuel_code.remote.fly.app
  - fuel_code.remote.progress
"""

EXAMPLES = r"""
- name: Let two keys in
  fuel_code.remote.fly_secrets:
    app: fuel-code-01jd0000000000000000000000
    values:
      FUEL_AUTHORIZED_KEYS: "{{ keys | join('\n') }}"
"""

RETURN = r"""
names:
  description: Names of the app's secrets.
  returned: success
  type: list
  elements: str
  sample: [FUEL_AUTHORIZED_KEYS]
set:
  description: Names whose value has become another one; in check mode, those that are missing.
  returned: success
  type: list
  elements: str
removed:
  description: Names that were, or would be, removed.
  returned: success
  type: list
  elements: str
version:
  description: Version of the app's secrets, which a machine can be made to wait for.
  returned: when something was sent
  type: int
  sample: 3
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

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import _module, _secrets
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress


def work(module: AnsibleModule, progress: Progress) -> Dict[str, Any]:
    """The module's result."""
    params = module.params
    values = dict(params["values"])
    if params["values_file"]:
        values.update(_secrets.read(params["values_file"]))
    module.no_log_values.update(each for each in values.values() if isinstance(each, str) and each)
    api = _module.connect(module, open_url)
    with progress.step("secrets") as step:
        result = _secrets.ensure(
            api, params["app"], values, absent=params["absent"], purge=params["purge"], check_only=module.check_mode
        )
        if not result.set and not result.removed:
            step.reuse()
    before = sorted((set(result.names) - set(result.set)) | set(result.removed))
    return {
        "changed": bool(result.set or result.removed),
        "names": result.names,
        "set": result.set,
        "removed": result.removed,
        "diff": {"before": {"unchanged": before}, "after": {"names": result.names, "set": result.set}},
        **({} if result.version is None else {"version": result.version}),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "values": {"type": "dict", "default": {}, "no_log": True},
            "values_file": {"type": "path"},
            "absent": {"type": "list", "elements": "str", "default": []},
            "purge": {"type": "bool", "default": False},
            **_module.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    progress = Progress("provider", module.params["progress_path"])
    _module.run(module, progress, lambda: work(module, progress))


if __name__ == "__main__":
    main()
