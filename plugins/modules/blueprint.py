#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: blueprint
short_description: Write the blueprint of a repository
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Writes C(.fuel-code/env.yaml) after checking every field. A file that says the same already is left alone, with
    its comments and its own way of writing.
requirements:
  - PyYAML on the machine the module runs on
attributes:
  check_mode:
    support: full
    description: Checks everything and writes nothing.
  diff_mode:
    support: full
    description: Shows the file before and after.
options:
  path:
    description: Folder of the repository, on the machine the module runs on.
    type: path
    required: true
  blueprint:
    description:
      - The blueprint, for example as M(fuel_code.remote.blueprint_info) returns it.
      - Required with O(state=present).
    type: dict
  state:
    description: Whether the file should be there.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Detect
  fuel_code.remote.blueprint_info:
    path: /home/alice/shop
  register: detected

- name: Write what was detected, with a longer life
  fuel_code.remote.blueprint:
    path: /home/alice/shop
    blueprint: "{{ detected.blueprint | combine({'ttl': '12h'}) }}"
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /home/alice/shop/.fuel-code/env.yaml
blueprint:
  description: The whole blueprint with every default filled in.
  returned: when O(state=present)
  type: dict
  sample: {version: 1, image: node:22-bookworm, ttl: 12h}
sha256:
  description: SHA-256 of the frozen blueprint.
  returned: when O(state=present)
  type: str
  sample: 5f1d7a84db00d2fce00b31a7fc73224a0dba9e1e9d3a4e0b6fa7b1d5d0f5c8aa
"""

import os
from typing import Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint import (
    BLUEPRINT_PATH,
    from_dict,
    load,
    sha256,
    to_dict,
    to_yaml,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def _same(path: str, wanted: str) -> bool:
    """Whether the file says what `wanted` (a digest) says, however it is written."""
    try:
        return sha256(load(path)) == wanted
    except FuelError:
        return False


def _write(module: AnsibleModule, path: str, text: str) -> None:
    folder = os.path.dirname(path)
    if os.path.islink(folder) or os.path.islink(path):
        raise FuelError(
            "it is a symbolic link, which is not written through", where=path, hint="replace it by a real file"
        )
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(module.tmpdir, "env.yaml")
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text)
    module.atomic_move(temporary, path)


def _present(module: AnsibleModule, path: str, before: Optional[str]) -> None:
    blueprint = from_dict(module.params["blueprint"], "blueprint")
    digest = sha256(blueprint)
    changed = not _same(path, digest)
    after = to_yaml(blueprint) if changed else before or ""
    if changed and not module.check_mode:
        _write(module, path, after)
    module.exit_json(
        changed=changed,
        path=path,
        blueprint=to_dict(blueprint),
        sha256=digest,
        diff={"before_header": path, "after_header": path, "before": before or "", "after": after},
    )


def _absent(module: AnsibleModule, path: str, before: Optional[str]) -> None:
    if before is not None and not module.check_mode:
        os.unlink(path)
    module.exit_json(
        changed=before is not None,
        path=path,
        diff={"before_header": path, "after_header": path, "before": before or "", "after": ""},
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "blueprint": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["blueprint"])],
        supports_check_mode=True,
    )
    folder = module.params["path"]
    path = os.path.join(folder, BLUEPRINT_PATH)
    try:
        if not os.path.isdir(folder):
            raise FuelError("there is no such folder", where=folder, hint="name the folder of a repository")
        before = _read(path)
        if module.params["state"] == "absent":
            _absent(module, path, before)
        else:
            _present(module, path, before)
    except FuelError as error:
        module.fail_json(msg=str(error), error=error.as_dict())
    except OSError as error:
        module.fail_json(msg=f"{path}: it cannot be changed: {error.strerror}. Check the rights of its folder")


if __name__ == "__main__":
    main()
