#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: dev_container_info
short_description: List the environments on a Docker engine
version_added: 0.1.0
description:
  - Reports everything on the engine that carries the label of an environment, whoever made it, whatever is left of it.
requirements:
  - The Docker command line, and the right to use the engine. E(DOCKER_HOST) is honoured.
attributes:
  check_mode:
    support: full
    details: The module changes nothing. O(notices) are not written in check mode.
  diff_mode:
    support: none
options:
  environment_id:
    description: Report this environment only.
    type: str
  cursors:
    description:
      - Environment ids, each with the place up to which its agent's events have been read, empty for all of them.
      - With this option RV(observed) tells of these environments.
    type: dict
  notices:
    description:
      - Environment ids of O(cursors), each with a line that is written on every terminal in the environment.
    type: dict
extends_documentation_fragment:
  - fuel_code.remote.environment_is
  - fuel_code.remote.attributes
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: See what is on this machine
  fuel_code.remote.dev_container_info:
  register: audit
"""

RETURN = r"""
environments:
  description:
    - Environments by id, each with all that it owns. C(login) is none if it never ran.
    - Without O(environment_id) and O(cursors) also C(name), and C(since), epoch seconds of when the oldest was made.
  returned: success
  type: list
  elements: dict
  sample:
    - environment_id: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
      owner: ada
      name: api
      since: 1764000000.0
      login:
        container: fuel-code-01jd3z5q8w6s9x4v7t2r1p0n8m-1
        user: dev
        home: /home/dev
        workspace: /workspaces/api
        running: true
      resources: [{kind: container, name: fuel-code-01jd3z5q8w6s9x4v7t2r1p0n8m-1, state: running}]
observed:
  description:
    - What happened in the environments of O(cursors). Nothing is left of one whose C(present) is false.
    - C(events) are the agent's C(session.*) and C(tool.*) events since the cursor.
    - C(cursor) is where to read on.
    - C(notice) is what the cloud is about to do with the machine, C(action) and C(time). EC2 tells it two minutes
      before it takes a spot machine back.
    - C(activity) is a sample of counters. C(cpu) is what the container has used, in seconds, C(terminals) when each
      terminal with any input had the last one, C(connections) how often each sshd was woken. C(clock), C(uptime) and
      C(boot) are the machine's own time. None when it could not be taken.
  returned: when O(cursors) is given
  type: list
  elements: dict
  sample:
    - environment_id: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
      present: true
      running: true
      events: [{id: 01JD3Z6A8W6S9X4V7T2R1P0N8M, at: 1764000000.5, type: session.start, data: {session: 4f1d}}]
      cursor: "1:118"
      activity:
        clock: 1764000060
        uptime: 24795.82
        boot: 6811d1c6-1af5-4c93-84e1-4685ec931c01
        cpu: 12.5
        terminals: {"0": 1764000031}
        connections: {"81": 118}
      problem: null
      notice: null
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample: {message: The Docker engine does not answer, hint: start it, code: docker_unavailable, details: {}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._info import ARGUMENTS, info


def main() -> None:
    """Ansible's entry point, where the action plugin of this name does not do the work in Ansible's own process."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    result = info(module.params, check=module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
