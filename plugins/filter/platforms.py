# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Filter that says what a source on the controller is deployed to."""

from __future__ import annotations

DOCUMENTATION = r"""
name: platforms
short_description: The platforms that a repository is deployed to
version_added: 0.1.0
description:
  - Reads C(platforms) from C(source.json) when the path is a source bundle. Otherwise looks at the files of the folder.
options:
  _input:
    description: Path of a repository or of a source bundle on the controller.
    type: path
    required: true
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Show what a repository is deployed to
  ansible.builtin.debug:
    msg: "{{ '/home/ada/src/node-api' | fuel_code.remote.platforms }}"
"""

RETURN = r"""
_value:
  description: Every platform with a sign of it and how sure that is, from 0 to 1.
  type: list
  elements: dict
  sample: [{name: fly.io, confidence: 1.0}]
"""

import json
from pathlib import Path
from typing import Any, Callable, Dict, List

from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.data_platforms import PLATFORMS
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.platforms import platforms as detect


def platforms(path: Any) -> List[Dict[str, Any]]:
    """Name and confidence of each; empty when nothing is known."""
    folder = Path(str(path)).expanduser()
    described = folder / "source.json"
    if described.is_file():
        return _told(described)
    if not folder.is_dir():
        return []
    return [{"name": each["name"], "confidence": each["confidence"]} for each in detect(str(folder))]


def _told(described: Path) -> List[Dict[str, Any]]:
    """What source.json says; it came from a client, so only what is a platform's name and a number counts."""
    try:
        document = json.loads(described.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    entries = document.get("platforms") if isinstance(document, dict) else None
    found: Dict[str, float] = {}
    for each in entries if isinstance(entries, list) else []:
        name, confidence = (each.get("name"), each.get("confidence")) if isinstance(each, dict) else (None, None)
        if isinstance(name, str) and name in PLATFORMS and isinstance(confidence, (int, float)):
            found[name] = min(1.0, max(0.0, float(confidence)))
    return [{"name": name, "confidence": confidence} for name, confidence in found.items()]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"platforms": platforms}
