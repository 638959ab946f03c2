# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The edge that modules for Fly.io share: one kind of client, one kind of failure."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Optional, Protocol

from .._errors import FuelError
from .._progress import Progress
from ._api import PUBLIC, Api, ApiError
from ._refusals import explain


class Module(Protocol):
    """Of AnsibleModule, which has no types, what is used here."""

    params: Dict[str, Any]

    def fail_json(self, msg: str, **facts: Any) -> None:
        """End with a failure."""

    def exit_json(self, **facts: Any) -> None:
        """End well."""


#: Arguments that every module for Fly.io has.
ARGUMENTS: Dict[str, Any] = {
    "api_token": {"type": "str", "no_log": True},
    "api_url": {"type": "str"},
    "patience": {"type": "float", "default": 60},
    "progress_path": {"type": "path"},
}


def connect(module: Module, opener: Callable[..., Any]) -> Api:
    """The API with the module's token and patience; UsageError without a token."""
    return Api(
        opener,
        module.params["api_token"] or os.environ.get("FLY_API_TOKEN", ""),
        url=module.params["api_url"] or os.environ.get("FLY_API_HOSTNAME") or PUBLIC,
        patience=module.params["patience"],
    )


def run(module: Module, progress: Progress, work: Callable[[], Dict[str, Any]]) -> None:
    """Do the work and end the module, with its result or with one line."""
    try:
        result = work()
    except ApiError as error:
        fail(module, explain(error), progress)
    except FuelError as error:
        fail(module, error, progress)
    else:
        left = not_gone(result.get("receipt"))
        if left is not None:
            fail(module, left, progress, receipt=result["receipt"])
            return
        module.exit_json(steps=progress.steps, **result)


def not_gone(receipt: Optional[Dict[str, Any]]) -> Optional[FuelError]:
    """The failure of a receipt that is not complete."""
    if receipt is None or receipt["complete"]:
        return None
    left = [each["name"] for each in receipt["resources"] if each["state"] != "gone"]
    return FuelError(f"not gone yet: {', '.join(left)}", hint="run again; Fly.io still shows it", code="fly_not_gone")


def fail(module: Module, error: FuelError, progress: Progress, **facts: Any) -> None:
    """End the module with the error as one line and as data."""
    module.fail_json(msg=str(error), error=error.as_dict(), steps=progress.steps, **facts)
