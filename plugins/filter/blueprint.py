# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter that gives the complete blueprint of a repository on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: blueprint
short_description: The complete, checked blueprint of a repository
version_added: 0.1.0
description:
  - Given a dictionary, checks it as a blueprint and fills in every default.
  - Given a folder, takes what its C(.fuel-code/env.yaml) says, or detects the blueprint when there is no such file.
options:
  _input:
    description: A blueprint, or the path of a repository on the controller.
    type: raw
    required: true
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Show the image that a repository wants
  ansible.builtin.debug:
    msg: "{{ ('~/src/api' | fuel_code.remote.blueprint).image }}"
"""

RETURN = r"""
_value:
  description: The blueprint with every field.
  type: dict
  sample: {version: 1, image: node:22-bookworm, setup: [npm ci], ports: [3000]}
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Dict

from ansible.errors import AnsibleFilterError
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint import (
    BLUEPRINT_PATH,
    detect,
    from_dict,
    load,
    to_dict,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError


def blueprint(value: Any) -> Dict[str, Any]:
    """The blueprint that `value` is or that the folder `value` has, as plain data."""
    try:
        if isinstance(value, Mapping):
            # Plain text again: what was marked as a template is none.
            return to_dict(from_dict(json.loads(json.dumps(value)), "remote_blueprint"))
        folder = Path(str(value)).expanduser()
        written = folder / BLUEPRINT_PATH
        if written.is_file():
            return to_dict(load(written))
        return to_dict(from_dict(detect(folder).blueprint, str(folder)))
    except FuelError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"blueprint": blueprint}
