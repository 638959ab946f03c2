#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fly_machine_info
short_description: Show Fly Machines, of an app or of a whole organization
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Shows the machines of an app, or those of a whole organization that environments own.
  - A machine that was destroyed is not shown.
options:
  app:
    description: Name of the app.
    type: str
    default: ''
  org:
    description: Slug of the organization, where no O(app) is given. Only machines with the collection's mark are shown.
    type: str
    default: personal
  name:
    description: Name of the machine. All without.
    type: str
    default: ''
extends_documentation_fragment:
  - fuel_code.remote.fly
  - fuel_code.remote.progress
  - fuel_code.remote.attributes.info
"""

EXAMPLES = r"""
- name: Find every machine that an environment owns
  fuel_code.remote.fly_machine_info:
    org: personal
  register: found
"""

RETURN = r"""
app:
  description: The app as Fly.io shows it.
  returned: with O(app), where there is one
  type: dict
addresses:
  description: The app's addresses with C(ip), C(kind) and C(since).
  returned: with O(app), where there is one
  type: list
  elements: dict
machines:
  description: Each machine as Fly.io shows it, with C(app_name) where O(org) was asked for.
  returned: success
  type: list
  elements: dict
  sample: [{id: 148ed123456789, name: dev, state: started, region: fra}]
environments:
  description: The same by environment, with C(environment_id), C(owner) and C(resources).
  returned: success
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

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import _app, _module, _tags
from ansible_collections.fuel_code.remote.plugins.module_utils._fly._api import place
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress


def by_environment(machines: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Machines that environments own, by environment."""
    found: Dict[str, Dict[str, Any]] = {}
    for each in machines:
        marks = _tags.of(each)
        name = marks.get(_tags.ENVIRONMENT)
        if name:
            empty: Dict[str, Any] = {"environment_id": name, "owner": marks.get(_tags.OWNER, ""), "resources": []}
            line = {"kind": "fly machine", "name": str(each["id"]), "state": str(each.get("state") or "")}
            found.setdefault(name, empty)["resources"].append(line)
    return [found[name] for name in sorted(found)]


def work(module: AnsibleModule) -> Dict[str, Any]:
    """The module's result."""
    api = _module.connect(module, open_url)
    app, name = module.params["app"], module.params["name"]
    result: Dict[str, Any] = {"changed": False}
    if app:
        _app.check_name(app)
        shown = _app.find(api, app)
        machines = api.listed(place("apps", app, "machines"))
        if shown is not None:
            result.update(app=shown, addresses=_app.addresses(api, app))
    else:
        every = api.listed(place("orgs", module.params["org"], "machines"), "machines")
        machines = [each for each in every if _tags.of(each).get(_tags.MANAGED)]
    machines = [each for each in machines if name in ("", each.get("name")) and each.get("state") != "destroyed"]
    return {**result, "machines": machines, "environments": by_environment(machines)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "default": ""},
            "org": {"type": "str", "default": "personal"},
            "name": {"type": "str", "default": ""},
            **_module.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    progress = Progress("provider", module.params["progress_path"])
    _module.run(module, progress, lambda: work(module))


if __name__ == "__main__":
    main()
