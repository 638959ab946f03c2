#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: workspace
short_description: Place a repository in an environment's container, set it up, and survey the work in it
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Builds the repository in the container from a source bundle. That holds the launch commit, its branch and a patch
    of the uncommitted work, so that no credential of any Git host is needed in the container.
  - The workspace is built under a temporary name and renamed at the end. Once it is there, it is never touched again.
  - Setup commands run one by one as the user. One that fails stops the rest and makes the environment degraded; the
    module succeeds.
requirements:
  - Docker's command line on the machine the module runs on
  - Git in the container, and on the machine when O(source) is a plain repository
attributes:
  check_mode:
    support: full
    description: Says whether something would be placed or run, and changes nothing.
  diff_mode:
    support: full
    description: Shows which setup commands would run or have run.
options:
  container:
    description: Name or id of the container. Required where the environment is one.
    type: str
  user:
    description: Login of the container whose workspace it is.
    type: str
    required: true
  path:
    description: Absolute path of the workspace in the container.
    type: str
    required: true
  source:
    description:
      - Source bundle folder or its tar file as C(fuelctl) makes them, or the folder of a plain repository.
      - Of a folder within a repository the whole repository goes along. Logins begin in that folder, and setup commands
        run there.
      - On the machine the module runs on. Required with O(state=present).
    type: path
  setup:
    description: Shell commands, run one by one in the workspace by a login shell of the user.
    type: list
    elements: str
    default: []
  setup_timeout:
    description: Seconds after which a setup command is ended and counts as failed.
    type: int
    default: 3600
  state:
    description:
      - With V(present), the workspace is placed and set up.
      - With V(surveyed), work that exists only in the environment is listed and nothing is changed.
    type: str
    choices: [present, surveyed]
    default: present
extends_documentation_fragment:
  - fuel_code.remote.environment_is
  - fuel_code.remote.progress
"""

EXAMPLES = r"""
- name: Place the repository and install its dependencies
  fuel_code.remote.workspace:
    container: fuel-code-01jd0000000000000000000000-1
    user: dev
    path: /workspaces/shop
    source: /home/alice/shop
    setup:
      - npm ci

- name: See what would be lost
  fuel_code.remote.workspace:
    container: fuel-code-01jd0000000000000000000000-1
    user: dev
    path: /workspaces/shop
    state: surveyed
  register: survey
"""

RETURN = r"""
workspace:
  description: What is in the container.
  returned: success, with O(state=present)
  type: dict
  contains:
    path:
      description: Where it is.
      type: str
      sample: /workspaces/shop
    folder:
      description: Where in it a login begins and setup commands run, empty for its top.
      type: str
      sample: services/shop
    commit:
      description: The commit that it was launched from.
      type: str
      sample: 3f786850e387550fdab836ed7e6dc881de23001b
    branch:
      description: The branch that is checked out, none for a detached HEAD.
      type: str
      sample: main
    dirty:
      description: Whether uncommitted work came along.
      type: bool
    submodules:
      description: Submodules with C(path), C(url), C(commit), C(handled), and C(reason) where one did not come along.
      type: list
      elements: dict
    lfs:
      description: Files of Git LFS with C(path), C(oid), C(size), C(handled), and C(reason) where only a pointer came.
      type: list
      elements: dict
setup:
  description: One entry per setup command that ran or was done before.
  returned: success, with O(state=present)
  type: list
  elements: dict
  contains:
    command:
      description: The command.
      type: str
      sample: npm ci
    rc:
      description: Its exit code.
      type: int
      sample: 0
    seconds:
      description: How long it took.
      type: float
      sample: 12.4
    tail:
      description: Its last lines.
      type: list
      elements: str
    reused:
      description: Whether it was done by an earlier run.
      type: bool
degraded:
  description: The setup command that failed, with C(command), C(rc) and C(tail); none when all is well.
  returned: success, with O(state=present)
  type: dict
work:
  description: Work that exists only in the environment; each list is cut at 100 entries.
  returned: success, with O(state=surveyed)
  type: dict
  contains:
    uncommitted:
      description: A letter as of C(git status) and a path each.
      type: list
      elements: str
      sample: ["M src/app.js"]
    unpushed:
      description: Commit, branch and subject each.
      type: list
      elements: str
      sample: ["3f78685 main: Add the cart"]
    stashes:
      description: Name and message each.
      type: list
      elements: str
    counts:
      description: How many there are of each.
      type: dict
      sample: {"uncommitted": 1, "unpushed": 1, "stashes": 0}
    unknown:
      description: Why it cannot be told, none when it can.
      type: str
would_lose:
  description: Whether removing the environment could destroy work; true also when that cannot be told.
  returned: success, with O(state=surveyed)
  type: bool
reason:
  description: The same in one line, none when nothing would be lost.
  returned: success, with O(state=surveyed)
  type: str
  sample: 1 uncommitted, 1 unpushed
steps:
  description: What was done, with C(stage), C(step), C(state), C(seconds) and C(message).
  returned: always
  type: list
  elements: dict
error:
  description: The failure with C(message), C(hint), C(where), C(code) and C(details).
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._workspace._task import ARGUMENTS, RULES, workspace


def main() -> None:
    """Ansible's entry point, where the action plugin of this name does not do the work in Ansible's own process."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **RULES)
    result = workspace(module.params, check=module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
