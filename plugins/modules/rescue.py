#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rescue
short_description: Save the work in an environment that exists nowhere else
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Saves all refs, stashes, detached heads and worktrees, the index and the tree as it lies there (changed, staged,
    untracked and removed files) of every repository beside the workspace, with submodules and nested repositories, and
    what the coding agent wrote down of its sessions.
  - The folder that it writes is a source bundle. Given as O(fuel_code.remote.workspace#module:source), all of it is put
    back.
  - It counts as saved only when it has been restored into a scratch repository and compared. An earlier rescue in the
    same place is replaced then, and not before.
  - Files that F(.gitignore) leaves out, credentials and the agent's settings do not go along.
requirements:
  - Docker's command line on the machine the module runs on
  - Git on the controller and in the container
attributes:
  check_mode:
    support: full
    description: Says whether there is something to be saved, and writes nothing.
  diff_mode:
    support: none
    description: What is in it is in the result.
options:
  container:
    description: Name or id of the container. Required where the environment is one.
    type: str
  user:
    description: Login of the container whose work it is.
    type: str
    required: true
  path:
    description: Absolute path of the workspace in the container.
    type: str
    required: true
  dest:
    description: Absolute path of the folder that is written, on the controller.
    type: path
    required: true
  file_bytes:
    description: A file that is not committed and larger than this is left out and named.
    type: int
    default: 52428800
  files_bytes:
    description: So much of such files goes along, the small ones first.
    type: int
    default: 524288000
  transcript_bytes:
    description: So much of the agent's sessions goes along, the newest first.
    type: int
    default: 104857600
  total_bytes:
    description: A rescue that would be larger than this fails.
    type: int
    default: 2147483648
  timeout:
    description: Seconds after which it is given up.
    type: int
    default: 600
  archive:
    description: Write one tar file to O(dest), on the machine the module runs on, to be verified where it arrives.
    type: bool
    default: false
extends_documentation_fragment:
  - fuel_code.remote.environment_is
  - fuel_code.remote.progress
"""

EXAMPLES = r"""
- name: Save what is only in the environment
  fuel_code.remote.rescue:
    container: fuel-code-01jd0000000000000000000000-1
    user: dev
    path: /workspaces/shop
    dest: /var/backups/shop
  register: saved

- name: Put it back into another one
  fuel_code.remote.workspace:
    container: fuel-code-01jd1111111111111111111111-1
    user: dev
    path: /workspaces/shop
    source: /var/backups/shop
"""

RETURN = r"""
rescue:
  description: What was saved; none when there was nothing to save, and in check mode.
  returned: success
  type: dict
  contains:
    path:
      description: Where it is.
      type: str
      sample: /var/backups/shop
    name:
      description: The repository's name.
      type: str
      sample: shop
    commit:
      description: Where the workspace's HEAD stood.
      type: str
    branch:
      description: The branch that was checked out, none for a detached HEAD.
      type: str
      sample: main
    counts:
      description: How many branches, stashes, worktrees, uncommitted files, sessions and other repositories are in it.
      type: dict
      sample: {"branches": 2, "stashes": 1, "worktrees": 0, "files": 4, "sessions": 1, "beside": 0}
    complete:
      description: Whether no work had to be left out.
      type: bool
    left_out:
      description: What did not go along, with C(files) (C(path), C(size), C(reason)), C(count) and C(bytes).
      type: dict
    parts:
      description: Its files with C(path), C(size) and C(sha256).
      type: list
      elements: dict
work:
  description: Work that exists only in the environment, as M(fuel_code.remote.workspace) tells it.
  returned: success
  type: dict
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
from ansible_collections.fuel_code.remote.plugins.module_utils._rescue._task import ARGUMENTS, RULES, rescue


def main() -> None:
    """Ansible's entry point on another machine; what it writes there is fetched by the action plugin of this name."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **RULES)
    result = rescue(module.params, check=module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
