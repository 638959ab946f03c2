# SPDX-License-Identifier: GPL-3.0-or-later
"""The reaper over a real store, on a clock in the test's hand; what it starts is written down instead of run."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest

from fuelctl import paths
from fuelctl.environments import reaping, registry
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core
from fuelctl.environments.journal import Journal
from fuelctl.store import environments
from fuelctl.store.environments import FencedOffError
from fuelctl.store.models import EnvironmentRow, SettingRow
from fuelctl.store.secrets import Safe
from fuelctl.workflows.reaper import Reaper
from tests.fuelctl import databases
from tests.fuelctl.control import HandClock, check_of, wanted
from tests.fuelctl.test_supervise import wait_until


class Recorder:
    """Notes what the reaper has the engine do; `broken` ids raise."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []
        self.resumed: list[str] = []
        self.broken: set[str] = set()
        self.busy: list[str] = []

    def running(self) -> list[str]:
        return self.busy

    def start(self, operation: str, environment_id: str, _operation_id: str) -> None:
        if environment_id in self.broken:
            raise RuntimeError("cannot start")
        self.started.append((str(operation), environment_id))

    def resume(self, row: EnvironmentRow) -> None:
        self.resumed.append(row.id)


@pytest.fixture
def engine() -> Recorder:
    return Recorder()


@pytest.fixture
def reaper(core: Core, engine: Recorder) -> Reaper:
    return Reaper(core, cast("Any", engine), 60)


def ready(core: Core, **fields: Any) -> str:
    """An environment that can be entered."""
    row = registry.create(core, wanted(**fields))
    operation_id = registry.begin_provisioning(core, row.id)
    assert operation_id is not None
    results = {"conditions": [], "connection": {}, "agent": None, "provider": {}, "resources": []}
    Journal.open(core, row.id, operation_id).ready(results)
    return row.id


def row_of(core: Core, environment_id: str) -> EnvironmentRow:
    with core.database.read() as session:
        return session.get_one(EnvironmentRow, environment_id)


def test_it_ends_what_is_due_and_leaves_the_rest(
    core: Core, clock: HandClock, reaper: Reaper, engine: Recorder
) -> None:
    short, long = ready(core, ttl_seconds=100), ready(core, ttl_seconds=1000)
    assert (reaper.cycle().checked, engine.started) == (2, [])
    clock.pass_(50)
    assert reaper.cycle().checked == 0, "nothing is due: nothing is read"
    clock.pass_(50.5)
    assert reaper.cycle().ended == 1
    assert engine.started == [("terminate", short)]
    row = row_of(core, short)
    assert (row.ended_by, row.operation_options) == ("ttl", {"discard": True})
    check = check_of(core, short)
    assert check.decision is not None
    assert (check.decision["action"], check.ending) == ("end", check.decision)
    assert check_of(core, long).ending is None
    assert row_of(core, long).status == "ready"


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 10 * 86400.0])
def test_a_wall_clock_that_is_set_ends_nothing_early_and_nothing_late(
    core: Core, clock: HandClock, reaper: Reaper, engine: Recorder, jump: float
) -> None:
    made = ready(core, ttl_seconds=600)
    reaper.cycle()
    clock.pass_(30)
    clock.wall += jump
    reaper.cycle()
    assert engine.started == []
    clock.pass_(540)
    reaper.cycle()
    assert engine.started == []
    clock.pass_(31)
    reaper.cycle()
    assert engine.started == [("terminate", made)]


def test_a_laptop_that_slept_past_the_deadline_is_observed_first(
    core: Core, clock: HandClock, reaper: Reaper, engine: Recorder
) -> None:
    made, extended = ready(core, ttl_seconds=600), ready(core, ttl_seconds=600)
    reaper.cycle()
    clock.pass_(8 * 3600)
    reaper.cycle()
    assert engine.started == []
    registry.extend_lease(core, extended, 3600, lambda _row, _expires_at: None)
    clock.pass_(60)
    reaper.cycle()
    assert engine.started == [("terminate", made)]


def test_one_that_is_extended_after_its_end_was_decided_lives_on(
    core: Core, clock: HandClock, reaper: Reaper, engine: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner was told so: it ends neither now nor before its new time."""
    made = [ready(core, ttl_seconds=100) for _turn in range(2)]
    started = engine.start

    def start(operation: str, environment_id: str, operation_id: str) -> None:
        started(operation, environment_id, operation_id)
        [other] = {*made} - {environment_id}
        registry.extend_lease(core, other, 3600, lambda _row, _expires_at: None)

    monkeypatch.setattr(engine, "start", start)
    clock.pass_(101)
    done = reaper.cycle()
    assert (done.checked, done.ended, len(engine.started)) == (2, 1, 1)
    [extended] = {*made} - {engine.started[0][1]}
    clock.pass_(3000)
    reaper.cycle()
    assert row_of(core, extended).status == "ready"
    assert row_of(core, extended).operation_id is None


def test_one_that_cannot_be_ended_does_not_stop_the_others(
    core: Core, clock: HandClock, reaper: Reaper, engine: Recorder
) -> None:
    made = [ready(core, ttl_seconds=100) for _turn in range(3)]
    engine.broken = {made[1]}
    clock.pass_(101)
    done = reaper.cycle()
    assert (done.ended, done.failed) == (2, 1)
    assert {item[1] for item in engine.started} == {made[0], made[2]}
    # What was committed and not started is due again.
    clock.pass_(61)
    reaper.cycle()
    assert made[1] in engine.resumed


def test_what_was_committed_and_never_started_is_resumed(core: Core, reaper: Reaper, engine: Recorder) -> None:
    row = registry.create(core, wanted())
    operation_id = registry.begin_provisioning(core, row.id)
    assert operation_id is not None
    reaper.cycle()
    assert engine.resumed == [row.id]
    engine.resumed.clear()
    engine.busy = [operation_id]
    reaper.cycle()
    assert engine.resumed == []


def test_a_source_that_never_comes_ends_as_an_error(
    core: Core, clock: HandClock, reaper: Reaper, engine: Recorder
) -> None:
    row = registry.create(core, wanted(ttl_seconds=86400, source={"sha256": "0" * 64, "size": 5}))
    reaper.cycle()
    clock.pass_(3601)
    reaper.cycle()
    assert engine.started == [("terminate", row.id)]
    abandoned = row_of(core, row.id)
    assert abandoned.error is not None
    assert (abandoned.ends_as, abandoned.error["code"]) == ("error", "abandoned")
    assert abandoned.operation_id is not None
    Journal.open(core, row.id, abandoned.operation_id).terminated({"complete": True, "resources": []})
    ended = row_of(core, row.id)
    assert (ended.status, ended.ended_at is not None, ended.receipt) == (
        "error",
        True,
        {"complete": True, "resources": []},
    )


def test_an_incomplete_ending_is_tried_again_ever_more_slowly(
    core: Core, clock: HandClock, reaper: Reaper, engine: Recorder
) -> None:
    made = ready(core)
    waits = []
    _row, operation_id = registry.begin_termination(core, made, discard=False, by="user")
    for _turn in range(4):
        assert operation_id is not None
        Journal.open(core, made, operation_id).not_terminated({"message": "away"}, None)
        row = row_of(core, made)
        assert row.status == "terminating"
        check_at = check_of(core, made).check_at
        assert check_at is not None
        waits.append(check_at - clock.wall)
        reaper.cycle()
        assert engine.started == []
        clock.pass_(waits[-1] + 0.1)
        reaper.cycle()
        assert engine.started == [("terminate", made)]
        engine.started.clear()
        row = row_of(core, made)
        assert (row.ended_by, row.operation_options) == ("user", {"discard": False})
        operation_id = row.operation_id
    assert waits == [15, 30, 60, 120]


@pytest.fixture(params=databases.KINDS)
def either(request: pytest.FixtureRequest, clock: HandClock) -> Iterator[Core]:
    """The core on each database."""
    for made in databases.of_kind(request):
        yield Core(made, Safe(paths.secret_key_file()), clock=clock)


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 30 * 86400.0])
def test_row_for_row_a_clock_that_jumps_ends_nothing_early(
    either: Core, clock: HandClock, engine: Recorder, jump: float
) -> None:
    """An hour, as summer time that somebody set by hand: everything that lives, lives on, and ends at its time."""
    core, reaper = either, Reaper(either, cast("Any", engine), 60)
    enterable = [ready(core, ttl_seconds=7200, name=f"e{number}", idle_seconds=3600) for number in range(3)]
    making = registry.create(core, wanted(ttl_seconds=7200, name="making"))
    operation_id = registry.begin_provisioning(core, making.id)
    ending = ready(core, ttl_seconds=7200, name="ending")
    _row, end_id = registry.begin_termination(core, ending, discard=True, by="user")
    assert operation_id is not None
    assert end_id is not None
    engine.busy = [operation_id, end_id]
    for minute in range(20):
        clock.pass_(60)
        if minute == 5:
            clock.wall += jump
        if minute == 15:
            clock.wall -= jump
        reaper.cycle()
    assert (engine.started, engine.resumed) == ([], [])
    clock.pass_(7200 - 1200 + 1)
    clock.wall += jump
    reaper.cycle()
    clock.pass_(60)
    reaper.cycle()
    assert {one for _operation, one in engine.started} == {*enterable, making.id, ending}


def test_an_ending_that_is_stuck_is_begun_anew_and_only_that(either: Core, clock: HandClock, engine: Recorder) -> None:
    core, reaper = either, Reaper(either, cast("Any", engine), 60)
    stuck, other = ready(core, name="stuck"), ready(core, name="other")
    _row, first = registry.begin_termination(core, stuck, discard=True, by="user")
    assert first is not None
    old = Journal.open(core, stuck, first)
    old.destroying()
    for _minute in range(29):
        engine.busy = [first]
        clock.pass_(60)
        reaper.cycle()
    assert engine.started == []
    clock.pass_(61)
    reaper.cycle()
    assert engine.started == [("terminate", stuck)]
    row = row_of(core, stuck)
    assert row.operation_id not in (None, first)
    assert (row.ended_by, row.operation_options) == ("user", {"discard": True})
    assert not old.still_mine()
    with pytest.raises(FencedOffError):
        Journal.open(core, stuck, first)
    # The one that took over has its own half hour.
    engine.started.clear()
    engine.busy = [str(row.operation_id)]
    for _minute in range(29):
        clock.pass_(60)
        reaper.cycle()
    assert engine.started == []
    assert row_of(core, other).operation is None


def test_a_provisioning_that_is_stuck_is_undone(either: Core, clock: HandClock, engine: Recorder) -> None:
    core, reaper = either, Reaper(either, cast("Any", engine), 60)
    made = registry.create(core, wanted(ttl_seconds=86400))
    operation_id = registry.begin_provisioning(core, made.id)
    assert operation_id is not None
    engine.busy = [operation_id]
    reaper.cycle()
    clock.pass_(7199)
    reaper.cycle()
    assert engine.started == []
    clock.pass_(61)
    reaper.cycle()
    assert engine.started == [("terminate", made.id)]
    row = row_of(core, made.id)
    assert row.error is not None
    assert (row.ends_as, row.error["message"]) == ("error", "provisioning is stuck")


class Deaf:
    """A companion whose announcements fail while `deaf`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.at_work = False
        self.deaf = False

    def start(self) -> None:
        self.at_work = True

    def stop(self) -> None:
        self.at_work = False

    def announce(self, type_: str, data: Mapping[str, object]) -> int:
        if self.deaf:
            raise RuntimeError("the database is away")
        self.told.append((type_, data["cycles"]))
        return 1


def test_cycles_that_fail_are_told_loudly_and_each_says_what_it_did(
    core: Core, clock: HandClock, engine: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    companion = Deaf()
    reaper = Reaper(core, cast("Any", engine), 0.02, companion=companion)
    works = reaper.cycle
    failing = True

    def cycle() -> Any:
        if failing:
            raise RuntimeError("the database is away")
        return works()

    monkeypatch.setattr(reaper, "cycle", cycle)
    companion.deaf = True
    with caplog.at_level(logging.DEBUG):
        reaper.start()
        assert companion.at_work
        wait_until(lambda: "nobody could be told" in caplog.text)
        companion.deaf = False
        wait_until(lambda: bool(companion.told))
        failing = False
        ready(core, ttl_seconds=40)
        clock.pass_(41)
        wait_until(lambda: "checked 1, ended 1, failed 0" in caplog.text)
        reaper.stop()
    assert not companion.at_work
    type_, cycles = companion.told[0]
    assert (type_, int(str(cycles)) % 5) == ("reaper.failing", 0)


class Slow(Recorder):
    """Takes its time for each."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def start(self, operation: str, environment_id: str, _operation_id: str) -> None:
        self.begun.set()
        time.sleep(0.1)
        super().start(operation, environment_id, _operation_id)


def test_stopping_waits_for_the_round_under_way(core: Core, clock: HandClock) -> None:
    engine = Slow()
    made = [ready(core, ttl_seconds=100, name=f"e{number}") for number in range(5)]
    reaper = Reaper(core, cast("Any", engine), 3600)
    clock.pass_(101)
    reaper.start()
    assert engine.begun.wait(240)
    reaper.stop()
    assert {one for _operation, one in engine.started} == set(made), "none is left half begun"


def test_its_last_round_can_be_seen(core: Core, clock: HandClock, reaper: Reaper) -> None:
    reaper.cycle()
    with core.database.read() as session:
        assert session.get_one(SettingRow, "reaper").value["last_cycle_at"].startswith("2027-01-15T08:00:00")


def test_it_goes_round_by_itself(core: Core, engine: Recorder) -> None:
    made = ready(core, ttl_seconds=100)
    reaper = Reaper(core, cast("Any", engine), 0.2)
    reaper.start()
    try:
        with core.write() as session:
            environments.change(session, made, check_at=0.0, lease_boottime=0.0)
        wait_until(lambda: engine.started)
    finally:
        reaper.stop()
    # Nobody has ended it yet, so that it may be begun again.
    assert set(engine.started) == {("terminate", made)}


def test_a_round_that_hangs_is_told_in_our_words_and_seen(
    core: Core, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    """And not in the scheduler's, each time that one is due meanwhile."""
    hangs = threading.Event()

    class Hanging(Recorder):
        def running(self) -> list[str]:
            hangs.wait(500)
            return []

    slow = Reaper(core, cast("Any", Hanging()), 0.2)
    reaping.report(core, rfc3339(clock.wall), 0.0, 0, {"checked": 0, "ended": 0, "failed": 0})
    with caplog.at_level(logging.DEBUG):
        slow.start()
        try:
            wait_until(lambda: "no round of the reaper has ended" in caplog.text)
            wait_until(lambda: caplog.text.count("no round of the reaper") > 1)
            clock.pass_(60)
            assert reaping.shown(reaping.last(core), clock.wall, 0.2)["late"] is True
        finally:
            hangs.set()
            slow.stop()
    assert "maximum number of running instances" not in caplog.text
