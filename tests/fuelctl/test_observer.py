# SPDX-License-Identifier: GPL-3.0-or-later
"""When the machines are asked: regularly, and soon after a person wants to know, but never all the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from flask.testing import FlaskClient

from fuelctl.config import Settings
from fuelctl.environments import idleness
from fuelctl.environments.core import Core
from fuelctl.environments.heartbeats import Heartbeats
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store import environments
from fuelctl.workflows import observer as module
from fuelctl.workflows.observer import Observer
from fuelctl.workflows.run import Plant
from tests.fuelctl.api import make
from tests.fuelctl.control import HandClock
from tests.fuelctl.test_heartbeats import sample
from tests.fuelctl.test_reaper import Recorder, ready, row_of
from tests.fuelctl.test_supervise import wait_until


class Counting(Observer):
    """Asks nobody; a round takes `takes` seconds."""

    rounds = 0
    takes = 0.0
    begun: list[float]
    ended: list[float]

    def round(self) -> int:
        with self._one_at_a_time:
            self.begun.append(time.monotonic())
            time.sleep(self.takes)
            self.ended.append(time.monotonic())
            type(self).rounds += 1
        return 0


@pytest.fixture
def observer(core: Core, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    monkeypatch.setattr(Counting, "rounds", 0)
    monkeypatch.setattr(module, "_FRESH", 1.0)
    nobody: Any = None
    made = Counting(Plant(core), nobody, 3600)
    made.begun, made.ended = [], []
    yield made
    made.stop()


def ask(observer: Counting) -> bool:
    """As `watch fuelctl ls` would, but faster, until there was a second round."""
    observer.soon()
    return observer.rounds >= 2


def test_it_is_soon_but_not_at_once_again(observer: Counting) -> None:
    observer.soon()
    assert observer.rounds == 0, "nothing runs before start()"
    observer.start()
    wait_until(lambda: observer.rounds == 1)
    wait_until(lambda: ask(observer))
    # From the first question on: the round that began with it need not have begun at once.
    assert observer.begun[1] - observer.begun[0] > 0.5, "what was seen is fresh"


def test_rounds_that_take_long_are_not_asked_for_more_than_a_tenth_of_the_time(observer: Counting) -> None:
    observer.takes = 0.2
    observer.start()
    wait_until(lambda: observer.rounds == 1)
    wait_until(lambda: ask(observer))
    took = observer.ended[0] - observer.begun[0]
    assert observer.begun[1] - observer.ended[0] > 8 * took


def test_only_a_persons_question_about_something_that_lives_counts(core: Core) -> None:
    looked: list[float] = []
    app = create_app(Parts(core, lambda *_: None, Settings(), look=lambda: looked.append(time.monotonic())))
    with app.test_client() as http:
        made = make(http)["id"]
        assert get(http, "/api/remote?observe=true") == 200
        assert get(http, f"/api/remote/{made}?observe=true") == 200
        assert not looked, "it is still being provisioned"
        live = ready(core, name="live")
        for path in ("/api/remote", f"/api/remote/{live}", f"/api/remote/{made}?observe=true"):
            assert get(http, path) == 200
        assert not looked
        for count, path in enumerate(("/api/remote?observe=true", f"/api/remote/{live}?observe=true"), 1):
            assert get(http, path) == 200
            assert len(looked) == count
        assert get(http, "/api/remote?observe=perhaps") == 422


def get(http: FlaskClient, path: str) -> int:
    return http.get(path).status_code


GONE = {"present": False, "running": False, "events": [], "cursor": "", "problem": None}


@pytest.mark.parametrize(
    ("reason", "passed", "by"),
    [
        (None, 10.0, "machine"),
        ("machine", 10.0, "machine"),
        ("spot", 10.0, "spot"),
        ("console", 10.0, "console"),
        ("'; DROP", 10.0, "machine"),
        ("machine", 3598.0, "ttl"),
        (None, 7200.0, "ttl"),
    ],
)
def test_what_ended_by_itself_is_ended_with_that_reason(
    core: Core, clock: HandClock, reason: str | None, passed: float, by: str
) -> None:
    engine = Recorder()
    made = ready(core, ttl_seconds=3600)
    clock.pass_(passed)
    observer = Observer(Plant(core), cast("Any", engine), 60)
    observer._note(row_of(core, made), {**GONE, "reason": reason}, {})
    observer._note(row_of(core, made), {**GONE, "reason": reason}, {})
    assert set(engine.started) == {("terminate", made)}
    assert row_of(core, made).ended_by == by


def test_a_look_that_was_overtaken_by_a_heartbeat_is_no_restart(core: Core, clock: HandClock) -> None:
    made = ready(core, idle_seconds=1800)
    observer = Observer(Plant(core), cast("Any", Recorder()), 60)
    beats = Heartbeats(60, pause=0)
    beats.take(core, made, sample(clock))
    clock.pass_(60)
    looked = sample(clock)
    clock.pass_(3)
    beats.take(core, made, sample(clock))
    seen = {**GONE, "present": True, "running": True, "activity": looked}
    observer._note(row_of(core, made), seen, {})
    known = idleness.read(row_of(core, made).activity)
    assert known.quiet == 63, "older counters than the ones before are no new life of the container"
    assert "start" not in known.last
    assert known.asked is not None


def test_what_a_machine_says_of_itself_makes_it_no_cheaper(core: Core, clock: HandClock) -> None:
    """Whoever was entered runs; that it is stopped, and costs its volume alone, is its provider's word."""
    made = ready(core)
    machine = {"type": "shared", "hourly": 2.0, "awake": 2.0, "asleep": 0.5, "begun": clock.wall, "ended": None}
    with core.write() as session:
        environments.change(session, made, provider={"name": "fly", "machines": {"m": machine}})
    observer = Observer(Plant(core), cast("Any", Recorder()), 60)
    clock.pass_(60)
    observer._note(row_of(core, made), {**GONE, "present": True}, {})
    assert [each["hourly"] for each in row_of(core, made).provider["machines"].values()] == [2.0]
    observer._note(row_of(core, made), {**GONE, "present": True, "state": "stopped"}, {})
    assert [each["hourly"] for each in row_of(core, made).provider["machines"].values()] == [2.0, 0.5]
