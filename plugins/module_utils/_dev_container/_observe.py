# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What happened since somebody last looked: is an environment there, does it run, what did its agent's hooks tell."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from .._activity import look
from .._docker import Docker
from .._errors import FuelError
from .._inside import InContainer
from .._interruption import notice
from ._audit import audit


def observe(
    docker: Docker, cursors: Mapping[str, str], notices: Optional[Mapping[str, str]] = None
) -> List[Dict[str, Any]]:
    """[{environment_id, present, running, events, cursor, activity, problem, notice}] of those that `cursors` names.

    `cursors`: environment id -> where its spool was read to (empty: from the beginning). `notices`: environment id ->
    a line for its terminals. An environment of which nothing is left on the engine has `present` false. `activity`: a
    sample as `_activity.parse_sample` has it, or none. `problem`: why nothing could be read, or none. `notice`: what
    its cloud is about to do with the machine, `{action, time}`, or none.
    """
    found = {one["environment_id"]: one for one in audit(docker)}
    said, taken = notices or {}, notice()
    seen = [_one(docker, key, found.get(key), cursors[key], str(said.get(key) or "")) for key in cursors]
    return [{**one, "notice": taken} for one in seen]


def _one(docker: Docker, environment_id: str, found: Any, cursor: str, notice: str) -> Dict[str, Any]:
    login = (found or {}).get("login") or {}
    seen: Dict[str, Any] = {
        "environment_id": environment_id,
        "present": found is not None,
        "running": bool(login.get("running")),
        "events": [],
        "cursor": cursor,
        "activity": None,
        "problem": None,
    }
    if seen["running"]:
        try:
            batch, sample = look(InContainer(login["container"], login["user"], docker), cursor, notice)
        except FuelError as error:
            # One container that cannot be asked must not hide the others.
            seen["problem"] = error.message
        else:
            seen.update(events=batch.events, cursor=batch.cursor or cursor, activity=sample)
    return seen
