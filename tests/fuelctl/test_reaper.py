# SPDX-License-Identifier: GPL-3.0-or-later
"""The reaper over a real store, on a clock in the test's hand; what it starts is written down instead of run."""

from __future__ import annotations

from typing import Any, cast

import pytest

from fuelctl.environments import registry
from fuelctl.environments.core import Core
from fuelctl.environments.journal import Journal
from fuelctl.store import environments
from fuelctl.store.models import EnvironmentRow, SettingRow
from fuelctl.workflows.reaper import Reaper
from tests.fuelctl.control import HandClock, wanted


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
    assert (row.ended_by, row.operation_options, row.decision["action"] if row.decision else None) == (
        "ttl",
        {"discard": True},
        "end",
    )
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
        assert row.check_at is not None
        waits.append(row.check_at - clock.wall)
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


def test_its_last_round_can_be_seen(core: Core, clock: HandClock, reaper: Reaper) -> None:
    reaper.cycle()
    with core.database.read() as session:
        assert session.get_one(SettingRow, "reaper").value["last_cycle_at"].startswith("2027-01-15T08:00:00")


def test_it_goes_round_by_itself(core: Core, engine: Recorder) -> None:
    import time

    made = ready(core, ttl_seconds=100)
    reaper = Reaper(core, cast("Any", engine), 0.2)
    reaper.start()
    try:
        with core.write() as session:
            environments.change(session, made, check_at=0.0, lease_boottime=0.0)
        end = time.monotonic() + 10
        while not engine.started and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        reaper.stop()
    assert engine.started == [("terminate", made)]
