# SPDX-License-Identifier: GPL-3.0-or-later
"""The reaper's decision: a pure function of what was observed, stored with its inputs so that it can be replayed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from fuelctl.environments.states import ENTERABLE, Operation, Status

#: An environment whose source never came is given up after this long.
SOURCE_DEADLINE = 3600.0
#: A provisioning that takes longer than this is stuck and is undone.
PROVISION_DEADLINE = 2 * 3600.0
#: How long a decision waits after the machine slept, so that activity and extensions can come in first.
SETTLE = 60.0
#: Work under way is looked at again after this long.
RECHECK = 60.0
#: Nothing is left unlooked-at for longer.
LONGEST = 3600.0
#: Waiting before a failed ending is tried again: doubled each time, from this to `SLOWEST_RETRY`.
FIRST_RETRY = 15.0
SLOWEST_RETRY = 900.0


class Action(StrEnum):
    """What a cycle does with one environment."""

    KEEP = "keep"
    #: Look again soon: the machine has just woken.
    OBSERVE = "observe"
    #: Start the workflow that was meant to run.
    RESUME = "resume"
    #: Try the ending again.
    RETRY = "retry"
    #: Give up: provisioning failed or its source never came.
    ABANDON = "abandon"
    END = "end"


@dataclass(frozen=True)
class Observations:
    """Everything that a decision may depend on. Durations in seconds."""

    status: str
    operation: str | None
    operation_running: bool
    age: float
    seconds_left: float
    source_complete: bool
    held: bool
    retries: int
    retry_due_in: float
    slept: bool


@dataclass(frozen=True)
class Decision:
    """What to do, why, and after how many seconds to look again (never later than the true deadline)."""

    action: Action
    reason: str
    check_in: float
    inputs: Observations

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the record."""
        return asdict(self)


def decide(seen: Observations) -> Decision:
    """Keep or end, from `seen` alone.

    TTL always wins, except over an ending that is already under way; nothing else ends an environment that somebody
    may be working in.
    """
    ending = seen.operation == Operation.TERMINATE or seen.status == Status.TERMINATING
    if not ending and seen.seconds_left <= 0 and (seen.status != Status.ERROR or seen.held):
        if seen.slept and seen.status in ENTERABLE:
            return Decision(Action.OBSERVE, "woken", SETTLE, seen)
        return Decision(Action.END, "ttl", RECHECK, seen)
    if seen.operation is not None:
        return _decide_under_way(seen)
    if seen.status == Status.TERMINATING:
        return _decide_retry(seen)
    if seen.status == Status.PROVISIONING:
        return _decide_without_source(seen)
    return Decision(Action.KEEP, "within its lease", _soon(seen, LONGEST), seen)


def retry_delay(retries: int) -> float:
    """Seconds to wait before the ending is tried for the (`retries` + 1)th time again."""
    return min(FIRST_RETRY * 2.0 ** min(retries, 16), SLOWEST_RETRY)


def _decide_under_way(seen: Observations) -> Decision:
    if not seen.operation_running:
        return Decision(Action.RESUME, "was not running", _soon(seen, RECHECK), seen)
    if seen.operation == Operation.PROVISION and seen.age >= PROVISION_DEADLINE:
        return Decision(Action.ABANDON, "provisioning is stuck", RECHECK, seen)
    return Decision(Action.KEEP, "under way", _soon(seen, RECHECK), seen)


def _decide_retry(seen: Observations) -> Decision:
    if seen.retry_due_in > 0:
        return Decision(Action.KEEP, "waiting to try again", seen.retry_due_in, seen)
    return Decision(Action.RETRY, "ending incomplete", RECHECK, seen)


def _decide_without_source(seen: Observations) -> Decision:
    if seen.age >= SOURCE_DEADLINE:
        return Decision(Action.ABANDON, "source never came", RECHECK, seen)
    return Decision(Action.KEEP, "waiting for its source", _soon(seen, SOURCE_DEADLINE - seen.age), seen)


def _soon(seen: Observations, seconds: float) -> float:
    # Never past the deadline, and never so soon that a cycle spins on it.
    return max(1.0, min(seconds, seen.seconds_left if seen.seconds_left > 0 else seconds))
