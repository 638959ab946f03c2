# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What the module dev_container_info takes and tells, wherever it runs: as a module, or in Ansible's own process."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from .._docker import Docker
from .._errors import FuelError
from .._identity import check_environment_id
from .._inside import ARGUMENTS as INSIDE
from .._inside import MACHINE
from . import _in_place
from ._audit import audit, describe
from ._observe import observe

ARGUMENTS: Dict[str, Any] = {
    "environment_id": {"type": "str"},
    "cursors": {"type": "dict"},
    "notices": {"type": "dict"},
    **INSIDE,
}


def info(params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
    """The module's result; with `check`, nothing is written on terminals."""
    try:
        wanted, cursors = params["environment_id"], params["cursors"]
        if params["environment_is"] == MACHINE:
            return _of_machine(params, check=check)
        found = audit(Docker(), check_environment_id(wanted) if wanted else None)
        result = {"changed": False, "environments": found}
        if cursors is None:
            if not wanted:
                describe(Docker(), found)
            return result
        return {**result, "observed": observe(Docker(), cursors, None if check else params["notices"])}
    except FuelError as error:
        return error.as_result()


def _of_machine(params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
    wanted, cursors = params["environment_id"], params["cursors"]
    result = {"changed": False, "environments": _in_place.audit(check_environment_id(wanted) if wanted else None)}
    if cursors is None:
        return result
    return {**result, "observed": _in_place.observe(cursors, None if check else params["notices"])}
