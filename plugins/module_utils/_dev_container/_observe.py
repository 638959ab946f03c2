# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What happened since somebody last looked: is an environment there, does it run, what did its agent's hooks tell."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from .._docker import Docker
from .._errors import FuelError
from .._spool import read_spool
from ._audit import audit


def observe(docker: Docker, cursors: Mapping[str, str]) -> List[Dict[str, Any]]:
    """[{environment_id, present, running, events, cursor, problem}] of those that `cursors` names, in its order.

    `cursors`: environment id -> where its spool was read to (empty: from the beginning). An environment of which
    nothing is left on the engine has `present` false. `problem`: why the spool could not be read, or none.
    """
    found = {one["environment_id"]: one for one in audit(docker)}
    return [
        _one(docker, environment_id, found.get(environment_id), cursors[environment_id]) for environment_id in cursors
    ]


def _one(docker: Docker, environment_id: str, found: Any, cursor: str) -> Dict[str, Any]:
    login = (found or {}).get("login") or {}
    seen: Dict[str, Any] = {
        "environment_id": environment_id,
        "present": found is not None,
        "running": bool(login.get("running")),
        "events": [],
        "cursor": cursor,
        "problem": None,
    }
    if seen["running"]:
        try:
            batch = read_spool(docker, login["container"], cursor)
        except FuelError as error:
            # One container that cannot be asked must not hide the others.
            seen["problem"] = error.message
        else:
            seen.update(events=batch.events, cursor=batch.cursor or cursor)
    return seen
