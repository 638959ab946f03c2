#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fly_app_config
short_description: Write what deploys a repository to Fly.io
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Writes C(fly.toml), C(Dockerfile), C(.dockerignore) and a CI workflow from what a repository shows, each value with
    the file and line that it came from.
  - A file that was edited by hand, or was not made here, is kept unless O(force=true).
  - Nothing is run, fetched or deployed.
requirements:
  - Python 3.11 or newer, PyYAML and Jinja on the controller
notes:
  - Runs on the controller, where its templates are, for a repository that is there. Give the task
    C(delegate_to=localhost) where the play is for other hosts, and do not become another user for it.
attributes:
  check_mode:
    support: full
    description: Decides everything and writes nothing.
  diff_mode:
    support: full
    description: Shows every file before and after.
options:
  path:
    description: Folder of the repository, on the controller.
    type: path
    required: true
  environments:
    description:
      - Environments to write a configuration for; each has a whole file of its own.
      - None means production, and those that have a file already.
    type: list
    elements: str
    choices: [dev, staging, production]
    default: []
  regions:
    description:
      - Regions of Fly.io, the primary one first.
      - None means that of the C(fly.toml) that is there, else V(iad).
    type: list
    elements: str
    default: []
  app:
    description: Name of the app. Without it, that of the C(fly.toml) that is there, else the folder's.
    type: str
  ci:
    description: Whose workflow to write. Without it, that of the CI that the repository has.
    type: str
    choices: [github, gitlab, circleci, none]
  force:
    description: Whether files that were edited by hand are replaced too.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Make a repository ready for Fly.io
  fuel_code.remote.fly_app_config:
    path: /home/alice/shop
    regions: [fra, iad]
    environments: [staging, production]
    ci: github
  delegate_to: localhost
  register: fly

- name: Show where each value came from
  ansible.builtin.debug:
    var: fly.decisions
"""

RETURN = r"""
framework:
  description: The templates that fitted.
  returned: success
  type: str
  sample: django
app:
  description: Name of the app.
  returned: success
  type: str
  sample: shop
files:
  description: Every file, with its state before and whether it was written.
  returned: success
  type: list
  elements: dict
  contains:
    path: {description: "Relative to the repository.", type: str, returned: always, sample: fly.toml}
    state: {description: "One of V(new), V(same), V(changed), V(edited).", type: str, returned: always, sample: new}
    written: {description: "Whether it was written.", type: bool, returned: always, sample: true}
kept:
  description: Files that were left alone because they were edited by hand.
  returned: success
  type: list
  elements: str
  sample: [Dockerfile]
decisions:
  description: One entry for each value that was decided.
  returned: success
  type: list
  elements: dict
  contains:
    field: {description: "What was decided.", type: str, returned: always, sample: http_service.internal_port}
    value: {description: "The value.", type: raw, returned: always, sample: 3000}
    source: {description: "File and line, option or V(default).", type: str, returned: always, sample: "server.js:3"}
    why: {description: "The reason, where it is not plain.", type: str, returned: always, sample: ""}
notes:
  description: What a person should know or do.
  returned: success
  type: list
  elements: str
  sample: ["no route answers health checks: add GET /healthz and run this again"]
commands:
  description: Commands that come next.
  returned: success
  type: list
  elements: str
  sample: [fly apps create shop, fly deploy]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._fly_app.task import ARGUMENTS, fly_app_config


def main() -> None:
    """Ansible's entry point, where the action plugin of this name does not do the work in Ansible's own process."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    result = fly_app_config(module.params, check=module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
