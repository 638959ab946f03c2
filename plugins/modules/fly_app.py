#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fly_app
short_description: Have an app on Fly.io with its addresses, or end it with all that it owns
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Makes the app once. All of Fly.io shares the names of apps, so a repeat, also of a run that was killed, finds it.
  - Has at least one address of each kind in O(addresses). Where the app is one environment's own (O(sole)), a second
    one of that kind, which only a killed run can have asked for, goes.
  - With O(state=absent), the app goes with its machines, volumes, secrets and addresses, and Fly.io is asked again.
  - What is in a volume is lost then, snapshots included.
attributes:
  check_mode:
    support: full
    description: Asks Fly.io what there is, and changes nothing.
  diff_mode:
    support: none
    description: The result says all there is to say.
options:
  state:
    description: Whether there is to be the app.
    type: str
    choices: [present, absent]
    default: present
  org:
    description:
      - Slug of the organization that it belongs to.
      - With O(state=absent), an app that is not there is believed to be gone only if the token sees this organization.
    type: str
    default: personal
  network:
    description: Private network of its own, by any name. That of the organization without.
    type: str
    default: ''
  addresses:
    description:
      - Kinds of addresses that it has.
      - Only V(v4), V(v6) and V(private_v6) take connections that are neither HTTP nor TLS.
      - Fly.io charges for V(v4).
    type: list
    elements: str
    choices: [v4, v6, shared_v4, private_v6]
    default: []
  sole:
    description: The app is one environment's own.
    type: bool
    default: false
  environment_id:
    description: ULID of the environment that it is for. With O(state=absent), refuses while it has machines of others.
    type: str
    default: ''
extends_documentation_fragment:
  - fuel_code.remote.fly
  - fuel_code.remote.fly.app
  - fuel_code.remote.progress
"""

EXAMPLES = r"""
- name: Have an app with an address for SSH
  fuel_code.remote.fly_app:
    app: fuel-code-01jd0000000000000000000000
    org: personal
    addresses: [v6]

- name: End it, with all that it owns
  fuel_code.remote.fly_app:
    state: absent
    app: fuel-code-01jd0000000000000000000000
    environment_id: 01JD0000000000000000000000
  register: ended
"""

RETURN = r"""
app:
  description: The app as Fly.io shows it.
  returned: with O(state=present), where there is one
  type: dict
  sample: {name: fuel-code-01jd0000000000000000000000, status: deployed, organization: {slug: personal}}
addresses:
  description: Its addresses with C(ip), C(kind) and C(since).
  returned: with O(state=present), where there is an app
  type: list
  elements: dict
  sample: [{ip: 2001:db8::1, kind: v6, since: '2026-01-01T00:00:00Z'}]
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
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import _app, _module
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress
from ansible_collections.fuel_code.remote.plugins.module_utils._receipt import receipt


def work(module: AnsibleModule, progress: Progress) -> Dict[str, Any]:
    """The module's result."""
    api = _module.connect(module, open_url)
    params, check = module.params, module.check_mode
    if params["state"] == "absent":
        with progress.step("destroy app"):
            ended, lines = _app.destroy(api, params["app"], params["environment_id"], params["org"], check=check)
        return {"changed": ended, **({} if check else {"receipt": receipt(lines)})}
    wanted = _app.Wanted(
        params["app"], params["org"], params["network"], tuple(params["addresses"]), sole=params["sole"]
    )
    with progress.step("app") as step:
        changed = _app.ensure(api, wanted, check=check)
        if not changed:
            step.reuse()
    found = _app.find(api, wanted.name)
    if found is None:
        return {"changed": changed}
    return {"changed": changed, "app": found, "addresses": _app.addresses(api, wanted.name)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "org": {"type": "str", "default": "personal"},
            "network": {"type": "str", "default": ""},
            "addresses": {"type": "list", "elements": "str", "choices": list(_app.KINDS), "default": []},
            "sole": {"type": "bool", "default": False},
            "environment_id": {"type": "str", "default": ""},
            **_module.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    progress = Progress("destroy" if module.params["state"] == "absent" else "provider", module.params["progress_path"])
    _module.run(module, progress, lambda: work(module, progress))


if __name__ == "__main__":
    main()
