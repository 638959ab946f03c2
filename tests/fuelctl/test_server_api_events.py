# SPDX-License-Identifier: GPL-3.0-or-later
"""Events and callbacks over HTTP: held until there is one, bounded, and only by the own token."""

from __future__ import annotations

import threading
from typing import Any

from flask.testing import FlaskClient

from fuelctl.environments.core import Core
from fuelctl.store import environments
from tests.fuelctl.api import JSON, ULID, make, problem, ready, token_of
from tests.fuelctl.control import HandClock


def test_events_are_held_until_there_is_one(http: FlaskClient, core: Core) -> None:
    made = make(http)
    cursor = http.get(f"/api/remote/{made['id']}/events").json["cursor"]
    assert http.get(f"/api/remote/{made['id']}/events?after={cursor}").json == {"events": [], "cursor": cursor}
    answers: list[Any] = []

    def follow() -> None:
        with http.application.test_client() as another:
            answers.append(another.get(f"/api/remote/{made['id']}/events?after={cursor}&wait=20").json)

    thread = threading.Thread(target=follow)
    thread.start()
    http.post(f"/api/remote/{made['id']}/terminate", json={})
    thread.join(240)
    assert not thread.is_alive()
    assert answers[0]["events"][0]["type"] == "remote.terminate.start"
    assert set(answers[0]["events"][0]) == {"seq", "id", "environment_id", "at", "type", "data"}
    problem(http.get(f"/api/remote/{made['id']}/events?after=-1"), 422)
    problem(http.get(f"/api/remote/{made['id']}/events?wait=31"), 422)


def test_callbacks_take_the_environments_own_token_and_no_other(http: FlaskClient, core: Core) -> None:
    one, two = make(http), make(http)
    mine, others = token_of(core, one["id"]), token_of(core, two["id"])
    body = {"events": [{"id": ULID, "type": "session.start", "data": {"a": 1}}]}
    path = f"/api/remote/{one['id']}/events"
    for headers in ({}, others, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {mine['Authorization']}"}):
        problem(http.post(path, json=body, headers=headers), 401, "unauthorized")
    problem(http.post("/api/remote/nobody/events", json=body, headers=mine), 401)
    assert http.post(path, json=body, headers=mine).json == {"accepted": 1}
    assert http.post(path, json=body, headers=mine).json == {"accepted": 0}
    assert http.post(f"/api/remote/{one['id']}/heartbeat", json={}, headers=mine).json == {"accepted": 1}
    assert http.post(f"/api/remote/{one['id']}/ready", json={}, headers=mine).status_code == 200
    assert http.post(f"/api/remote/{one['id']}/error", json={"message": "x"}, headers=mine).status_code == 200
    for type_ in ("remote.terminate.done", "remote.update", "x", "session.", "session.A B"):
        forged = {"events": [{"id": ULID[:-1] + "0", "type": type_}]}
        problem(http.post(path, json=forged, headers=mine), 422)
    assert http.get(f"/api/remote/{one['id']}").json["status"] == "provisioning"
    with core.write() as session:
        environments.change(session, one["id"], status="terminated", ended_at=1.0)
    problem(http.post(path, json=body, headers=mine), 401)


def test_what_an_environment_tells_is_bounded(http: FlaskClient, core: Core, clock: HandClock) -> None:
    made, other = make(http), make(http)
    mine, path = token_of(core, made["id"]), f"/api/remote/{made['id']}/events"

    def batch(first: int, count: int = 1000, data: Any = None) -> dict[str, Any]:
        numbers = range(first, first + count)
        ids = (f"01HZZZZZZZZZZZZZZZZZ{number:06d}" for number in numbers)
        return {"events": [{"id": id_, "type": "tool.end", "data": data or {}} for id_ in ids]}

    problem(http.post(path, json=batch(0, 1, {"x": "x" * 5000}), headers=mine), 422, "invalid_request")
    too_large = problem(http.post(path, data=b" " * 1_100_000, headers={**mine, **JSON}), 413)
    assert "less at a time" in too_large["hint"]
    ticks = [0.0]
    http.application.extensions["fuelctl"].rates.clock = lambda: ticks[0]
    for turn in range(4):
        assert http.post(path, json=batch(turn * 1000), headers=mine).json == {"accepted": 1000}
    answer = http.post(path, json=batch(4000, 100), headers=mine)
    problem(answer, 429, "too_many_events")
    assert answer.headers["Retry-After"] == "2"
    for call in ("heartbeat", "ready"):
        problem(http.post(f"/api/remote/{made['id']}/{call}", json={}, headers=mine), 429)
    # It is nobody else's fault, and a stranger cannot use it up for it.
    others = token_of(core, other["id"])
    for _turn in range(3):
        problem(http.post(f"/api/remote/{other['id']}/events", json=batch(0), headers=mine), 401, "unauthorized")
    assert http.post(f"/api/remote/{other['id']}/events", json=batch(0), headers=others).json == {"accepted": 1000}
    ticks[0] = 2.0
    assert http.post(path, json=batch(4000, 100), headers=mine).json == {"accepted": 100}
    problem(http.post(path, json=batch(4100, 1), headers=mine), 429)


def test_activity_is_monotone_and_never_from_the_future(http: FlaskClient, core: Core, clock: HandClock) -> None:
    made = make(http)
    mine = token_of(core, made["id"])
    ready(core, made["id"])
    seen = []
    for number, at in enumerate([clock.wall - 50, clock.wall - 5, clock.wall - 500, clock.wall + 9e9]):
        event = {"id": f"{ULID[:-2]}{number:02d}", "type": "tool.use", "at": at}
        assert http.post(f"/api/remote/{made['id']}/events", json={"events": [event]}, headers=mine).json == {
            "accepted": 1
        }
        seen.append(http.get(f"/api/remote/{made['id']}").json["last_event_at"])
    assert seen == sorted(seen)
    assert seen[1] == seen[2]
    assert http.get(f"/api/remote/{made['id']}").json["status"] == "active"
    with core.database.read() as session:
        row = environments.get(session, made["id"])
        assert row is not None
        assert row.last_event_at is not None
        assert row.last_event_at <= clock.wall
