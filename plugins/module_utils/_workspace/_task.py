# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What the module workspace takes and does, wherever it runs: as a module, or in Ansible's own process."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from .._errors import FuelError
from .._inside import ARGUMENTS as INSIDE
from .._inside import inside
from ._present import Wanted, Workspace

ARGUMENTS: Dict[str, Any] = {
    "container": {"type": "str"},
    "user": {"type": "str", "required": True},
    "path": {"type": "str", "required": True},
    "source": {"type": "path"},
    "setup": {"type": "list", "elements": "str", "default": []},
    "setup_timeout": {"type": "int", "default": 3600},
    "progress_path": {"type": "path"},
    "state": {"type": "str", "choices": ["present", "surveyed"], "default": "present"},
    **INSIDE,
}
RULES: Dict[str, Any] = {
    "required_if": [("state", "present", ["source"]), ("environment_is", "container", ["container"])]
}


def workspace(params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
    """The module's result."""
    one = Workspace(inside(params), params["path"], params["progress_path"])
    try:
        if params["state"] == "surveyed":
            return one.survey()
        wanted = Wanted(params["source"], params["setup"], params["setup_timeout"])
        return one.present(wanted, check=check)
    except FuelError as error:
        return error.as_result(steps=one.steps)
