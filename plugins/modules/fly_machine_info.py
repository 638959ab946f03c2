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
  - Shows the machines of an app, or those of a whole organization that environments own. These bear the collection's
    mark, and are in the app that has their environment's name; a mark that was copied elsewhere means nothing.
  - A machine that was destroyed is not shown.
options:
  app:
    description: Name of the app.
    type: str
    default: ''
  org:
    description: Slug of the organization, where no O(app) is given. Only environments' machines are shown.
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
  description:
    - The same by environment, with C(environment_id), C(owner), C(resources), C(since), C(expires_at) and C(region).
    - Of an organization, also apps that have an environment's name and no machine any more.
  returned: success
  type: list
  elements: dict
observed:
  description: Environments whose machine does not run, with C(environment_id), C(running) and C(state).
  returned: with O(app)
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

import calendar
import re
import time
from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import _app, _module, _tags
from ansible_collections.fuel_code.remote.plugins.module_utils._fly._api import place
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress

_ASLEEP = ("stopped", "suspended")


def by_environment(machines: List[Dict[str, Any]], apps: List[Dict[str, Any]], org: str) -> List[Dict[str, Any]]:
    """What environments own, by environment."""
    found: Dict[str, Dict[str, Any]] = {}

    def of(name: str) -> Dict[str, Any]:
        empty: Dict[str, Any] = {"environment_id": name, "owner": "", "name": "", "login": None, "account": org}
        return found.setdefault(name, {**empty, "since": None, "expires_at": None, "region": "", "resources": []})

    for each in machines:
        marks = _tags.of(each)
        name = marks.get(_tags.ENVIRONMENT)
        if name:
            one = of(name)
            line = {"kind": "fly machine", "name": str(each["id"]), "state": str(each.get("state") or "")}
            one["resources"].append(line)
            expires = marks.get(_tags.EXPIRES, "")
            one.update(owner=marks.get(_tags.OWNER, ""), name=marks.get(_tags.NAME, ""))
            one.update(region=str(each.get("region") or ""))
            one.update(since=moment(each.get("created_at")), expires_at=int(expires) if expires.isdecimal() else None)
    for each in apps:
        named = _tags.environment_of(str(each.get("name")))
        if named:
            line = {"kind": "fly app", "name": str(each["name"]), "state": str(each.get("status") or "present")}
            of(named)["resources"].append(line)
    return [found[name] for name in sorted(found)]


def moment(text: Any) -> Optional[float]:
    """Epoch seconds of a time as the API writes it, in UTC; None for none."""
    parts = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z$", str(text or ""))
    return float(calendar.timegm(time.strptime(parts.group(1), "%Y-%m-%dT%H:%M:%S"))) if parts else None


def asleep(machines: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """As `dev_container_info` tells of one that does not run, where it was read to being left as it is."""
    said: Dict[str, Any] = {"present": True, "running": False, "events": [], "cursor": None, "activity": None}
    said.update(problem=None, notice=None)
    return [
        {"environment_id": _tags.of(each)[_tags.ENVIRONMENT], **said, "state": str(each["state"])}
        for each in machines
        if each.get("state") in _ASLEEP and _tags.of(each).get(_tags.ENVIRONMENT)
    ]


def work(module: AnsibleModule) -> Dict[str, Any]:
    """The module's result."""
    api = _module.connect(module, open_url)
    app, name = module.params["app"], module.params["name"]
    result: Dict[str, Any] = {"changed": False}
    apps: List[Dict[str, Any]] = []
    if app:
        _app.check_name(app)
        shown = _app.find(api, app)
        machines = api.listed(place("apps", app, "machines"))
        if shown is not None:
            result.update(app=shown, addresses=_app.addresses(api, app))
    else:
        # An organization that this token does not see is no organization in which nothing is.
        apps = api.listed(place("apps"), "apps", required=True, org_slug=module.params["org"])
        missed: List[str] = []
        path = place("orgs", module.params["org"], "machines")
        every = api.listed(path, "machines", required=True, missed=missed)
        for region in sorted(set(missed)):
            module.warn(f"Fly.io does not say which machines there are in {region}: run again to know")
        machines = [each for each in every if _tags.is_ours(each)]
    machines = [each for each in machines if name in ("", each.get("name")) and each.get("state") != "destroyed"]
    result["environments"] = by_environment(machines, apps, module.params["org"])
    return {**result, "machines": machines, **({"observed": asleep(machines)} if app else {})}


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
