# SPDX-License-Identifier: GPL-3.0-or-later
"""What machines tell by themselves: late, twice, in any order, in storms, or not at all; on both databases."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from fuelctl.environments import heartbeats, idle_work, idleness
from fuelctl.environments.clock import Now
from fuelctl.environments.core import Core
from fuelctl.environments.heartbeats import Heartbeats
from fuelctl.environments.idleness import Activity
from fuelctl.store import environments
from fuelctl.store.database import Database
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.observer import Observer
from fuelctl.workflows.run import Plant
from tests.fuelctl import databases
from tests.fuelctl.control import HandClock
from tests.fuelctl.test_reaper import ready, row_of

PERIOD = 60.0


@pytest.fixture(params=databases.KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from databases.of_kind(request)


def sample(clock: HandClock, **more: Any) -> dict[str, Any]:
    """Of a machine whose clock is a year behind."""
    at = clock.boottime - 4_000
    plain: dict[str, Any] = {"terminals": {}, "connections": {}, "agents": 0, "cpu": 1.0}
    return {**plain, "clock": int(1_768_000_000 + at), "uptime": at, "boot": "theirs", **more}


def text_of(one: dict[str, Any]) -> str:
    """As the machine sends it."""
    lines = [f"cpu us {int(one['cpu'] * 1e6)}"]
    lines += [f"tty /dev/pts/{name} {at} 1" for name, at in one["terminals"].items()]
    return "|".join([*lines, f"clock {one['clock']} {one['uptime']:.2f} {one['boot']}"]) + "|"


class Machine:
    """Beats into `core`."""

    def __init__(self, core: Core, clock: HandClock, **fields: Any) -> None:
        self.core, self.clock = core, clock
        self.id = ready(core, idle_seconds=1800, **fields)
        self.beats = Heartbeats(PERIOD, pause=0)

    def beat(self, **more: Any) -> None:
        self.tell(sample(self.clock, **more))

    def tell(self, one: dict[str, Any] | None) -> None:
        self.beats.take(self.core, self.id, one)
        self.beats.flush(self.core)

    @property
    def row(self) -> EnvironmentRow:
        return row_of(self.core, self.id)

    @property
    def known(self) -> Activity:
        return idleness.read(self.row.activity)


@pytest.fixture
def machine(core: Core, clock: HandClock) -> Machine:
    return Machine(core, clock)


def test_silence_is_counted_by_heartbeats_as_by_looks(machine: Machine, clock: HandClock) -> None:
    machine.beat()
    clock.pass_(30)
    machine.beat(terminals={"0": sample(clock)["clock"]})
    assert machine.row.status == "active"
    for _turn in range(20):
        clock.pass_(30)
        machine.beat(terminals={"0": sample(clock)["clock"] - 30 * (_turn + 1)})
    # What says no more than the row does is not written, but for every other one.
    assert 540 <= machine.known.quiet <= 600
    assert machine.row.status == "idle"
    assert machine.row.last_event_at == clock.wall
    clock.pass_(30)
    machine.beat(terminals={"0": sample(clock)["clock"] - 7})
    assert machine.known.quiet == 7
    assert machine.row.status == "active"
    assert machine.known.last["terminal"] == clock.wall - 7


def test_only_what_matters_is_written(machine: Machine, clock: HandClock) -> None:
    machine.beat()
    versions = []
    for _turn in range(40):
        clock.pass_(5)
        machine.beat()
        versions.append(machine.row.version)
        assert machine.row.last_event_at == clock.wall
    assert len(set(versions)) <= 6, "200 s are five looks, and not forty writes"


def test_a_silent_machine_is_not_idle(machine: Machine, clock: HandClock) -> None:
    machine.beat()
    clock.pass_(1000)
    machine.beat()
    assert machine.known.quiet == 0
    for _turn in range(20):
        clock.pass_(60)
        machine.tell(None)
    assert machine.known.quiet == 0, "it lives, and nobody knows what is done in it"
    assert machine.row.last_event_at == clock.wall


def test_one_told_again_or_too_late_changes_nothing(machine: Machine, clock: HandClock) -> None:
    told = []
    for turn in range(10):
        typed = {"0": sample(clock)["clock"] - 3} if turn == 2 else {}
        told.append(sample(clock, terminals=typed))
        machine.tell(told[-1])
        clock.pass_(60)
    before = machine.row
    for one in [*reversed(told), *told]:
        machine.tell(one)
    assert machine.row.activity == before.activity
    assert machine.row.version == before.version
    machine.tell({**told[3], "boot": "the one before", "clock": told[0]["clock"] - 10_000})
    assert machine.row.activity == before.activity, "of a boot long ago"


def test_one_that_was_long_on_its_way_is_not_taken_for_fresh(machine: Machine, clock: HandClock) -> None:
    machine.beat()
    clock.pass_(60)
    late = sample(clock)
    clock.pass_(50)
    machine.tell(late)
    assert machine.known.quiet == 60, "what was done since is not known"
    assert idleness.since(machine.known.observed, clock()) == 50


def test_a_storm_is_one_write(machine: Machine, clock: HandClock) -> None:
    machine.beat()
    clock.pass_(60)
    told = sample(clock)
    machine.beats.pause, machine.beats._flushed = 3600, time.monotonic()
    threads = [
        threading.Thread(target=lambda: [machine.beats.take(machine.core, machine.id, told) for _turn in range(500)])
        for _thread in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = machine.row.version
    assert machine.beats._rest is not None
    machine.beats._rest.cancel()
    assert machine.beats.flush(machine.core) == 1
    assert machine.row.version == before + 1
    assert machine.known.quiet == 60


def test_a_part_that_cannot_be_written_keeps_nobody_elses(
    core: Core, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "_AT_ONCE", 1)
    beats = Heartbeats(pause=3600)
    made = sorted(ready(core) for _each in range(3))
    clock.pass_(5)
    written = Heartbeats._write

    def write(self: Heartbeats, at: Core, told: dict[str, Any]) -> int:
        if made[1] in told:
            raise OperationalError("UPDATE", {}, OSError("gone"))
        return written(self, at, told)

    monkeypatch.setattr(Heartbeats, "_write", write)
    beats._flushed = time.monotonic()
    for one in made:
        beats.take(core, one, None)
    with pytest.raises(OperationalError):
        beats.flush(core)
    with core.database.read() as session:
        heard = [environments.get(session, one) for one in made]
    assert [row is not None and row.last_event_at == clock.wall for row in heard] == [True, False, True]


def test_what_comes_in_while_a_storm_is_worked_out_is_not_written_over(
    machine: Machine, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.beat()
    clock.pass_(60)
    original, turns = Heartbeats._changes, []

    def changes(self: Heartbeats, *given: Any) -> dict[str, Any]:
        turns.append(1)
        found = original(self, *given)
        if len(turns) == 1:
            with machine.core.write() as session:
                idle_work.touch(session, machine.id, "agent", clock())
                session.get_one(EnvironmentRow, machine.id).last_event_at = clock.wall + 5
        return found

    monkeypatch.setattr(Heartbeats, "_changes", changes)
    machine.beat()
    assert len(turns) == 2, "worked out anew"
    assert machine.known.last["agent"] == clock.wall
    assert machine.known.quiet == 0
    assert machine.known.sample is not None
    assert machine.known.sample["uptime"] == sample(clock)["uptime"], "and the heartbeat is heard all the same"
    assert machine.row.last_event_at == clock.wall + 5, "never back"


@pytest.mark.parametrize("jump", [3600.0, -3600.0, -86400.0])
def test_a_clock_that_is_set_moves_no_activity_back(machine: Machine, clock: HandClock, jump: float) -> None:
    machine.beat()
    clock.pass_(30)
    machine.beat(terminals={"0": sample(clock)["clock"]})
    before, heard = machine.known, machine.row.last_event_at or 0.0
    clock.wall += jump
    clock.pass_(60)
    machine.beat(terminals={"0": sample(clock)["clock"] - 60})
    assert machine.known.quiet == 60
    assert machine.known.last["terminal"] >= before.last["terminal"]
    assert (machine.row.last_event_at or 0.0) >= heard


#: For each heartbeat: (seconds since the one before, delay of its arrival, arrives twice, somebody typed just before).
lives = st.lists(
    st.tuples(st.integers(1, 200), st.integers(0, 400), st.booleans(), st.booleans(), st.booleans()),
    min_size=1,
    max_size=40,
)


@given(lives, st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_no_more_silence_than_there_was_and_no_activity_ever_goes_back(life: list[Any], chance: random.Random) -> None:
    clock = HandClock()
    arrivals: list[tuple[float, float, dict[str, Any], float, bool]] = []
    typed_at = clock.boottime
    terminals: dict[str, int] = {}
    for passed, delay, twice, typed, asked in life:
        clock.pass_(passed)
        if typed:
            typed_at = clock.boottime
            terminals = {"0": sample(clock)["clock"]}
        # Who is asked answers at once.
        one = (clock.boottime + (0 if asked else delay), chance.random())
        arrivals.append((*one, sample(clock, terminals=dict(terminals)), typed_at, asked))
        if twice:
            again = clock.boottime + delay + chance.randint(0, 900)
            arrivals.append((again, chance.random(), sample(clock, terminals=dict(terminals)), typed_at, False))
    known = Activity()
    newest = worked = 0.0
    for at, _tie, one_sample, typed_then, asked in sorted(arrivals, key=lambda each: each[:2]):
        now = Now(1.8e9 + at, "boot-1", at)
        before = known
        if idleness.is_news(known.sample, one_sample, asked=asked):
            known = idleness.observed(known, one_sample, None, now, PERIOD, asked=asked)
            newest, worked = float(one_sample["uptime"]) + 4_000, typed_then
        assert known.quiet <= newest - worked + 1.0
        assert all(known.last.get(kind, 0.0) >= moment for kind, moment in before.last.items())
        observed_at = float((known.observed or {"boottime": 0.0})["boottime"])
        assert observed_at <= at


class Asking(Observer):
    """Notes whom it would ask."""

    asked: list[str]

    def _ask(self, _place: dict[str, Any], rows: list[EnvironmentRow], _notices: Any) -> int:
        self.asked = [row.id for row in rows]
        with self._core.write() as session:
            for row in rows:
                known = idle_work.asked(idleness.read(row.activity), self._core.clock())
                environments.change(session, row.id, activity=known.as_dict())
        return len(rows)


def test_who_tells_by_itself_is_asked_when_it_falls_silent_and_before_its_end(
    core: Core, clock: HandClock, machine: Machine
) -> None:
    other = ready(core, name="other")
    observer = Asking(Plant(core), cast("Any", None), PERIOD)

    def asked() -> set[str]:
        observer.asked = []
        observer.round()
        return set(observer.asked)

    assert asked() == {machine.id, other}, "nobody has told yet"
    machine.beat()
    assert asked() == {other}
    clock.pass_(30)
    machine.beat()
    assert asked() == {other}
    clock.pass_(idle_work.SILENT_AFTER + 1)
    assert asked() == {machine.id, other}, "silent"
    with core.write() as session:
        environments.change(session, machine.id, conditions=[{"type": "unreachable", "message": "", "since": ""}])
    machine.beat()
    assert machine.row.conditions == [], "it has told since"
    assert asked() == {other}
    # It is asked all the same before silence ends it, and from time to time.
    since_asked = []
    for _turn in range(70):
        clock.pass_(30)
        machine.beat()
        since_asked.append(machine.id in asked())
    assert any(since_asked[: 660 // 30])
    assert not all(since_asked[: 1500 // 30])
    assert machine.known.quiet > 1800 - 2 * PERIOD
    assert since_asked[-1]


def test_an_unreachable_one_ends_at_its_ttl_and_not_before(core: Core, clock: HandClock) -> None:
    from fuelctl.workflows.reaper import Reaper
    from tests.fuelctl.test_reaper import Recorder

    engine = Recorder()
    reaper = Reaper(core, cast("Any", engine), 60)
    machine = Machine(core, clock, ttl_seconds=4 * 3600)
    machine.beat()
    unreachable = {"type": "unreachable", "message": "", "since": "", "details": {}}
    with core.write() as session:
        environments.change(session, machine.id, conditions=[unreachable])
    for _turn in range(239):
        clock.pass_(60)
        reaper.cycle()
    assert engine.started == []
    clock.pass_(61)
    reaper.cycle()
    assert engine.started == [("terminate", machine.id)]
    assert machine.row.ended_by == "ttl"
