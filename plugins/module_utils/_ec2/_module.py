# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The edge that modules for EC2 share: clients with our patience, and one kind of failure."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Protocol

from .._errors import FuelError
from .._progress import Progress
from . import _refusals
from ._api import Api, ApiError


class Module(Protocol):
    """Of AnsibleAWSModule, which has no types, what is used here."""

    params: Dict[str, Any]
    region: Optional[str]

    def client(self, service: str, **options: Any) -> Any:
        """boto3's client for a service."""

    def fail_json(self, *, msg: str, **facts: Any) -> None:
        """End with a failure."""

    def exit_json(self, **facts: Any) -> None:
        """End well."""


#: One call waits at most so long for an answer, and botocore repeats nothing: Api does, within a time that is ours.
CLIENT = {"connect_timeout": 5, "read_timeout": 20, "retries": {"mode": "standard", "total_max_attempts": 1}}

#: Arguments that every module for EC2 has.
ARGUMENTS: Dict[str, Any] = {
    "account": {"type": "str", "default": ""},
    "patience": {"type": "float", "default": 60},
    "progress_path": {"type": "path"},
}


def connect(module: Module, service: str = "ec2") -> Api:
    """The service's API in the module's region."""
    return Api(module.client(service, config=CLIENT), patience=module.params["patience"])


def account_of(module: Module) -> str:
    """The account that the credentials belong to. AWS answers this whatever their policy says."""
    return str(connect(module, "sts").call("get_caller_identity")["Account"])


def check_account(module: Module) -> None:
    """FuelError when the credentials are another account's than `account` says, which shows nothing of this one's.

    Without this, an environment would seem to be gone as soon as somebody looks with other credentials.
    """
    wanted = module.params["account"]
    if not wanted:
        return
    found = account_of(module)
    if found != wanted:
        raise FuelError(
            f"it is in the AWS account {wanted}, and these credentials are of {found}",
            hint=f"set AWS_PROFILE, or the credentials, to those of {wanted}",
            code="ec2_other_account",
        )


def run(module: Module, progress: Progress, work: Callable[[], Dict[str, Any]]) -> None:
    """Do the work and end the module, with its result or with one line."""
    try:
        check_account(module)
        result = work()
    except ApiError as error:
        fail(module, _refusals.explain(error, module.region or ""), progress)
    except FuelError as error:
        fail(module, error, progress)
    else:
        left = not_gone(result.get("receipt"))
        if left is not None:
            fail(
                module, left, progress, **{key: result[key] for key in ("receipt", "receipts", "lost") if key in result}
            )
        module.exit_json(steps=progress.steps, **{key: value for key, value in result.items() if key != "steps"})


def not_gone(receipt: Optional[Dict[str, Any]]) -> Optional[FuelError]:
    """The failure of a receipt that is not complete."""
    if receipt is None or receipt["complete"]:
        return None
    left = [each["name"] for each in receipt["resources"] if each["state"] != "gone"]
    return FuelError(f"not gone yet: {', '.join(left)}", hint="run again; AWS still shows it", code="ec2_not_gone")


def fail(module: Module, error: FuelError, progress: Progress, **facts: Any) -> None:
    """End the module with the error as one line and as data."""
    module.fail_json(msg=str(error), error=error.as_dict(), steps=progress.steps, **facts)
