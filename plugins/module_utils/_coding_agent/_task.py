# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What the module coding_agent takes and does, wherever it runs: as a module, or in Ansible's own process."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from .._apart import apart
from .._docker import Docker
from .._errors import FuelError
from .._inside import ARGUMENTS as INSIDE
from .._inside import MACHINE, inside
from ._present import Agent, Wanted
from ._registry import OpenUrl, Registry
from ._skills import wanted as wanted_skills
from ._store import MachineStore, Store

ARGUMENTS: Dict[str, Any] = {
    "name": {"type": "str", "choices": ["claude-code"], "default": "claude-code"},
    "version": {"type": "str", "default": "latest"},
    "registry": {"type": "str"},
    "cache_path": {"type": "path"},
    "container": {"type": "str"},
    "user": {"type": "str"},
    "workspace": {"type": "str"},
    "settings": {"type": "dict", "default": {}},
    "hooks": {"type": "dict", "default": {}},
    "mcp_servers": {"type": "dict", "default": {}},
    "home": {"type": "path"},
    "skills": {"type": "list", "elements": "str", "default": ["auto"]},
    "platforms": {"type": "list", "elements": "dict", "default": []},
    "skills_path": {"type": "path"},
    "events_url": {"type": "str"},
    "events_token_file": {"type": "path", "no_log": False},
    "progress_path": {"type": "path"},
    "wait": {"type": "bool", "default": True},
    "state": {"type": "str", "choices": ["fetched", "present"], "default": "present"},
    **INSIDE,
}
RULES: Dict[str, Any] = {
    "required_if": [("state", "present", ["user", "workspace"])],
    "required_together": [("events_url", "events_token_file")],
}


def coding_agent(params: Mapping[str, Any], open_url: OpenUrl, *, check: bool) -> Dict[str, Any]:
    """The module's result; `open_url` is Ansible's, which knows about proxies and certificates."""
    agent = None
    try:
        docker = Docker()
        store = (MachineStore if params["environment_is"] == MACHINE else Store)(
            docker, Registry(open_url, params["registry"]), params["cache_path"]
        )
        agent = Agent(store, params["name"], params["version"], params["progress_path"])
        if params["state"] == "fetched" and not params["wait"] and not check:
            apart(agent.fetch_ahead)
            return {"changed": False, "steps": []}
        if params["state"] == "fetched":
            return agent.fetched(check=check)
        wanted = Wanted(
            workspace=params["workspace"],
            settings=params["settings"],
            hooks=params["hooks"],
            mcp_servers=params["mcp_servers"],
            home=params["home"],
            events_url=params["events_url"],
            events_token_file=params["events_token_file"],
            skills=wanted_skills(params["skills"], params["platforms"]),
            skills_path=params["skills_path"],
        )
        return agent.present(inside(params, docker), wanted, check=check)
    except FuelError as error:
        return error.as_result(steps=agent.steps if agent else [])
