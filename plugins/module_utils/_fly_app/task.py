# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What the module fly_app_config takes and does, wherever it runs: as a module, or in Ansible's own process."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from .._errors import FuelError

ARGUMENTS: Dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "environments": {"type": "list", "elements": "str", "choices": ["dev", "staging", "production"], "default": []},
    "regions": {"type": "list", "elements": "str", "default": []},
    "app": {"type": "str"},
    "ci": {"type": "str", "choices": ["github", "gitlab", "circleci", "none"]},
    "force": {"type": "bool", "default": False},
}


def fly_app_config(params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
    """The module's result; FuelError becomes a failed one."""
    from .planning import Options, plan
    from .rendering import render
    from .writing import compare, write

    path: str = params["path"]
    options = Options(params["environments"], params["ci"] or "", params["regions"], params["app"] or "")
    try:
        planned = plan(path, options)
        files = compare(path, render(planned))
        wanted = [
            file for file in files if file.state in ("new", "changed") or (file.state == "edited" and params["force"])
        ]
        if not check:
            for file in wanted:
                write(path, file)
    except FuelError as error:
        return error.as_result(changed=False)
    diff: List[Dict[str, str]] = [
        {"before_header": file.path, "after_header": file.path, "before": file.before or "", "after": file.after}
        for file in wanted
    ]
    return {
        "changed": bool(wanted),
        "framework": planned.framework.name,
        "app": planned.context["app"],
        "files": [{"path": file.path, "state": file.state, "written": file in wanted and not check} for file in files],
        "kept": [file.path for file in files if file.state == "edited" and not params["force"]],
        "decisions": [decision.as_dict() for decision in planned.decisions],
        "notes": planned.notes,
        "commands": planned.commands,
        "diff": diff,
    }
