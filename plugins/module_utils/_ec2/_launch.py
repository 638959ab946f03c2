# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""One machine for one (environment, attempt): launch it, or find the one that an earlier run launched.

The client token decides, not Describe: RunInstances with the token of this attempt makes an instance once, answers with
the same one ever after, and refuses when that has ended. All candidates share the token, so that a repeat which tries
them again in another order cannot make a second machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, List, Optional, Tuple

from .._errors import FuelError
from .._progress import Progress
from . import _describe, _refusals
from ._api import Api, ApiError
from ._port import ssh_answers
from ._request import Candidate, Plan, parameters, token
from ._view import Instance

ENDED = "IdempotentInstanceTerminated"
OTHER_PARAMETERS = "IdempotentParameterMismatch"
#: Attempts that are looked through for one that lives; more dead ones mean that something kills them.
ATTEMPTS = 50
#: Somebody asked AWS for this end. It is no failed launch, and is not answered with another machine.
ON_REQUEST = frozenset({"Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown"})


@dataclass
class Waiting:
    """How long and how to wait. Seconds; `port` 0 does not wait for SSH."""

    timeout: float = 120.0
    interval: float = 0.7
    #: For so long after a launch, an instance that Describe does not show is taken for one that it does not show yet.
    settle: float = 45.0
    port: int = 22
    connect_to: str = "public"
    #: New launches in one run, when instances die while they boot.
    launches: int = 2
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    answers: Callable[[str, int], bool] = ssh_answers
    #: Called every `door_interval` seconds for which a machine that has an address does not answer: the end of another
    #: one may have closed the door before AWS showed this one to whoever asked who needs it.
    open_door: Callable[[], None] = lambda: None
    door_interval: float = 5.0


@dataclass
class Launched:
    """The machine, the attempt that it belongs to, and whether this run made it."""

    instance: Instance
    attempt: int
    changed: bool


class _DeadError(Exception):
    """The instance has ended while it was waited for."""

    def __init__(self, instance: Instance) -> None:
        super().__init__("ended")
        self.instance = instance


def look(api: Api, plan: Plan, attempt: int) -> Tuple[Optional[Instance], int]:
    """The live instance that Describe shows, if any, and the first attempt not known to be dead.

    FuelError when there are two: that cannot come from us, and nobody but a person can say which one to keep.
    """
    seen = [each for each in _describe.instances_of(api, [plan.environment_id]) if each.environment_id]
    live = [each for each in seen if not each.dead]
    if len(live) > 1:
        names = ", ".join(sorted(each.instance_id for each in live))
        raise FuelError(
            f"environment {plan.environment_id} has {len(live)} machines: {names}",
            hint="take it down, which ends all of them",
            code="ec2_duplicate",
        )
    if live:
        return live[0], live[0].attempt(plan.environment_id, ATTEMPTS) or attempt
    dead = {each.token for each in seen}
    while token(plan.environment_id, attempt) in dead:
        attempt += 1
    return None, attempt


def rehearse(api: Api, plan: Plan, attempt: int) -> None:
    """Ask with `DryRun` whether the launch would be allowed; FuelError when not."""
    candidate = plan.candidates[0]
    try:
        api.call("run_instances", **parameters(plan, candidate, attempt), DryRun=True)
    except ApiError as error:
        if error.code != "DryRunOperation":
            raise _refusals.explain(error, str(candidate)) from error


def ensure(api: Api, plan: Plan, attempt: int, waiting: Waiting, progress: Progress) -> Launched:
    """The machine, running and, unless `waiting.port` is 0, answering as SSH. FuelError with one line otherwise."""
    with progress.step("launch instance") as step:
        found, attempt = look(api, plan, attempt)
        if found is not None:
            instance, changed = found, False
            step.reuse(found.instance_id)
        else:
            instance, attempt = _launch(api, plan, attempt, waiting)
            changed = True
            step.message = instance.instance_id
    for further in range(waiting.launches, 0, -1):
        try:
            with progress.step("wait for machine") as step:
                instance = _ready(api, instance, waiting)
                step.message = instance.address(waiting.connect_to)
            return Launched(instance, attempt, changed)
        except _DeadError as dead:
            ended = dead.instance
            if further == 1 or ended.reason in ON_REQUEST:
                raise _ended(ended) from None
        with progress.step("launch instance again") as step:
            instance, attempt = _launch(api, plan, attempt + 1, waiting)
            changed = True
            step.message = f"{instance.instance_id}, for {ended.instance_id} ended: {ended.reason}"
    raise AssertionError("launches is at least 1")


def _launch(api: Api, plan: Plan, attempt: int, waiting: Waiting) -> Tuple[Instance, int]:
    """The instance of this attempt, or of the first later one whose predecessors are all proven dead."""
    for number in range(attempt, attempt + ATTEMPTS):
        instance = _claim(api, plan, number, waiting)
        if instance is not None:
            return instance, number
    raise FuelError(
        f"{ATTEMPTS} machines of environment {plan.environment_id} have ended one after the other",
        hint="see why in the EC2 console, then take the environment down",
        code="ec2_dying",
    )


def _claim(api: Api, plan: Plan, attempt: int, waiting: Waiting) -> Optional[Instance]:
    """RunInstances with this attempt's token, for each candidate until one is given; None when that one has ended."""
    refused: List[Tuple[Candidate, ApiError]] = []
    mismatch: Optional[ApiError] = None
    for candidate in plan.candidates:
        try:
            instance = _describe.launched(api.call("run_instances", **parameters(plan, candidate, attempt)))
        except ApiError as error:
            if error.code == ENDED:
                if error.tries > 1:
                    # An earlier try of this very call may have launched it, and somebody ended it since.
                    raise _refused_since(plan, error) from error
                return None
            if error.code == OTHER_PARAMETERS:
                # It was launched by an earlier run, as another candidate or with other tags. No other can be made.
                mismatch = error
                continue
            if error.code not in _refusals.NEXT:
                raise _refusals.explain(error, str(candidate)) from error
            refused.append((candidate, error))
            continue
        return None if instance.dead else instance
    if mismatch is not None:
        return _earlier(api, plan, attempt, waiting, mismatch)
    raise _no_candidate(refused)


def _earlier(api: Api, plan: Plan, attempt: int, waiting: Waiting, mismatch: ApiError) -> Optional[Instance]:
    """The instance that this attempt's token made before; Describe may need a while to show it."""
    begun = waiting.clock()
    while True:
        for instance in _describe.instances_by_token(api, token(plan.environment_id, attempt)):
            return None if instance.dead else instance
        if waiting.clock() - begun > waiting.settle:
            raise _refusals.explain(mismatch, plan.environment_id)
        waiting.sleep(waiting.interval)


def _ready(api: Api, instance: Instance, waiting: Waiting) -> Instance:
    """Poll Describe and, as soon as there is an address, the port: whichever knows first."""
    begun = waiting.clock()
    opened = begun
    instance_id, unseen = instance.instance_id, True
    while True:
        address = instance.address(waiting.connect_to)
        if waiting.port and address:
            if waiting.answers(address, waiting.port):
                return instance
            if waiting.clock() - opened > waiting.door_interval:
                waiting.open_door()
                opened = waiting.clock()
        found = _describe.instances_by_id(api, [instance_id]).get(instance_id)
        if found is not None:
            instance, unseen = found, False
            if found.dead:
                raise _DeadError(found)
            if found.state in ("stopping", "stopped"):
                raise FuelError(
                    f"the machine is {found.state}",
                    hint="start it in the EC2 console, or take the environment down",
                    where=instance_id,
                    code="ec2_stopped",
                )
            if not waiting.port and found.state == "running":
                return found
        if waiting.clock() - begun > waiting.timeout:
            raise _too_late(instance, unseen, waiting)
        waiting.sleep(waiting.interval)


def _too_late(instance: Instance, unseen: bool, waiting: Waiting) -> FuelError:
    address = instance.address(waiting.connect_to)
    if unseen:
        message, hint = "AWS does not show the machine that it launched", "run again, or take the environment down"
    elif instance.state != "running":
        message, hint = f"the machine is still {instance.state}", "run again, or take the environment down"
    elif not address:
        message = f"the machine has no {waiting.connect_to} address"
        hint = "ask for a public address, use a subnet that gives one, or connect to the private one"
    else:
        message = f"nothing answers as SSH at {address}:{waiting.port}"
        hint = "check the security group and the subnet's route, or take the environment down"
    return FuelError(
        f"{message} after {waiting.timeout:g} s",
        hint=hint,
        where=instance.instance_id,
        code="ec2_not_reachable",
        details={"instance_id": instance.instance_id, "state": instance.state},
    )


def _ended(instance: Instance) -> FuelError:
    requested = instance.reason in ON_REQUEST
    message = "the machine was ended while it started" if requested else "the machine ended while it started"
    reason = _refusals.one_line(instance.reason_text or instance.reason)
    hint = "run again for a new one" if requested else "run again; with other types or zones if it stays so"
    if instance.reason == "Client.InternalError":
        hint = "most often the KMS key: allow this identity and EC2 to use it"
    return FuelError(
        f"{message}: {reason}" if reason else message,
        hint=hint,
        where=instance.instance_id,
        code="ec2_ended",
        details={"instance_id": instance.instance_id, "reason": instance.reason},
    )


def _refused_since(plan: Plan, error: ApiError) -> FuelError:
    return FuelError(
        "the machine was ended while it was being launched",
        hint="run again for a new one",
        where=plan.environment_id,
        code="ec2_ended",
        details={"aws_code": error.code, "tries": error.tries},
    )


def _no_candidate(refused: List[Tuple[Candidate, ApiError]]) -> FuelError:
    """One line for all refusals: the quota's when there is one, for that can be changed; otherwise the last."""
    quota = [error for _candidate, error in refused if error.code in _refusals.QUOTA]
    told = _refusals.explain((quota or [error for _candidate, error in refused])[-1])
    tried = ", ".join(str(candidate) for candidate, _error in refused)
    return FuelError(
        told.message,
        hint=told.hint,
        where=_refusals.one_line(tried),
        code=told.code,
        details={
            **told.details,
            "tried": [{"candidate": str(candidate), "aws_code": error.code} for candidate, error in refused],
        },
    )
