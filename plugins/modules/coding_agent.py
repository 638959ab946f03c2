#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
---
module: coding_agent
short_description: Have a coding agent ready to be used in an environment's container
version_added: 0.1.0
author: fuel_code maintainers (@fuel-code)
description:
  - Fetches the agent's native binary from the npm registry once per version and machine, into the Docker volume
    C(fuel-code-agents), which environments mount read-only.
  - Links it in the container, writes its settings, hooks and MCP servers, answers its first questions and verifies that
    it runs as the user.
  - Hooks append events of sessions and tools to a bounded spool in the container. They tell that something happened,
    never what was typed, read or written.
  - Credentials of the caller are never copied. The agent finds its key in the login's environment.
requirements:
  - Docker's command line on the machine the module runs on
attributes:
  check_mode:
    support: full
    description: Says whether something would be fetched or written, and changes nothing.
  diff_mode:
    support: full
    description: Shows the agent's settings before and after.
options:
  name:
    description: The agent.
    type: str
    choices: [claude-code]
    default: claude-code
  version:
    description: V(latest) or an exact version. What V(latest) means is asked for once and then kept for six hours.
    type: str
    default: latest
  registry:
    description: Address of the npm registry; by default E(NPM_CONFIG_REGISTRY), else the public one.
    type: str
  cache_path:
    description: Folder for locks and broken downloads; by default below E(XDG_CACHE_HOME).
    type: path
  container:
    description: Name or id of the container. Required with O(state=present), where the environment is one.
    type: str
  user:
    description: Login of the container that uses the agent. Required with O(state=present).
    type: str
  workspace:
    description: Absolute path of the workspace in the container, which the agent is told to trust.
    type: str
  settings:
    description: The agent's settings, as its own settings file has them.
    type: dict
    default: {}
  hooks:
    description: The agent's hooks by event, as its own settings file has them.
    type: dict
    default: {}
  mcp_servers:
    description: MCP servers by name, as the agent's own file has them.
    type: dict
    default: {}
  home:
    description:
      - The caller's own configuration, a folder that holds C(.claude) and C(.claude.json), or a C(.claude) folder.
      - Settings, hooks, MCP servers, instructions, commands, agents and skills go along. Whatever looks like a
        credential does not.
    type: path
  skills:
    description:
      - Names of the skills that the agent gets; V(auto) stands for those of O(platforms), V(none) for none.
      - A skill lies in C(~/.claude/skills). One of that name that the user or the project has is left alone; what is
        wanted no more is removed, unless somebody has changed it.
    type: list
    elements: str
    default: [auto]
  platforms:
    description:
      - Platforms that the repository is deployed to, each with C(name) and C(confidence), as
        M(fuel_code.remote.blueprint_info) and the filter P(fuel_code.remote.platforms#filter) give them.
      - From a confidence of 0.7 the skill of a platform belongs to V(auto) of O(skills).
    type: list
    elements: dict
    default: []
  skills_path:
    description: Folder with a folder for each skill, on the controller; by default the collection's own.
    type: path
  events_url:
    description: Address that events are also sent to as they happen, where the container can reach it.
    type: str
  events_token_file:
    description: File on this machine with the bearer token for O(events_url).
    type: path
  wait:
    description:
      - With V(false) and O(state=fetched), the module ends at once and the fetch goes on by itself on the machine, also
        while a Docker engine is still being installed there. Whoever needs the agent later waits for it.
    type: bool
    default: true
  state:
    description:
      - With V(fetched), the binary is in the machine's store; no container is needed.
      - With V(present), the agent can be used in the container; it is fetched where it is missing.
    type: str
    choices: [fetched, present]
    default: present
extends_documentation_fragment:
  - fuel_code.remote.environment_is
  - fuel_code.remote.progress
"""

EXAMPLES = r"""
- name: Fetch the agent while the image is being built
  fuel_code.remote.coding_agent:
    state: fetched
  async: 600
  poll: 0

- name: Have the agent ready
  fuel_code.remote.coding_agent:
    container: fuel-code-01jd0000000000000000000000-1
    user: dev
    workspace: /workspaces/shop
    settings:
      model: opus
    home: /home/alice/.claude
    platforms: "{{ '/home/alice/shop' | fuel_code.remote.platforms }}"
"""

RETURN = r"""
agent:
  description: The agent.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: claude-code
    version:
      description: Its exact version.
      type: str
      sample: 2.1.330
    path:
      description: Its binary in environments.
      type: str
      sample: /opt/fuel-code/agents/claude-code/2.1.330/claude
left_out:
  description: What of O(home) did not go along because it looks like a credential, is too large or is no plain file.
  returned: success, with O(state=present)
  type: list
  elements: str
  sample: ["settings.json: env.GITHUB_TOKEN"]
skills:
  description: What became of each skill that was wanted.
  returned: success, with O(state=present)
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: flyio
    state:
      description: V(installed) or V(left).
      type: str
      sample: installed
    reason:
      description: Why it was left.
      type: str
      sample: ""
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

from importlib import import_module
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent._task import ARGUMENTS, RULES, coding_agent


def _open_url(*args: Any, **kwargs: Any) -> Any:
    """Ansible's, loaded when it is needed: that takes longer than a run that has nothing to fetch."""
    from ansible.module_utils.urls import open_url

    return open_url(*args, **kwargs)


def main() -> None:
    """Ansible's entry point, where the action plugin of this name does not do the work in Ansible's own process."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **RULES)
    if not module.params["wait"]:
        # Now, for what goes on by itself finds the module's code no more.
        import_module("ansible.module_utils.urls")
    result = coding_agent(module.params, _open_url, check=module.check_mode)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
