# SPDX-License-Identifier: GPL-3.0-or-later
"""The reaper's decision: a pure function of what was observed, stored with its inputs so that it can be replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from fuelctl.environments.states import ENTERABLE, Operation, Status

#: An environment whose source never came is given up after this long.
SOURCE_DEADLINE = 3600.0
#: A provisioning that takes longer than this is stuck and is undone.
PROVISION_DEADLINE = 2 * 3600.0
#: An ending that takes longer than this is stuck and is begun anew; what it had removed stays removed.
TERMINATE_DEADLINE = 1800.0
#: How long a decision waits after the machine slept, so that activity and extensions can come in first.
SETTLE = 60.0
#: Work under way is looked at again after this long.
RECHECK = 60.0
#: Nothing is left unlooked-at for longer.
LONGEST = 3600.0
#: An end by silence is decided on a look that is no older: somebody may have begun to work since.
JUST_LOOKED = 15.0
#: One that is idle and holds work that would be lost is looked through again after this long.
LOOK_THROUGH_AGAIN = 3600.0
#: Of an environment whose work is to be rescued, the end begins so long before its TTL (at most; seconds), and no more
#: than this part of its TTL: its watchdog must not be faster than who moves it.
RESCUE_LEAD, RESCUE_SHARE = 60.0, 0.05
#: Waiting before a failed ending is tried again: doubled each time, from this to `SLOWEST_RETRY`.
FIRST_RETRY = 15.0
SLOWEST_RETRY = 900.0
#: Endings of one environment, or cycles of the reaper, that fail in a row until people are told.
LOUD_AFTER = 5


class Action(StrEnum):
    """What a cycle does with one environment."""

    KEEP = "keep"
    #: Look again soon: the machine has just woken, or nobody has looked into the environment lately.
    OBSERVE = "observe"
    #: Start the workflow that was meant to run.
    RESUME = "resume"
    #: Try the ending again.
    RETRY = "retry"
    #: Take the ending over from a workflow that does not come to its end.
    RESTART = "restart"
    #: Give up: provisioning failed or its source never came.
    ABANDON = "abandon"
    END = "end"
    #: Stop its machine, with what is in it kept.
    STOP = "stop"


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
    #: Of the lease; None when silence does not end it.
    idle_limit: float | None = None
    #: Silence that was watched, as of the last observation, and how long ago that was; None before the first.
    quiet: float = 0.0
    observed_ago: float | None = None
    #: For how long an observation is believed.
    fresh_for: float = 180.0
    #: How long ago it was found that its idle end would lose work; None when it was not, or something happened since.
    kept_for: float | None = None
    #: Whether silence stops its machine, instead of ending it; and whether it is stopped.
    idle_stops: bool = False
    stopped: bool = False
    #: How long before its TTL its end begins, so that its work can be rescued.
    lead: float = 0.0
    #: Since the operation under way was begun.
    operation_age: float = 0.0


@dataclass(frozen=True)
class Decision:
    """What to do, why, and after how many seconds to look again (never later than the true deadline)."""

    action: Action
    reason: str
    check_in: float
    inputs: Observations

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the record."""
        # Both are flat: `asdict` would copy each value of what is made for every environment that is due.
        return {**vars(self), "inputs": {**vars(self.inputs)}}


def decide(seen: Observations) -> Decision:
    """Keep or end, from `seen` alone.

    TTL always wins, except over an ending that is already under way. Of an environment that somebody may be working in,
    silence is the only other end, and only silence that was watched to its last minute. Nobody works in one that is
    stopped, and nothing but its TTL ends it.
    """
    ending = seen.operation == Operation.TERMINATE or seen.status == Status.TERMINATING
    if not ending and seen.seconds_left <= _lead(seen) and (seen.status != Status.ERROR or seen.held):
        if seen.slept and seen.status in ENTERABLE:
            return Decision(Action.OBSERVE, "woken", SETTLE, seen)
        return Decision(Action.END, "ttl", RECHECK, seen)
    if seen.operation is not None:
        return _decide_under_way(seen)
    if seen.status == Status.TERMINATING:
        return _decide_retry(seen)
    return _decide_without_source(seen) if seen.status == Status.PROVISIONING else _decide_at_rest(seen)


def _decide_at_rest(seen: Observations) -> Decision:
    if seen.status in ENTERABLE and seen.stopped:
        return Decision(Action.KEEP, "stopped", _soon(seen, LONGEST), seen)
    if seen.status in ENTERABLE and seen.idle_limit is not None and seen.observed_ago is not None:
        return _decide_idle(seen, seen.idle_limit, seen.observed_ago)
    # Its first observation is still to come, and finds no silence yet.
    longest = min(LONGEST, seen.idle_limit) if seen.idle_limit is not None else LONGEST
    return Decision(Action.KEEP, "within its lease", _soon(seen, longest), seen)


def again(inputs: Mapping[str, Any]) -> Decision:
    """The decision made from recorded inputs, by the rules of today."""
    return decide(Observations(**inputs))


def ends(seen: Observations) -> list[tuple[str, float]]:
    """What ends it if nothing happens any more, or stops it, and in how many seconds, the soonest first: `ttl`, `idle`,
    `stop`."""
    if seen.status in (Status.TERMINATING, Status.TERMINATED) or seen.operation == Operation.TERMINATE:
        return []
    found = [("ttl", max(0.0, seen.seconds_left - _lead(seen)))]
    if seen.status not in ENTERABLE or seen.stopped or (seen.kept_for is not None and not seen.idle_stops):
        return found
    if seen.idle_limit is not None and seen.observed_ago is not None and seen.observed_ago <= seen.fresh_for:
        left = max(0.0, seen.idle_limit - seen.quiet - seen.observed_ago)
        found.append(("stop" if seen.idle_stops else "idle", left))
    return sorted(found, key=lambda end: end[1])


def later(seen: Observations, seconds: float) -> Observations:
    """The same environment when that much time has passed and nothing was observed meanwhile."""
    return replace(
        seen,
        age=seen.age + seconds,
        seconds_left=seen.seconds_left - seconds,
        retry_due_in=seen.retry_due_in - seconds,
        observed_ago=None if seen.observed_ago is None else seen.observed_ago + seconds,
        kept_for=None if seen.kept_for is None else seen.kept_for + seconds,
        operation_age=seen.operation_age + seconds,
    )


def retry_delay(retries: int) -> float:
    """Seconds to wait before the ending is tried for the (`retries` + 1)th time again."""
    return min(FIRST_RETRY * 2.0 ** min(retries, 16), SLOWEST_RETRY)


def _decide_idle(seen: Observations, limit: float, observed_ago: float) -> Decision:
    due_in = limit - seen.quiet - observed_ago
    if due_in > 0:
        return Decision(Action.KEEP, "within its lease", _soon(seen, min(LONGEST, due_in)), seen)
    if seen.kept_for is not None and seen.kept_for < LOOK_THROUGH_AGAIN and not seen.idle_stops:
        wait = LOOK_THROUGH_AGAIN - seen.kept_for
        return Decision(Action.KEEP, "idle, unsaved work", _soon(seen, wait), seen)
    if seen.quiet < limit or observed_ago > min(seen.fresh_for, JUST_LOOKED):
        return Decision(Action.OBSERVE, "perhaps idle", _soon(seen, RECHECK), seen)
    if seen.idle_stops:
        return Decision(Action.STOP, "idle, to be stopped", _soon(seen, RECHECK), seen)
    return Decision(Action.END, "idle", RECHECK, seen)


def _decide_under_way(seen: Observations) -> Decision:
    if not seen.operation_running:
        return Decision(Action.RESUME, "was not running", _soon(seen, RECHECK), seen)
    if seen.operation == Operation.PROVISION and seen.age >= PROVISION_DEADLINE:
        return Decision(Action.ABANDON, "provisioning is stuck", RECHECK, seen)
    if seen.operation == Operation.TERMINATE and seen.operation_age >= TERMINATE_DEADLINE:
        return Decision(Action.RESTART, "ending is stuck", RECHECK, seen)
    return Decision(Action.KEEP, "under way", _soon(seen, RECHECK), seen)


def _decide_retry(seen: Observations) -> Decision:
    if seen.retry_due_in > 0:
        return Decision(Action.KEEP, "waiting to try again", seen.retry_due_in, seen)
    return Decision(Action.RETRY, "ending incomplete", RECHECK, seen)


def _decide_without_source(seen: Observations) -> Decision:
    if seen.age >= SOURCE_DEADLINE:
        return Decision(Action.ABANDON, "source never came", RECHECK, seen)
    return Decision(Action.KEEP, "waiting for its source", _soon(seen, min(SOURCE_DEADLINE - seen.age, LONGEST)), seen)


def _soon(seen: Observations, seconds: float) -> float:
    # Never past the deadline, and never so soon that a cycle spins on it.
    left = seen.seconds_left - _lead(seen)
    return max(1.0, min(seconds, left if left > 0 else seconds))


def _lead(seen: Observations) -> float:
    """Only of what can be entered there is something to rescue; what is under way is not broken off before its time."""
    return seen.lead if seen.status in ENTERABLE and seen.operation is None else 0.0
