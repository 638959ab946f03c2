#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fly_secrets_info
short_description: Show the names of an app's secrets on Fly.io
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Shows names and digests. Fly.io shows no value, and neither does this.
extends_documentation_fragment:
  - fuel_code.remote.fly
  - fuel_code.remote.fly.app
  - fuel_code.remote.progress
  - fuel_code.remote.attributes.info
"""

EXAMPLES = r"""
- name: Show which secrets there are
  fuel_code.remote.fly_secrets_info:
    app: fuel-code-01jd0000000000000000000000
  register: found
"""

RETURN = r"""
secrets:
  description: Each secret with C(name) and C(digest).
  returned: success
  type: list
  elements: dict
  sample: [{name: FUEL_AUTHORIZED_KEYS, digest: 5d41402abc4b2a76}]
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
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import _app, _module, _secrets
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress


def work(module: AnsibleModule) -> Dict[str, Any]:
    """The module's result."""
    found = _secrets.digests(_module.connect(module, open_url), _app.check_name(module.params["app"]))
    return {"changed": False, "secrets": [{"name": name, "digest": found[name]} for name in sorted(found)]}


def main() -> None:
    module = AnsibleModule(
        argument_spec={"app": {"type": "str", "required": True}, **_module.ARGUMENTS}, supports_check_mode=True
    )
    progress = Progress("provider", module.params["progress_path"])
    _module.run(module, progress, lambda: work(module))


if __name__ == "__main__":
    main()
