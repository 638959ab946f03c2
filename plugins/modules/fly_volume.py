#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fly_volume
short_description: Have one Fly Volume of a name, grow it, snapshot it, or end it with proof
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Fly.io lets several volumes have one name. A create is therefore never repeated blindly, and what there is after a
    lost answer is looked at.
  - Where several volumes have the name, nothing is done to any of them, unless the app is one environment's own
    (O(sole)).
  - A volume only grows. It belongs to one region, and to one machine at a time.
attributes:
  check_mode:
    support: full
    description: Asks Fly.io what there is, and changes nothing.
  diff_mode:
    support: full
    description: Shows size and region before and after.
options:
  name:
    description: Name of the volume, of V(a-z), V(0-9) and V(_).
    type: str
    required: true
  state:
    description:
      - With V(extended), it is at least as large as O(size_gb) afterwards; where there is none, none is made.
      - With V(snapshotted), there is one snapshot more of it afterwards, or than those of O(known_snapshots).
      - With V(absent), there is none, and a receipt. What it held is lost; the receipt names the snapshots that Fly.io
        keeps, each until its days are over.
    type: str
    choices: [present, extended, snapshotted, absent]
    default: present
  region:
    description: Region, for example V(fra). It cannot be changed. Fly.io chooses without.
    type: str
    default: ''
  size_gb:
    description: Size in GB at least.
    type: int
    default: 1
  snapshot_id:
    description: Snapshot that a new volume begins with.
    type: str
    default: ''
  known_snapshots:
    description:
      - Ids of the snapshots that there were when this one was wanted first. Where there is another one already, with
        O(state=snapshotted), none is made, so that a repeat makes no second one. One that comes before Fly.io lists the
        first makes one.
    type: list
    elements: str
  snapshot_days:
    description: Days for which Fly.io's daily snapshots of a new volume are kept.
    type: int
    default: 5
  encrypted:
    description: Whether a new volume is encrypted at rest.
    type: bool
    default: true
  sole:
    description:
      - Whether the app is one environment's own, so that the name means one volume.
      - Of several, the one that a machine uses, else the eldest, is it then. The others, which no machine uses and for
        which killed runs had asked, are destroyed.
    type: bool
    default: false
  org:
    description:
      - Slug of the app's organization.
      - With O(state=absent), what is not there is believed to be gone only if the token sees this organization.
    type: str
    default: personal
extends_documentation_fragment:
  - fuel_code.remote.fly
  - fuel_code.remote.fly.app
  - fuel_code.remote.progress
"""

EXAMPLES = r"""
- name: Have a volume of 10 GB at least
  fuel_code.remote.fly_volume:
    app: fuel-code-01jd0000000000000000000000
    name: workspace
    region: fra
    size_gb: 10
  register: made

- name: Keep what it holds now
  fuel_code.remote.fly_volume:
    app: fuel-code-01jd0000000000000000000000
    name: workspace
    state: snapshotted
"""

RETURN = r"""
disk:
  description:
    - The volume in the words that all providers share, with C(id), C(region), C(size_gb), C(snapshot_days), C(prices)
      and C(snapshots), the newest first, each with C(id), C(created_at), C(state), C(stored_bytes) and C(days).
    - With O(state=extended) also C(needs_restart), with O(state=snapshotted) C(snapshot), the id of that one.
  returned: with O(state=extended) or O(state=snapshotted)
  type: dict
volume:
  description: The volume as Fly.io shows it, with C(id), C(name), C(region), C(size_gb) and C(attached_machine_id).
  returned: but with O(state=absent); in check mode only where there is one
  type: dict
  sample: {id: vol_4o5p6q7r8s9t, name: workspace, region: fra, size_gb: 10, attached_machine_id: null}
needs_restart:
  description: Whether the machine that uses the volume has to be started anew to see what was added to it.
  returned: with O(state=present) or O(state=extended)
  type: bool
  sample: false
snapshot:
  description: The snapshot that was made, with C(id) and C(created_at).
  returned: with O(state=snapshotted), once Fly.io lists it
  type: dict
  sample: {id: vs_2AbCdEfGh, created_at: '2026-01-01T00:00:00Z'}
done:
  description: What was done, or would be.
  returned: success
  type: list
  elements: str
  sample: [create]
receipt:
  description: What was asked for again after the end.
  returned: with O(state=absent), not in check mode
  type: dict
  contains:
    complete:
      description: Whether everything is gone.
      type: bool
    checked_at:
      description: When, in RFC 3339, UTC.
      type: str
      sample: '2026-01-01T00:00:00Z'
    resources:
      description: Each thing with C(kind), C(name), C(state) (C(gone), C(present) or C(unknown)) and C(detail).
      type: list
      elements: dict
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
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import _module, _volume
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress
from ansible_collections.fuel_code.remote.plugins.module_utils._receipt import receipt


def work(module: AnsibleModule, progress: Progress) -> Dict[str, Any]:
    """The module's result."""
    api = _module.connect(module, open_url)
    params, check = module.params, module.check_mode
    wanted = _volume.Wanted(
        app=params["app"],
        name=params["name"],
        region=params["region"],
        size_gb=params["size_gb"],
        snapshot_id=params["snapshot_id"],
        snapshot_days=params["snapshot_days"],
        encrypted=params["encrypted"],
        sole=params["sole"],
        org=params["org"],
    )

    def shared(volume: Dict[str, Any], **more: Any) -> Dict[str, Any]:
        return _volume.disk(volume, _volume.listed_snapshots(api, wanted.app, volume), **more)

    if params["state"] == "absent":
        with progress.step("destroy volume"):
            ended, lines = _volume.destroy(api, wanted, check_only=check)
        return {
            "changed": bool(ended),
            "done": ["destroy"] if ended else [],
            **({} if check else {"receipt": receipt(lines)}),
        }
    if params["state"] == "snapshotted":
        with progress.step("snapshot"):
            volume, made, asked = _volume.snapshot(api, wanted, known=params["known_snapshots"], check_only=check)
        return {
            "changed": asked,
            "volume": volume,
            "disk": shared(volume, snapshot=None if made is None else str(made["id"])),
            "done": ["snapshot"] if asked else [],
            **({} if made is None else {"snapshot": made}),
        }
    with progress.step("volume") as step:
        result = _volume.ensure(api, wanted, check_only=check, make=params["state"] == "present")
        if not result.done:
            step.reuse()
    shown = result.volume or {}
    size = max(result.size_before, wanted.size_gb)
    told: Dict[str, Any] = {}
    if params["state"] == "extended" and result.volume is not None:
        told["disk"] = shared(result.volume, needs_restart=result.needs_restart)
    return {
        "changed": bool(result.done),
        "done": result.done,
        "diff": {
            "before": {"size_gb": result.size_before, "region": shown.get("region", "") if result.size_before else ""},
            "after": {"size_gb": size, "region": shown.get("region", params["region"])},
        },
        "needs_restart": result.needs_restart,
        **told,
        **({} if result.volume is None else {"volume": result.volume}),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "extended", "snapshotted", "absent"], "default": "present"},
            "region": {"type": "str", "default": ""},
            "size_gb": {"type": "int", "default": 1},
            "snapshot_id": {"type": "str", "default": ""},
            "known_snapshots": {"type": "list", "elements": "str"},
            "snapshot_days": {"type": "int", "default": 5},
            "encrypted": {"type": "bool", "default": True},
            "sole": {"type": "bool", "default": False},
            "org": {"type": "str", "default": "personal"},
            **_module.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    progress = Progress("destroy" if module.params["state"] == "absent" else "provider", module.params["progress_path"])
    _module.run(module, progress, lambda: work(module, progress))


if __name__ == "__main__":
    main()
