#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fly_volume_info
short_description: Show the volumes of an app on Fly.io, and their snapshots
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Shows the volumes of an app. One that is being destroyed is not shown.
options:
  name:
    description: Name of the volume. All without.
    type: str
    default: ''
  snapshots:
    description: Whether to ask for each volume's snapshots.
    type: bool
    default: false
extends_documentation_fragment:
  - fuel_code.remote.fly
  - fuel_code.remote.fly.app
  - fuel_code.remote.progress
  - fuel_code.remote.attributes.info
"""

EXAMPLES = r"""
- name: Show what snapshots there are
  fuel_code.remote.fly_volume_info:
    app: fuel-code-01jd0000000000000000000000
    name: workspace
    snapshots: true
  register: found
"""

RETURN = r"""
volumes:
  description:
    - Each volume as Fly.io shows it, the one that a machine uses first, then the eldest. With O(snapshots), each has
      C(snapshots).
  returned: success
  type: list
  elements: dict
  sample: [{id: vol_4o5p6q7r8s9t, name: workspace, region: fra, size_gb: 10, attached_machine_id: null}]
disk:
  description:
    - The first of them in the words that all providers share, with C(id), C(region), C(size_gb), C(snapshot_days),
      C(prices) and C(snapshots), the newest first, each with C(id), C(created_at), C(state), C(stored_bytes) and
      C(days).
  returned: with O(snapshots) and a O(name) that there is
  type: dict
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
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import _app, _module, _volume
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress


def work(module: AnsibleModule) -> Dict[str, Any]:
    """The module's result."""
    api = _module.connect(module, open_url)
    app = _app.check_name(module.params["app"])
    volumes = _volume.listed(api, app, module.params["name"])
    if module.params["snapshots"]:
        for each in volumes:
            each["snapshots"] = _volume.listed_snapshots(api, app, each)
    told: Dict[str, Any] = {}
    if module.params["snapshots"] and module.params["name"] and volumes:
        told["disk"] = _volume.disk(volumes[0], volumes[0]["snapshots"])
    return {"changed": False, "volumes": volumes, **told}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "snapshots": {"type": "bool", "default": False},
            **_module.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    progress = Progress("provider", module.params["progress_path"])
    _module.run(module, progress, lambda: work(module))


if __name__ == "__main__":
    main()
