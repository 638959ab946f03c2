# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The module coding_agent without a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Dict, Mapping, Optional

from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent._home import pack_home
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent._skills import pack_skills, wanted
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent._task import ARGUMENTS, RULES, coding_agent
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.plugin_utils.elsewhere import Pack, pack_file
from ansible_collections.fuel_code.remote.plugins.plugin_utils.in_process import InProcess


def _open_url(*args: Any, **kwargs: Any) -> Any:
    """Ansible's, loaded when it is needed."""
    from ansible.module_utils.urls import open_url

    return open_url(*args, **kwargs)


#: Beside the plugins, in a checkout and in an installed collection.
_SKILLS = Path(__file__).resolve().parents[2] / "skills"


def _list(value: Any) -> Any:
    """As Ansible takes what should be a list: a lone word is one of it."""
    return [value] if isinstance(value, str) else value or []


class ActionModule(InProcess):
    """Ansible's entry point."""

    arguments: ClassVar[Dict[str, Any]] = ARGUMENTS
    rules: ClassVar[Dict[str, Any]] = RULES
    packs: ClassVar[Mapping[str, Pack]] = {
        "home": pack_home,
        "events_token_file": pack_file,
        "skills_path": pack_skills,
    }

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """With the collection's own skills, where some are wanted and nobody says whose."""
        arguments = self._task.args
        try:
            chosen = wanted(_list(arguments.get("skills", ["auto"])), _list(arguments.get("platforms")))
        except FuelError as error:
            return error.as_result()
        if not chosen:
            # Nothing to send along.
            arguments.pop("skills_path", None)
        elif not arguments.get("skills_path"):
            arguments["skills_path"] = str(_SKILLS)
        return super().run(tmp, task_vars)

    def work(self, params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
        """As the module does it."""
        return coding_agent(params, _open_url, check=check)
