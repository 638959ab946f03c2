# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The proof that everything is gone: a list of resources, each with what asking for it again said."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterable, List, Mapping

from ._errors import FuelError

GONE = "gone"
PRESENT = "present"
UNKNOWN = "unknown"


def entry(kind: str, name: str, state: str, detail: str = "") -> Dict[str, str]:
    """One line of a receipt; `state` is `gone`, `present` or `unknown`."""
    return {"kind": kind, "name": name, "state": state, "detail": detail}


def receipt(resources: Iterable[Dict[str, str]], clock: Callable[[], float] = time.time) -> Dict[str, Any]:
    """{complete, checked_at (RFC 3339, UTC), resources}; complete only when every resource is known to be gone."""
    lines: List[Dict[str, str]] = []
    for line in resources:
        if line not in lines:
            lines.append(line)
    return {
        "complete": all(line["state"] == GONE for line in lines),
        "checked_at": datetime.fromtimestamp(clock(), tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resources": lines,
    }


def left_over(value: Dict[str, Any]) -> List[str]:
    """`kind name` of what is not known to be gone."""
    return [f"{line['kind']} {line['name']}" for line in value["resources"] if line["state"] != GONE]


#: Arguments of the module `provider_receipt`.
ARGUMENTS: Dict[str, Any] = {
    "resources": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "kind": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": [GONE, PRESENT, UNKNOWN], "required": True},
            "detail": {"type": "str", "default": ""},
        },
    },
}


def proof(params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
    """The result of the module `provider_receipt` with `params` as in ARGUMENTS: failed when something is left."""
    result = receipt(params["resources"])
    left = left_over(result)
    if not left or check:
        return {"changed": False, "receipt": result}
    error = FuelError(
        f"Failed to end the environment: left is {', '.join(left[:5])}{' and more' if len(left) > 5 else ''}",
        hint="run again; what is done already stays done",
        where="destroy",
        code="incomplete",
        details={"left": left},
    )
    return {"failed": True, "msg": str(error), "error": error.as_dict(), "receipt": result}
