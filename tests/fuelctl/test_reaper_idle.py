# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends by silence, on a real store and a clock in the test's hand: what the observer saw, and what the reaper does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from fuelctl.cli.why import lines
from fuelctl.config import Settings
from fuelctl.environments import idle_work, registry, warnings
from fuelctl.environments.core import Core, MachineError
from fuelctl.environments.journal import Journal
from fuelctl.environments.power import STARTED, set_power
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store import environments, events
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.idle_stop import IdleStops
from fuelctl.workflows.observer import Observer
from fuelctl.workflows.reaper import Reaper
from fuelctl.workflows.run import Plant
from tests.fuelctl.control import HandClock, check_of
from tests.fuelctl.test_reaper import Recorder, ready, row_of


class World:
    """A control plane whose machines are in the test's hand."""

    def __init__(self, core: Core, clock: HandClock) -> None:
        self.core, self.clock = core, clock
        self.engine = Recorder()
        self.looked = 0
        self.observer = Observer(Plant(core), cast("Any", self.engine), 60)
        self.stopped: list[str] = []
        self.reaper = Reaper(core, cast("Any", self.engine), 60, look=self._look, period=60, stop=self._stop)
        self.sample: dict[str, Any] = {
            "clock": 17,
            "uptime": 100.0,
            "boot": "theirs",
            "cpu": 1.0,
            "terminals": {},
            "connections": {},
        }

    def _look(self) -> None:
        self.looked += 1

    def _stop(self, row: EnvironmentRow) -> None:
        """As beside the reaper, and done when it returns."""
        IdleStops(self.core, lambda one, _state: self.stopped.append(one.id))._stop(row)

    def see(self, environment_id: str, *told: dict[str, Any], **changes: Any) -> None:
        self.sample |= changes
        seen = {"present": True, "running": True, "problem": None, "events": list(told), "cursor": ""}
        self.observer._note(row_of(self.core, environment_id), {**seen, "activity": dict(self.sample)}, {})

    def pass_(self, seconds: float) -> None:
        self.clock.pass_(seconds)
        self.sample["clock"] += int(seconds)
        self.sample["uptime"] += seconds

    def minutes(self, environment_id: str, count: int, *, cpu: float = 0.0) -> None:
        for _turn in range(count):
            self.pass_(60)
            self.see(environment_id, cpu=self.sample["cpu"] + cpu)
            self.reaper.cycle()

    def api(self, method: str, path: str) -> Any:
        given = Parts(self.core, lambda *_: None, Settings(), reap=lambda: vars(self.reaper.cycle()))
        with create_app(given).test_client() as http:
            answer = http.open(path, method=method)
            assert answer.status_code == 200, answer.json
            return answer.json


@pytest.fixture
def world(core: Core, clock: HandClock) -> World:
    return World(core, clock)


def idle(core: Core, **fields: Any) -> str:
    return ready(core, **{"ttl_seconds": 8 * 3600, "idle_seconds": 1800, **fields})


def test_silence_ends_it_at_its_limit_and_not_before(core: Core, world: World) -> None:
    made = idle(core)
    world.see(made)
    world.minutes(made, 29)
    assert world.engine.started == []
    assert row_of(core, made).status == "ready"
    world.minutes(made, 1)
    assert world.engine.started == [("terminate", made)]
    row = row_of(core, made)
    assert row.ended_by == "idle"
    assert row.operation_options == {"discard": False}, "what is in it is looked through first"
    check = check_of(core, made)
    assert check.decision is not None
    assert (check.decision["reason"], check.decision["inputs"]["quiet"]) == ("idle", 1800)
    assert check.ending == check.decision


def test_work_keeps_it(core: Core, world: World) -> None:
    made = idle(core)
    world.see(made)
    world.minutes(made, 60, cpu=30)
    assert row_of(core, made).status == "active"
    world.minutes(made, 29)
    assert row_of(core, made).status == "idle"
    world.pass_(60)
    world.see(made, terminals={"0": world.sample["clock"] - 5})
    world.reaper.cycle()
    world.minutes(made, 29)
    assert world.engine.started == []
    told = {"id": "01JD3Z6A8W6S9X4V7T2R1P0N8M", "at": world.sample["clock"] + 50, "type": "tool.end", "data": {}}
    world.pass_(60)
    world.see(made, told)
    world.reaper.cycle()
    assert row_of(core, made).status == "active"
    world.minutes(made, 29)
    assert world.engine.started == []
    world.minutes(made, 1)
    assert world.engine.started == [("terminate", made)]


def test_a_machine_that_says_nothing_is_not_idle(core: Core, world: World) -> None:
    made = idle(core, ttl_seconds=4 * 3600)
    world.see(made)
    world.minutes(made, 28)
    for _turn in range(200):
        world.pass_(60)
        world.reaper.cycle()
    assert world.engine.started == []
    assert world.looked > 100, "it is asked for"
    decision = check_of(core, made).decision
    assert decision is not None
    assert (decision["action"], decision["reason"]) == ("observe", "perhaps idle")
    world.pass_(4 * 3600)
    world.reaper.cycle()
    world.pass_(60)
    world.reaper.cycle()
    assert world.engine.started == [("terminate", made)]
    assert row_of(core, made).ended_by == "ttl"


def test_silence_ends_it_only_while_the_look_that_found_it_is_fresh(core: Core, world: World) -> None:
    """Whoever pressed the key that was asked for, a moment after that look, is seen by the next one."""
    made = idle(core)
    world.see(made)
    world.minutes(made, 29)
    world.pass_(60)
    world.see(made)
    world.pass_(55)
    world.reaper.cycle()
    assert (world.engine.started, world.looked) == ([], 1)
    world.pass_(5)
    world.see(made, terminals={"0": world.sample["clock"] - 50})
    world.reaper.cycle()
    assert world.engine.started == []


def test_each_round_of_looking_is_followed_by_one_of_deciding(core: Core, world: World) -> None:
    rounds: list[int] = []
    world.observer.then = lambda: rounds.append(1)
    world.observer._guarded()
    assert rounds == [1]


def test_a_laptop_that_slept_finds_what_it_had(core: Core, world: World) -> None:
    made = idle(core, ttl_seconds=86400)
    world.see(made)
    world.minutes(made, 20)
    world.pass_(8 * 3600)
    world.reaper.cycle()
    world.see(made)
    world.reaper.cycle()
    assert world.engine.started == [], "the night was not watched"
    world.minutes(made, 9)
    assert world.engine.started == [], "and nothing of it counts"
    world.minutes(made, 1)
    assert world.engine.started == [("terminate", made)]


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("at", [datetime(2026, 10, 25, 0, 45, tzinfo=UTC), datetime(2027, 3, 28, 0, 45, tzinfo=UTC)])
def test_summer_time_changes_nothing(core: Core, clock: HandClock, world: World, at: datetime) -> None:
    clock.wall = at.timestamp()
    made = idle(core)
    world.see(made)
    world.minutes(made, 29)
    assert world.engine.started == []
    world.minutes(made, 1)
    assert world.engine.started == [("terminate", made)]


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 10 * 86400.0])
def test_a_wall_clock_that_is_set_ends_nothing_early_and_nothing_late(
    core: Core, clock: HandClock, world: World, jump: float
) -> None:
    made = idle(core)
    world.see(made)
    world.minutes(made, 15)
    clock.wall += jump
    world.minutes(made, 14)
    assert world.engine.started == []
    world.minutes(made, 1)
    assert world.engine.started == [("terminate", made)]


def refuse(core: Core, environment_id: str) -> None:
    operation_id = row_of(core, environment_id).operation_id
    assert operation_id is not None
    Journal.open(core, environment_id, operation_id).refused({"counts": {"uncommitted": 2, "unpushed": 0}})


def test_work_that_would_be_lost_keeps_it_until_its_ttl(core: Core, world: World) -> None:
    made = idle(core)
    world.see(made)
    world.minutes(made, 30)
    refuse(core, made)
    row = row_of(core, made)
    assert (row.status, row.ended_by, row.operation_id) == ("ready", None, None)
    assert [condition["type"] for condition in row.conditions] == [idle_work.UNSAVED]
    assert "2 uncommitted" in row.conditions[0]["message"]
    world.engine.started.clear()
    world.minutes(made, 59)
    assert world.engine.started == []
    # An hour later somebody may have pushed it from elsewhere: it is looked through again, and said only once.
    world.minutes(made, 2)
    assert world.engine.started == [("terminate", made)]
    refuse(core, made)
    with core.database.read() as session:
        told = [event.type for event in events.after(session, 0, environment_id=made)]
    assert told.count("remote.condition") == 1
    # The first look after that has nothing to compare with: looking through it took of the processor as well.
    world.minutes(made, 2, cpu=30)
    assert row_of(core, made).conditions == []
    world.engine.started.clear()
    world.minutes(made, 30)
    assert world.engine.started == [("terminate", made)], "silence counts anew, and is not looked at late"
    refuse(core, made)
    world.engine.started.clear()
    world.pass_(8 * 3600)
    world.reaper.cycle()
    world.minutes(made, 2)
    assert world.engine.started == [("terminate", made)]
    assert row_of(core, made).ended_by == "ttl"
    assert row_of(core, made).operation_options == {"discard": True}


def test_where_silence_stops_it_nothing_of_it_ends_until_its_ttl(core: Core, world: World) -> None:
    made = idle(core, idle_stops=True)
    world.see(made)
    world.minutes(made, 29)
    assert world.stopped == []
    shown = world.api("GET", f"/api/remote/{made}")
    assert (shown["lease"]["when_idle"], shown["activity"]["ends_by"]) == ("stop", "ttl")
    left = datetime.fromisoformat(shown["activity"]["stops_at"]).timestamp() - world.clock().wall
    assert left == pytest.approx(60, abs=2)
    world.minutes(made, 1)
    assert (world.stopped, world.engine.started) == ([made], [])
    [condition] = row_of(core, made).conditions
    assert (condition["type"], condition["details"]) == ("stopped", {"state": "stopped", "by": "idle"})
    assert condition["message"].startswith("nothing happened in it")
    # Nobody asks a machine that does not run, and no silence counts meanwhile.
    for _hour in range(6):
        world.pass_(3600)
        world.reaper.cycle()
    assert (world.stopped, world.engine.started) == ([made], [])
    found = world.api("GET", f"/api/remote/{made}/decision")
    assert (found["now"]["action"], found["now"]["reason"]) == ("keep", "stopped")
    assert (found["ending"]["action"], found["ending"]["agrees"]) == ("stop", True)
    assert [end["by"] for end in found["ends"]] == ["ttl"]
    assert found["activity"]["stops_at"] is None
    words = lines(found, datetime.now(UTC))
    assert any("its machine is stopped: idle, to be stopped" in line for line in words)
    assert any("it is kept: stopped" in line for line in words)
    world.pass_(2 * 3600)
    world.reaper.cycle()
    world.see(made)
    world.reaper.cycle()
    assert world.engine.started == [("terminate", made)]
    assert row_of(core, made).ended_by == "ttl"


def test_whoever_starts_it_again_has_its_whole_limit(core: Core, world: World) -> None:
    made = idle(core, idle_stops=True)
    world.see(made)
    world.minutes(made, 30)
    assert world.stopped == [made]
    world.pass_(3600)
    set_power(core, row_of(core, made), STARTED, lambda _row, _state: None)
    assert row_of(core, made).conditions == []
    world.reaper.cycle()
    world.minutes(made, 29)
    assert world.stopped == [made]
    world.minutes(made, 2)
    assert world.stopped == [made, made]
    # By a connection, of which nobody here knows: the next look finds that it runs, with counters of another life.
    world.pass_(3600)
    world.see(made, boot="another", uptime=5.0)
    assert row_of(core, made).conditions == []
    world.minutes(made, 29)
    assert world.stopped == [made, made]
    world.minutes(made, 1)
    assert world.stopped == [made, made, made]


def test_what_comes_in_at_the_last_moment_keeps_it_running(core: Core, world: World) -> None:
    made = idle(core, idle_stops=True)
    world.see(made)
    world.minutes(made, 29)
    stale = row_of(core, made)
    with core.write() as session:
        idle_work.touch(session, made, "agent", core.clock())
    world._stop(stale)
    assert (world.stopped, row_of(core, made).conditions) == ([], [])


def test_a_machine_that_cannot_be_stopped_is_tried_again(core: Core, world: World) -> None:
    made = idle(core, idle_stops=True)
    tried = []

    def fail(row: EnvironmentRow, _state: str) -> None:
        tried.append(row.id)
        raise MachineError("Fly.io does not answer", code="fly_silent")

    world.reaper._stop_machine = IdleStops(core, fail)._stop
    world.see(made)
    world.minutes(made, 32)
    assert len(tried) == 3
    assert row_of(core, made).conditions == []


def test_whoever_says_so_loses_it(core: Core, world: World) -> None:
    made = idle(core, idle_discard=True)
    world.see(made)
    world.minutes(made, 30)
    assert row_of(core, made).operation_options == {"discard": True}


def test_what_comes_in_at_the_last_moment_is_heard(core: Core, world: World) -> None:
    made = idle(core)
    world.see(made)
    world.minutes(made, 29)
    stale = row_of(core, made).activity
    with core.write() as session:
        idle_work.touch(session, made, "agent", core.clock())
    _row, operation_id = registry.begin_termination(core, made, discard=False, by="idle", if_activity=stale)
    assert operation_id is None
    assert row_of(core, made).operation is None
    world.minutes(made, 29)
    assert world.engine.started == []


def test_whoever_extends_it_is_at_work(core: Core, world: World) -> None:
    made = idle(core)
    world.see(made)
    world.minutes(made, 29)
    registry.extend_lease(core, made, 3600, lambda _row, _at: None)
    world.minutes(made, 29)
    assert world.engine.started == []


def test_its_terminals_are_told_once_of_each_end(core: Core, world: World) -> None:
    made = idle(core)
    world.see(made)

    def told() -> list[str]:
        row = row_of(core, made)
        return [line for line, _what in warnings.due([row], core.clock(), 60).values()]

    world.minutes(made, 23)
    assert told() == []
    world.minutes(made, 1)
    [line] = told()
    assert line.startswith("[fuelctl] app ends in 6 minutes: nothing happens in it.")
    row = row_of(core, made)
    world.observer._note(
        row,
        {"present": True, "running": True, "problem": None, "events": [], "cursor": "", "activity": world.sample},
        warnings.due([row], core.clock(), 60)[made][1],
    )
    assert told() == []
    world.minutes(made, 1)
    assert told() == []


def test_why_and_forecast_say_what_the_reaper_does(core: Core, world: World) -> None:
    made, other = idle(core), idle(core, name="other", idle_seconds=None)
    world.see(made)
    world.minutes(made, 10)
    forecast = world.api("GET", "/api/reaper")
    assert [(entry["id"], entry["ends"][0]["by"]) for entry in forecast["environments"]] == [
        (made, "idle"),
        (other, "ttl"),
    ]
    assert forecast["environments"][0]["ends"][0]["in_seconds"] == 1200
    why = world.api("GET", f"/api/remote/{made}/decision")
    assert (why["now"]["action"], why["ending"], why["last"]["agrees"]) == ("keep", None, True)
    world.minutes(made, 19)
    assert world.engine.started == [], "asking ends nothing"
    world.pass_(60)
    world.see(made)
    assert world.api("POST", "/api/reaper/cycle")["ended"] == 1
    why = world.api("GET", f"/api/remote/{made}/decision")
    assert (why["ended_by"], why["ending"]["reason"], why["ending"]["agrees"]) == ("idle", "idle", True)
    with core.write() as session:
        environments.change(session, made, decision=None)
    assert world.api("GET", f"/api/remote/{made}/decision")["last"] is None
    with core.database.read() as session:
        told = [event for event in events.after(session, 0, environment_id=made) if event.type == "remote.decision"]
    assert [event.data["reason"] for event in told] == ["idle"]
