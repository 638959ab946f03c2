# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision to keep or to end, and the lease under it: tables, and properties that hold for any input."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuelctl.environments.clock import Now, wall_jump
from fuelctl.environments.decision import (
    LONGEST,
    Action,
    Observations,
    again,
    decide,
    ends,
    later,
    retry_delay,
)
from fuelctl.environments.idleness import Activity, fresh_for, observed, since
from fuelctl.environments.lease import extend, new_lease
from fuelctl.environments.states import ENTERABLE, Status, may_become

SEEN = Observations(
    status="ready",
    operation=None,
    operation_running=False,
    age=10.0,
    seconds_left=100.0,
    source_complete=True,
    held=False,
    retries=0,
    retry_due_in=0.0,
    slept=False,
)

#: Silent for as long as it may be, and looked into just now.
IDLE: dict[str, Any] = {"idle_limit": 60.0, "quiet": 60.0, "observed_ago": 1.0}


ENDING: dict[str, Any] = {"status": "terminating", "operation": "terminate", "operation_running": True}


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({}, Action.KEEP),
        ({"seconds_left": 0.0}, Action.END),
        ({"seconds_left": 0.0, "slept": True}, Action.OBSERVE),
        ({"status": "provisioning", "seconds_left": 0.0, "slept": True}, Action.END),
        ({"status": "provisioning", "operation": "provision", "operation_running": True}, Action.KEEP),
        ({"status": "provisioning", "operation": "provision"}, Action.RESUME),
        (
            {"status": "provisioning", "operation": "provision", "operation_running": True, "seconds_left": -1.0},
            Action.END,
        ),
        ({"status": "provisioning", "operation": "provision", "operation_running": True, "age": 9e3}, Action.ABANDON),
        ({"status": "provisioning", "source_complete": False}, Action.KEEP),
        ({"status": "provisioning", "source_complete": False, "age": 3600.0}, Action.ABANDON),
        ({"status": "terminating", "seconds_left": -1.0, "retry_due_in": 5.0}, Action.KEEP),
        ({"status": "terminating", "seconds_left": -1.0}, Action.RETRY),
        (
            {"status": "terminating", "operation": "terminate", "operation_running": True, "seconds_left": -9e9},
            Action.KEEP,
        ),
        ({"status": "ready", "operation": "terminate"}, Action.RESUME),
        ({**ENDING, "operation_age": 1799.0}, Action.KEEP),
        ({**ENDING, "operation_age": 1800.0}, Action.RESTART),
        ({**ENDING, "operation_age": 9e9, "operation_running": False}, Action.RESUME),
        (
            {"status": "provisioning", "operation": "provision", "operation_running": True, "operation_age": 9e3},
            Action.KEEP,
        ),
        ({"status": "error", "held": True}, Action.KEEP),
        ({"status": "error", "held": True, "seconds_left": -1.0}, Action.END),
        ({"status": "active", "seconds_left": -1.0}, Action.END),
        (IDLE, Action.END),
        ({**IDLE, "status": "idle"}, Action.END),
        ({**IDLE, "quiet": 50.0}, Action.KEEP),
        # Silence that was not watched to its end is asked about first.
        ({**IDLE, "quiet": 59.0, "observed_ago": 10.0}, Action.OBSERVE),
        ({**IDLE, "observed_ago": 181.0}, Action.OBSERVE),
        ({**IDLE, "observed_ago": None}, Action.KEEP),
        ({**IDLE, "idle_limit": None}, Action.KEEP),
        ({**IDLE, "status": "provisioning"}, Action.KEEP),
        ({**IDLE, "operation": "provision", "operation_running": True}, Action.KEEP),
        ({**IDLE, "status": "error", "held": True}, Action.KEEP),
        # There is work in it that would be lost: its TTL decides, and an hour later it is looked through again.
        ({**IDLE, "kept_for": 60.0}, Action.KEEP),
        ({**IDLE, "kept_for": 60.0, "observed_ago": 1e6}, Action.KEEP),
        ({**IDLE, "kept_for": 3600.0}, Action.END),
        ({**IDLE, "kept_for": 60.0, "seconds_left": 0.0}, Action.END),
        # Where silence stops it, nothing is lost by it, and what is stopped is not silent.
        ({**IDLE, "idle_stops": True}, Action.STOP),
        ({**IDLE, "idle_stops": True, "kept_for": 60.0}, Action.STOP),
        ({**IDLE, "idle_stops": True, "quiet": 50.0}, Action.KEEP),
        ({**IDLE, "idle_stops": True, "quiet": 59.0, "observed_ago": 10.0}, Action.OBSERVE),
        ({**IDLE, "idle_stops": True, "seconds_left": 0.0}, Action.END),
        ({**IDLE, "idle_stops": True, "stopped": True}, Action.KEEP),
        ({**IDLE, "idle_stops": True, "stopped": True, "observed_ago": 1e6}, Action.KEEP),
        ({**IDLE, "stopped": True}, Action.KEEP),
        ({**IDLE, "stopped": True, "seconds_left": 0.0}, Action.END),
        ({**IDLE, "idle_stops": True, "operation": "terminate", "operation_running": True}, Action.KEEP),
    ],
)
def test_table(changes: dict[str, Any], action: Action) -> None:
    assert decide(replace(SEEN, **changes)).action == action


seconds = st.floats(min_value=-1e7, max_value=1e7, allow_nan=False)
observations = st.builds(
    Observations,
    status=st.sampled_from([str(status) for status in Status if status != Status.TERMINATED]),
    operation=st.sampled_from([None, "provision", "terminate"]),
    operation_running=st.booleans(),
    age=seconds,
    seconds_left=seconds,
    source_complete=st.booleans(),
    held=st.booleans(),
    retries=st.integers(0, 50),
    retry_due_in=seconds,
    slept=st.booleans(),
    idle_limit=st.none() | st.floats(min_value=1, max_value=1e5),
    quiet=st.floats(min_value=0, max_value=2e5),
    observed_ago=st.none() | st.floats(min_value=0, max_value=1e6),
    fresh_for=st.floats(min_value=30, max_value=1e4),
    kept_for=st.none() | st.floats(min_value=0, max_value=1e5),
    idle_stops=st.booleans(),
    stopped=st.booleans(),
    operation_age=st.floats(min_value=0, max_value=1e5),
)
#: Those that only silence can end.
at_rest = observations.filter(lambda seen: seen.status in ENTERABLE and seen.operation is None).map(
    lambda seen: replace(seen, seconds_left=abs(seen.seconds_left) + 1)
)


@given(observations)
def test_what_somebody_may_work_in_is_ended_by_its_ttl_or_by_watched_silence_alone(seen: Observations) -> None:
    decision = decide(seen)
    if seen.status in ENTERABLE and seen.operation is None and seen.seconds_left > 0:
        assert decision.action in (Action.KEEP, Action.OBSERVE, Action.END, Action.STOP)
    if decision.action == Action.STOP or (decision.action == Action.END and seen.seconds_left > 0):
        assert seen.seconds_left > 0
        assert decision.action == (Action.STOP if seen.idle_stops else Action.END)
        assert decision.reason == ("idle, to be stopped" if seen.idle_stops else "idle")
        assert not seen.stopped
        assert seen.status in ENTERABLE
        assert seen.operation is None
        assert seen.idle_limit is not None
        assert seen.quiet >= seen.idle_limit
        assert seen.observed_ago is not None
        assert seen.observed_ago <= seen.fresh_for
    elif decision.action == Action.END:
        assert decision.reason == "ttl"


@given(observations, observations)
def test_a_reason_tells_the_action(seen: Observations, other: Observations) -> None:
    """The log of decisions goes by their reasons alone."""
    one, two = decide(seen), decide(other)
    assert one.reason != two.reason or one.action == two.action


@given(observations)
def test_what_is_being_provisioned_is_never_ended_by_silence(seen: Observations) -> None:
    made = replace(seen, seconds_left=1.0)
    for under_way in (replace(made, status="provisioning"), replace(made, operation="provision")):
        assert decide(under_way).action not in (Action.END, Action.STOP)


@given(at_rest)
def test_what_is_stopped_is_only_ended_by_its_ttl(seen: Observations) -> None:
    asleep = replace(seen, stopped=True)
    assert (decide(asleep).action, decide(asleep).reason) == (Action.KEEP, "stopped")
    assert [by for by, _left in ends(asleep)] == ["ttl"]
    assert decide(replace(asleep, seconds_left=0.0, slept=False)).action == Action.END


@given(at_rest)
def test_silence_stops_just_when_it_would_end(seen: Observations) -> None:
    """Whatever is known: the one is decided when and only when the other would be, but that a stop loses nothing."""
    asks = replace(seen, kept_for=None)
    one, other = decide(replace(asks, idle_stops=True)), decide(replace(asks, idle_stops=False))
    assert (one.action == Action.STOP) == (other.action == Action.END)
    assert [left for _by, left in ends(one.inputs)] == [left for _by, left in ends(other.inputs)]


@given(at_rest, st.floats(min_value=0, max_value=1e6), st.booleans())
def test_what_is_active_is_never_ended_whatever_else_is_known(seen: Observations, ago: float, held: bool) -> None:
    limit = seen.idle_limit if seen.idle_limit is not None else 60.0
    active = replace(seen, idle_limit=limit, quiet=limit * 0.99, observed_ago=ago, held=held)
    assert decide(active).action in (Action.KEEP, Action.OBSERVE)


@given(at_rest, st.floats(min_value=0, max_value=0.999))
def test_nothing_ends_before_it_is_looked_at_again(seen: Observations, share: float) -> None:
    decision = decide(seen)
    if decision.action == Action.KEEP and decision.check_in > 1:
        # Observed at the last moment before it, and silent all the time: the soonest that it could be.
        passed = decision.check_in * share
        then = later(seen, passed)
        if seen.observed_ago is not None:
            then = replace(then, quiet=seen.quiet + seen.observed_ago + passed, observed_ago=0.0)
        assert decide(then).action not in (Action.END, Action.STOP)
        for by, left in ends(seen):
            assert left >= decision.check_in - 1e-6 or by in ("idle", "stop")


@given(at_rest, st.floats(min_value=0, max_value=1e6), st.floats(min_value=0, max_value=1e6))
def test_more_silence_never_means_less_ended(seen: Observations, passed: float, quiet: float) -> None:
    if decide(seen).action in (Action.END, Action.STOP):
        then = replace(later(seen, passed), quiet=seen.quiet + quiet, observed_ago=0.0, slept=False)
        # In the end its TTL is over, whether or not it was stopped.
        assert decide(then).action == (decide(seen).action if then.seconds_left > then.lead else Action.END)


#: (seconds that pass, whether it is looked into then, seconds before that at which something was typed or None).
lives = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 90), st.integers(1, 40_000)),
        st.booleans(),
        st.none() | st.integers(0, 60),
        st.integers(-90_000, 90_000),
    ),
    max_size=60,
)


@given(lives, st.integers(60, 7200))
def test_no_life_ends_by_silence_while_its_last_work_is_younger_than_the_limit(life: list[Any], limit: int) -> None:
    now = Now(1.8e9, "boot", 1e3)
    sample: dict[str, Any] = {"clock": 5_000_000, "uptime": 1.0, "boot": "theirs", "cpu": 0.0, "connections": {}}
    known = observed(Activity(), {**sample, "terminals": {}}, None, now, 60.0)
    worked = now.boottime
    terminals: dict[str, int] = {}
    for passed, looked, typed, jump in life:
        now = Now(now.wall + passed + jump, now.boot_id, now.boottime + passed)
        sample |= {"clock": sample["clock"] + passed, "uptime": sample["uptime"] + passed}
        if typed is not None and typed < passed:
            worked = now.boottime - typed
            terminals = {"0": sample["clock"] - typed}
        if looked:
            known = observed(known, {**sample, "terminals": dict(terminals)}, None, now, 60.0)
        ago = since(known.observed, now)
        seen = replace(SEEN, seconds_left=1e9, idle_limit=float(limit), quiet=known.quiet, observed_ago=ago)
        decision = decide(replace(seen, fresh_for=fresh_for(60.0)))
        if decision.action == Action.END:
            # What was typed since the last look is the one thing that it cannot know.
            assert now.boottime - worked >= limit or (ago is not None and now.boottime - worked < ago)


@given(observations)
def test_a_recorded_decision_can_be_made_again(seen: Observations) -> None:
    made = decide(seen)
    recorded = json.loads(json.dumps(made.as_dict()))
    assert again(recorded["inputs"]) == made


@given(observations)
def test_ttl_always_wins_over_everything_but_an_ending_under_way(seen: Observations) -> None:
    late = replace(seen, seconds_left=-1.0, slept=False, held=True)
    ending = seen.operation == "terminate" or seen.status == "terminating"
    assert (decide(late).action == Action.END) is not ending


@given(observations)
def test_nothing_is_looked_at_later_than_its_deadline(seen: Observations) -> None:
    decision = decide(seen)
    assert decision.check_in >= 1.0 or decision.action != Action.KEEP or decision.check_in > 0
    if decision.action == Action.KEEP and seen.seconds_left > 1 and seen.status != "terminating":
        assert decision.check_in <= max(1.0, min(seen.seconds_left, LONGEST))


@given(observations, st.floats(min_value=0, max_value=1e6))
def test_later_never_means_less_ended(seen: Observations, more: float) -> None:
    if decide(seen).action == Action.END:
        assert decide(replace(seen, seconds_left=seen.seconds_left - more, slept=False)).action == Action.END


@given(observations)
def test_what_is_under_way_is_taken_up_or_undone_in_the_end(seen: Observations) -> None:
    """Whatever else is known: an operation is looked at within the minute, and none may run for ever."""
    under_way = replace(seen, operation=seen.operation or "terminate", status="provisioning")
    decision = decide(under_way)
    assert decision.check_in <= 60.0
    old = replace(under_way, operation_running=True, age=1e5, operation_age=1e5)
    assert decide(old).action in (Action.ABANDON, Action.RESTART, Action.END)
    # Begun anew it is young, and goes on.
    young = replace(old, operation="terminate", operation_age=0.0)
    assert decide(young).action == Action.KEEP


@given(observations, st.floats(min_value=0, max_value=0.999))
def test_check_at_is_never_later_than_the_true_deadline_of_anything(seen: Observations, share: float) -> None:
    """Between two looks nothing comes due: of lease, silence, source, provisioning, ending or its next try."""
    decision = decide(seen)
    if decision.action == Action.KEEP and decision.check_in > 1:
        then = later(seen, decision.check_in * share)
        # What silence ends has to be seen as silent; without a look nothing more is known.
        assert decide(then).action in (Action.KEEP, Action.OBSERVE)
        if decide(then).action == Action.OBSERVE:
            assert seen.idle_limit is not None


#: A year of clock settings: both ends of summer time, an hour's jump, NTP's steps, a clock set to 1970 or far ahead.
jumps = st.sampled_from([0.0, 3600.0, -3600.0, 0.4, -0.4, 86400.0, -86400.0, 3e7, -1.7e9])


@given(st.lists(st.tuples(st.floats(1, 7200), jumps), max_size=40), st.integers(60, 200_000))
def test_no_setting_of_the_clock_ends_it_early_or_keeps_it_alive(steps: list[Any], ttl: int) -> None:
    begun = now = Now(1.8e9, "boot", 1e3)
    lease = new_lease(ttl, None, begun)
    for passed, jump in steps:
        now = Now(now.wall + passed + jump, now.boot_id, now.boottime + passed)
        lived = now.boottime - begun.boottime
        decision = decide(replace(SEEN, seconds_left=lease.seconds_left(now), age=lease.age(now)))
        assert (decision.action == Action.END) is (lived >= ttl)
        assert decision.check_in <= max(1.0, ttl - lived) or decision.action == Action.END


@given(st.integers(0, 100))
def test_retries_slow_down_and_never_stop(retries: int) -> None:
    assert retry_delay(retries) <= retry_delay(retries + 1) <= 900


@given(st.integers(1, 10**7), st.floats(0, 1e7), st.floats(-1e7, 1e7))
def test_setting_the_wall_clock_neither_shortens_nor_lengthens_a_lease(ttl: int, passed: float, jump: float) -> None:
    begun = Now(1.8e9, "boot", 1e3)
    lease = new_lease(ttl, None, begun)
    now = Now(begun.wall + passed + jump, "boot", begun.boottime + passed)
    assert lease.seconds_left(now) == pytest.approx(ttl - passed, abs=1e-3)
    assert wall_jump(begun, now) == pytest.approx(jump, abs=1e-3)


def test_after_a_reboot_the_wall_clock_counts() -> None:
    lease = new_lease(3600, None, Now(1.8e9, "boot", 1e3))
    assert lease.seconds_left(Now(1.8e9 + 600, "another", 5.0)) == 3000


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(0, 1e6))
def test_extending_never_shortens(ttl: int, more: int, passed: float) -> None:
    begun = Now(1.8e9, "boot", 1e3)
    now = Now(begun.wall + passed, "boot", begun.boottime + passed)
    lease = new_lease(ttl, 5, begun)
    longer = extend(lease, more, now)
    assert longer.seconds_left(now) >= max(lease.seconds_left(now), more) - 1e-6
    assert longer.age(now) == pytest.approx(passed, abs=1)
    assert longer.idle_seconds == 5


def test_nothing_comes_back_from_its_end() -> None:
    assert [status for status in Status if may_become("terminated", status)] == [Status.TERMINATED]
    assert all(may_become(status, "terminating") for status in ENTERABLE)
    assert not may_become("ready", "terminated")
