# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter that computes an environment's id."""

from __future__ import annotations

DOCUMENTATION = r"""
name: environment_id
short_description: The id of an environment that no control plane has numbered
version_added: 0.1.0
description:
  - Computes the id from owner and name, so that a repeat for the same two finds the same environment.
positional: owner
options:
  _input:
    description: Name of the environment.
    type: str
    required: true
  owner:
    description: Who owns it.
    type: str
    required: true
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Show an id
  ansible.builtin.debug:
    msg: "{{ 'api' | fuel_code.remote.environment_id('ada') }}"
"""

RETURN = r"""
_value:
  description: A ULID.
  type: str
  sample: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
"""

from typing import Any, Callable, Dict

from ansible.errors import AnsibleFilterError
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._identity import (
    check_environment_name,
    environment_id_for,
)


def environment_id(name: Any, owner: Any) -> str:
    """The id for (owner, name)."""
    try:
        return environment_id_for(str(owner), check_environment_name(str(name)))
    except FuelError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"environment_id": environment_id}
