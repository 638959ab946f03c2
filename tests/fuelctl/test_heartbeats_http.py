# SPDX-License-Identifier: GPL-3.0-or-later
"""What machines tell by themselves, as they send it: over HTTP, a cloud's notice in it, and what one costs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder

from fuelctl.config import Settings
from fuelctl.environments import idleness, interruption, registry
from fuelctl.environments.core import Core
from fuelctl.environments.heartbeats import Heartbeats
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store.database import Database
from fuelctl.store.models import EnvironmentRow
from tests.fuelctl import databases
from tests.fuelctl.api import SMALL, Started, problem, token_of
from tests.fuelctl.control import HandClock
from tests.fuelctl.test_heartbeats import PERIOD, sample, text_of
from tests.fuelctl.test_reaper import row_of


@pytest.fixture(params=databases.KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from databases.of_kind(request)


@pytest.fixture
def http(core: Core) -> Iterator[tuple[FlaskClient, Started, Heartbeats]]:
    started, beats = Started(), Heartbeats(PERIOD, pause=0)
    with create_app(Parts(core, started, SMALL, heartbeats=beats)).test_client() as client:
        yield client, started, beats


def test_over_http(core: Core, clock: HandClock, http: tuple[FlaskClient, Started, Heartbeats]) -> None:
    client, started, beats = http
    made = registry.create(core, replace_wanted())
    token = token_of(core, made.id)
    operation_id = registry.begin_provisioning(core, made.id)
    path = f"/api/remote/{made.id}/heartbeat"
    assert operation_id is not None
    from fuelctl.environments.journal import Journal

    results = {"conditions": [], "connection": {}, "agent": None, "provider": {}, "resources": []}
    Journal.open(core, made.id, operation_id).ready(results)
    for turn in range(3):
        clock.pass_(60)
        body = {"sample": text_of(sample(clock)), "at": clock.wall, "boot": "theirs", "notice": None}
        assert client.post(path, json=body, headers=token).get_json() == {"accepted": 1}, turn
        beats.flush(core)
    known = idleness.read(row_of(core, made.id).activity)
    assert known.quiet == 120
    assert known.sample is not None
    assert known.sample["boot"] == "theirs"
    for wrong in (
        {"sample": 7},
        {"sample": "x" * 20_000},
        {"boot": "x" * 65},
        {"more": 1},
        {"notice": {"action": "X"}},
    ):
        problem(client.post(path, json=wrong, headers=token), 422)
    # Half a sample counts for nothing, and hostile ones for no more.
    for odd in ("cpu us 1|", "clock x y z|" * 500, "\u0000|\ud7ff", "tty " * 4000):
        assert client.post(path, json={"sample": odd}, headers=token).status_code == 200
    beats.flush(core)
    assert idleness.read(row_of(core, made.id).activity) == known
    problem(client.post(path, json={}, headers={"Authorization": "Bearer wrong"}), 401, "unauthorized")
    assert started == []


def replace_wanted() -> Any:
    from tests.fuelctl.control import wanted

    return replace(wanted(), idle_seconds=1800)


def has_machine(core: Core, one_id: str, market: str | None, ended: float | None) -> None:
    """Its provider's document, with a machine bought on this market."""
    machines = {"machines": {"i-1": {"market": market, "ended": ended}}} if market else {}
    with core.write() as session:
        row = session.get_one(EnvironmentRow, one_id)
        row.provider = {**row.provider, **machines}


def test_a_notice_begins_the_end_at_once_and_is_told_once(
    core: Core, clock: HandClock, http: tuple[FlaskClient, Started, Heartbeats]
) -> None:
    client, started, _beats = http
    made = registry.create(core, replace_wanted())
    token = token_of(core, made.id)
    body = {"notice": {"action": "terminate", "time": "2027-01-15T08:02:00Z"}}
    # It may be whoever works in there who says so: no other machine is taken back, and none that has ended.
    for market, ended in ((None, None), ("on-demand", None), ("spot", 1.0)):
        has_machine(core, made.id, market, ended)
        assert client.post(f"/api/remote/{made.id}/heartbeat", json=body, headers=token).status_code == 200
    assert (started, row_of(core, made.id).operation) == ([], None)
    has_machine(core, made.id, "spot", None)
    for _turn in range(3):
        assert client.post(f"/api/remote/{made.id}/heartbeat", json=body, headers=token).status_code == 200
    assert [(operation, one) for operation, one, _id in started] == [("terminate", made.id)]
    row = row_of(core, made.id)
    assert (row.ended_by, row.operation_options["until"]) == ("spot", clock.wall + 120)
    from fuelctl.store import events

    with core.database.read() as session:
        told = [event for event in events.after(session, 0) if event.type == "remote.machine.notice"]
    assert [event.data for event in told] == [body["notice"]]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("2027-01-15T08:01:30Z", 90),
        ("2027-01-15T07:00:00Z", 0),
        ("2099-01-01T00:00:00Z", 240),
        ("soon", 120),
        ("", 120),
    ],
)
def test_the_time_that_is_left_is_never_more_than_can_be_meant(said: str, left: float) -> None:
    now = HandClock().wall
    assert interruption.until(said, now) == now + left


def test_what_one_costs(core: Core, clock: HandClock) -> None:
    """The process, without the socket's part, beside the least that any request costs on this machine just now.

    How many there can be a second is measured with many at a time: tests/bench/server.py.
    """
    # Written once after so many, and not by the clock: how many come in a second is the machine's load.
    beats = Heartbeats(PERIOD, pause=3600)
    app = create_app(Parts(core, Started(), Settings(), heartbeats=beats))
    made = [registry.create(core, replace_wanted()).id for _turn in range(20)]
    tokens = {one: token_of(core, one)["Authorization"] for one in made}
    body = json.dumps({"sample": text_of(sample(clock)), "at": 1.0, "boot": "theirs", "notice": None}).encode()
    answers: list[str] = []

    def beat(one: str) -> Any:
        environ = EnvironBuilder(f"/api/remote/{one}/heartbeat", method="POST", data=body).get_environ()
        return environ | {"CONTENT_TYPE": "application/json", "HTTP_AUTHORIZATION": tokens[one]}

    def respond(status: str, _headers: Any, _error: Any = None, /) -> Any:
        answers.append(status)

    def cost(environs: list[Any]) -> float:
        beats._flushed = time.monotonic()
        begun = time.process_time()
        for environ in environs:
            list(app(environ, respond))
        beats.flush(core)
        return (time.process_time() - begun) / len(environs)

    least, heartbeat = float("inf"), float("inf")
    for _turn in range(3):
        least = min(least, cost([EnvironBuilder("/healthz").get_environ() for _turn in range(100)]))
        heartbeat = min(heartbeat, cost([beat(made[number % len(made)]) for number in range(200)]))
    assert set(answers) == {"200 OK"}
    if beats._rest is not None:
        beats._rest.cancel()
    print(f"{heartbeat * 1000:.2f} ms, {heartbeat / least:.1f} times the least")
    assert heartbeat < 25 * least
