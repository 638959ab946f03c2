# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending and extending over HTTP: the machine is told before the lease moves."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from fuelctl import _crashpoints
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core, MachineError
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store import environments
from fuelctl.store.models import EnvironmentRow
from tests.fuelctl.api import SMALL, Started, make, problem, ready
from tests.fuelctl.control import HandClock


def test_ending_twice_is_harmless(http: FlaskClient, started: Started, core: Core) -> None:
    made = make(http)
    ready(core, made["id"])
    started.clear()
    path = f"/api/remote/{made['id']}/terminate"
    assert http.post(path, json={}).status_code == 202
    assert http.post(path, json={}).status_code == 202
    assert len({item[2] for item in started}) == 1
    assert http.post(path, json={"discard": True}).status_code == 202
    assert len({item[2] for item in started}) == 2, "a discard that the first lacked starts it anew"
    problem(http.post(path, json={"discard": "yes"}), 422)
    problem(http.post("/api/remote/nobody/terminate", json={}), 404)


def test_extending(http: FlaskClient, clock: HandClock, core: Core) -> None:
    made = make(http)
    ready(core, made["id"])
    clock.pass_(600)
    extended = http.post(f"/api/remote/{made['id']}/extend", json={"ttl_seconds": 7200}).json
    assert extended["lease"]["ttl_seconds"] == 7800
    shorter = http.post(f"/api/remote/{made['id']}/extend", json={"ttl_seconds": 5}).json
    assert shorter["lease"]["expires_at"] == extended["lease"]["expires_at"]
    problem(http.post(f"/api/remote/{made['id']}/extend", json={"ttl_seconds": 10**10}), 422, "invalid_request")
    http.post(f"/api/remote/{make(http)['id']}/terminate", json={})
    with core.write() as session:
        environments.change(session, made["id"], status="terminated", ended_at=1.0)
    problem(http.post(f"/api/remote/{made['id']}/extend", json={"ttl_seconds": 5}), 409, "not_live")


def test_the_machine_is_told_before_the_lease_moves(core: Core, clock: HandClock, started: Started) -> None:
    told: list[float] = []
    trouble: list[MachineError] = []

    def move(row: EnvironmentRow, expires_at: float) -> None:
        # Telling a machine takes its time; meanwhile nothing has moved.
        clock.pass_(3)
        with core.database.read() as session:
            assert session.get_one(EnvironmentRow, row.id).expires_at == row.expires_at
        if trouble:
            raise trouble[0]
        told.append(expires_at)

    http = create_app(Parts(core, started, SMALL, move)).test_client()
    made = make(http)
    path = f"/api/remote/{made['id']}"
    problem(http.post(f"{path}/extend", json={"ttl_seconds": 7200}), 409, "busy")
    assert told == []
    ready(core, made["id"])
    begun = clock.wall
    extended = http.post(f"{path}/extend", json={"ttl_seconds": 7200}).json
    assert told == [begun + 7200]
    assert extended["lease"]["expires_at"] == rfc3339(told[0]), "the lease is never later than the watchdog"
    trouble.append(MachineError("the engine does not answer", hint="start it", code="docker_unavailable"))
    answer = problem(http.post(f"{path}/extend", json={"ttl_seconds": 9000}), 503, "docker_unavailable")
    assert (answer["detail"], answer["hint"]) == ("the engine does not answer", "start it")
    assert http.get(path).json["lease"] == extended["lease"]
    http.post(f"{path}/terminate", json={})
    problem(http.post(f"{path}/extend", json={"ttl_seconds": 9000}), 409, "busy")


def test_a_death_between_the_watchdog_and_the_lease_leaves_the_lease(
    core: Core, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        """No handler of ours sees a SIGKILL either."""

    def die(point: str) -> None:
        if point == "extend.moved":
            raise KilledError

    told: list[float] = []
    http = create_app(Parts(core, started, SMALL, lambda _row, expires_at: told.append(expires_at))).test_client()
    made = make(http)
    ready(core, made["id"])
    path = f"/api/remote/{made['id']}"
    before = http.get(path).json["lease"]
    with monkeypatch.context() as patched:
        patched.setattr(_crashpoints, "reach", die)
        with pytest.raises(KilledError):
            http.post(f"{path}/extend", json={"ttl_seconds": 7200})
    assert http.get(path).json["lease"] == before
    assert rfc3339(told[0]) > before["expires_at"], "the watchdog is the later one: the reaper ends it at the lease"
    assert http.post(f"{path}/extend", json={"ttl_seconds": 7200}).json["lease"]["expires_at"] == rfc3339(told[1])


def test_what_waits_for_its_source_has_no_machine_to_tell(core: Core, started: Started) -> None:
    def move(_row: EnvironmentRow, _expires_at: float) -> None:
        raise AssertionError

    http = create_app(Parts(core, started, SMALL, move)).test_client()
    made = make(http, source={"sha256": "0" * 64, "size": 3})
    extended = http.post(f"/api/remote/{made['id']}/extend", json={"ttl_seconds": 7200})
    assert extended.json["lease"]["ttl_seconds"] == 7200
