# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter that names the repository behind a source."""

from __future__ import annotations

DOCUMENTATION = r"""
name: source_name
short_description: The repository's name of a source on the controller
version_added: 0.1.0
description:
  - Reads C(name) from C(source.json) when the path is a source bundle. Otherwise takes the name of the folder, or of
    the repository that it lies in.
options:
  _input:
    description: Path of a repository or of a source bundle on the controller.
    type: path
    required: true
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Show a name
  ansible.builtin.debug:
    msg: "{{ '/home/ada/src/node-api' | fuel_code.remote.source_name }}"
"""

RETURN = r"""
_value:
  description: The name.
  type: str
  sample: node-api
"""

import json
import os
from pathlib import Path
from typing import Any, Callable, Dict


def source_name(path: Any) -> str:
    """The repository's name; never empty."""
    folder = Path(str(path)).expanduser()
    try:
        named = json.loads((folder / "source.json").read_text(encoding="utf-8")).get("name")
    except (OSError, ValueError, AttributeError):
        named = None
    if named:
        return str(named)
    here = Path(os.path.realpath(folder))
    top = next((one for one in (here, *here.parents) if (one / ".git").exists()), here)
    return top.name or "workspace"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"source_name": source_name}
