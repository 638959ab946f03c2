# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP API over a real store: every call of the contract, and every way to get it wrong."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from fuelctl import _crashpoints, paths
from fuelctl.config import Settings
from fuelctl.environments import registry
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core, MachineError
from fuelctl.environments.journal import Journal
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store import environments, idempotency
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.secrets import CALLBACK_TOKEN
from tests.fuelctl.control import HandClock

ULID = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
BODY = {
    "provider": {"name": "local"},
    "blueprint": {"image": "debian:bookworm"},
    "repository": {"name": "app"},
    "ttl_seconds": 3600,
}
JSON = {"Content-Type": "application/json"}
SMALL = Settings(max_body_bytes=64 * 1024, max_source_bytes=1024 * 1024)


class Started(list[tuple[str, str, str]]):
    """What the API asked to be started."""

    def __call__(self, operation: str, environment_id: str, operation_id: str) -> None:
        self.append((operation, environment_id, operation_id))


@pytest.fixture
def started() -> Started:
    return Started()


@pytest.fixture
def http(core: Core, started: Started) -> Iterator[FlaskClient]:
    app = create_app(Parts(core, started, SMALL))
    with app.test_client() as client:
        yield client


def make(http: FlaskClient, **fields: Any) -> dict[str, Any]:
    answer = http.post("/api/remote", json={**BODY, **fields})
    assert answer.status_code == 202, answer.json
    found: dict[str, Any] = answer.get_json()
    return found


def ready(core: Core, environment_id: str) -> None:
    """Bring it to ready as a workflow would."""
    operation_id = registry.begin_provisioning(core, environment_id)
    assert operation_id is not None
    results = {"conditions": [], "connection": {"container": "c"}, "agent": None, "provider": {}, "resources": []}
    Journal.open(core, environment_id, operation_id).ready(results)


def token_of(core: Core, environment_id: str) -> dict[str, str]:
    with core.database.read() as session:
        return {"Authorization": f"Bearer {core.safe.take(session, environment_id)[CALLBACK_TOKEN]}"}


def problem(answer: Any, status: int, code: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.mimetype == "application/problem+json"
    document: dict[str, Any] = json.loads(answer.get_data())
    assert set(document) == {"type", "title", "status", "detail", "hint", "code", "details"}
    assert document["status"] == status
    assert document["detail"]
    if code:
        assert document["code"] == code
    return document


def test_a_new_environment_without_source_starts_at_once(http: FlaskClient, started: Started) -> None:
    made = make(http, name="api")
    assert (made["status"], made["name"]) == ("provisioning", "api")
    assert made["blueprint"]["ttl"] == "8h", "the blueprint is stored complete"
    assert [item[:2] for item in started] == [("provision", made["id"])]
    assert http.get("/api/remote/api").json["id"] == made["id"]
    assert http.get(f"/api/remote/{made['id'][:20].lower()}").json["id"] == made["id"]


def test_the_environment_object_has_every_field_of_the_contract(http: FlaskClient) -> None:
    made = make(http)
    assert set(made) >= {
        "id",
        "name",
        "owner",
        "status",
        "conditions",
        "provider",
        "blueprint",
        "blueprint_sha256",
        "repository",
        "lease",
        "created_at",
        "ready_at",
        "terminated_at",
        "last_event_at",
        "ended_by",
        "cost",
        "stages",
        "connection",
        "agent",
        "error",
        "receipt",
    }
    assert set(made["provider"]) == {"name", "type", "region", "address", "engine"}
    assert set(made["lease"]) == {"ttl_seconds", "idle_seconds", "expires_at"}
    assert made["created_at"].endswith("Z")
    assert made["cost"] == {"currency": "USD", "hourly": 0.0, "total": 0.0, "estimate": False}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Not A Name"}, "name"),
        ({"name": "-x"}, "name"),
        ({"name": "a" * 41}, "name"),
        ({"name": "x\n"}, "name"),
        ({"owner": ""}, "owner"),
        ({"owner": "a\nb"}, "owner"),
        ({"provider": {"name": "../../etc"}}, "provider.name"),
        ({"provider": {}}, "provider.name"),
        ({"ttl_seconds": 0}, "ttl_seconds"),
        ({"ttl_seconds": "3600"}, "ttl_seconds"),
        ({"ttl_seconds": True}, "ttl_seconds"),
        ({"ttl_seconds": 1e400}, "ttl_seconds"),
        ({"secrets": {"BAD NAME": "x"}}, "secrets"),
        ({"secrets": {"K": "a\0b"}}, "secrets"),
        ({"secrets": {"K": "x" * 65537}}, None),
        ({"secrets": {".callback_token": "x"}}, "secrets"),
        ({"secrets": ["K"]}, "secrets"),
        ({"source": {"sha256": "zz", "size": 1}}, "source.sha256"),
        ({"source": {"sha256": "0" * 64, "size": -1}}, "source.size"),
        ({"keep_on_error": "yes"}, "keep_on_error"),
        ({"unknown": 1}, "unknown"),
        ({"repository": {"name": "x", "url": "a\nb"}}, "repository.url"),
    ],
)
def test_bad_bodies_are_refused_and_never_echoed(
    http: FlaskClient, started: Started, change: dict[str, Any], field: str | None
) -> None:
    document = problem(http.post("/api/remote", json={**BODY, **change}), 422 if field else 413)
    if field:
        assert any(item["field"].startswith(field) for item in document["details"]["errors"]), document
    assert started == []
    assert http.get("/api/remote").json["environments"] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"blueprint": {"image": "; rm -rf /"}}, "blueprint_invalid"),
        ({"blueprint": {"env": {"LD_PRELOAD": "x"}}}, "blueprint_invalid"),
        ({"blueprint": {"nonsense": 1}}, "blueprint_invalid"),
        ({"blueprint": {"agent": {"settings": {"a": {"__ansible_unsafe": "{{ 1 }}"}}}}}, "reserved_key"),
        ({"provider": {"name": "local", "options": {"__ansible_vault": "x"}}}, "reserved_key"),
        ({"ttl_seconds": 10**9}, "ttl_too_long"),
        ({"source": {"sha256": "0" * 64, "size": 10**12}}, "source_too_large"),
        ({"agent_home": "relative"}, "agent_home_unusable"),
    ],
)
def test_wishes_that_cannot_be_granted(http: FlaskClient, change: dict[str, Any], code: str) -> None:
    problem(http.post("/api/remote", json={**BODY, **change}), 422, code)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 20000, b'{"a":' * 9000, b'{"name": "\\ud800"}', b"NaN"],
)
def test_what_is_no_json_object_is_a_problem_too(http: FlaskClient, content: bytes) -> None:
    answer = http.post("/api/remote", data=content, content_type="application/json")
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code)


def test_unknown_paths_methods_and_sizes(http: FlaskClient) -> None:
    problem(http.get("/nowhere"), 404)
    problem(http.get("/api/remote/nobody"), 404, "not_found")
    answer = http.delete("/api/remote")
    problem(answer, 405)
    assert "GET" in answer.headers["Allow"]
    problem(http.post("/api/remote", data=b"x" * 100_000, content_type="application/json"), 413)
    problem(http.get("/api/remote?status=wrong"), 422, "invalid_status")
    problem(http.get("/api/remote?unknown=1"), 422)


def test_a_failure_of_ours_is_a_problem_without_insides(core: Core) -> None:
    def broken(*_: str) -> None:
        raise RuntimeError("secret insides")

    app = create_app(Parts(core, broken, SMALL))
    document = problem(app.test_client().post("/api/remote", json=BODY), 500, "internal")
    assert "insides" not in json.dumps(document)


def test_idempotency(http: FlaskClient) -> None:
    key = {"Idempotency-Key": "k"}
    first = http.post("/api/remote", json=BODY, headers=key).json
    assert http.post("/api/remote", json=BODY, headers=key).json["id"] == first["id"]
    problem(http.post("/api/remote", json={**BODY, "ttl_seconds": 5}, headers=key), 422, "idempotency_mismatch")
    problem(http.post("/api/remote", json=BODY, headers={"Idempotency-Key": "x" * 300}), 422)


def test_a_key_that_a_full_disk_kept_is_free_for_the_same_request(
    http: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Idempotency-Key": "k"}
    full = OperationalError("INSERT", {}, Exception("database or disk is full"))

    def fails(*_: Any, **__: Any) -> Any:
        raise full

    with monkeypatch.context() as patched:
        patched.setattr(registry, "_insert", fails)
        patched.setattr(idempotency, "release", fails)
        assert http.post("/api/remote", json=BODY, headers=key).status_code == 500
    made = http.post("/api/remote", json=BODY, headers=key)
    assert made.status_code == 202
    assert http.post("/api/remote", json=BODY, headers=key).json["id"] == made.json["id"]


def test_every_problem_says_what_to_do() -> None:
    """409, 410, 422 and their like: whoever gets one is told what to do about it, whatever raised it."""
    kinds = {"Problem", "ConflictError", "NotFoundError", "InFlightError", "KeyGoneError", "UsageError", "MachineError"}
    silent: list[str] = []
    for part in ("server", "environments", "store", "workflows"):
        for file in sorted((Path(registry.__file__).parents[1] / part).glob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {*kinds, "problem"}:
                    hints = [keyword for keyword in node.keywords if keyword.arg in ("hint", None)]
                    if not hints or (isinstance(hints[0].value, ast.Constant) and not hints[0].value.value):
                        silent.append(f"{file.name}:{node.lineno}")
    assert silent == []


def test_a_taken_name_is_a_conflict_and_an_ambiguous_prefix_lists(http: FlaskClient) -> None:
    first, second = make(http, name="one"), make(http, name="two")
    problem(http.post("/api/remote", json={**BODY, "name": "one"}), 409, "name_taken")
    document = problem(http.get(f"/api/remote/{first['id'][:3]}"), 409, "ambiguous")
    assert {item["id"] for item in document["details"]["candidates"]} == {first["id"], second["id"]}


def test_lists(http: FlaskClient, core: Core, clock: HandClock) -> None:
    first = make(http)
    clock.pass_(1)
    second = make(http, owner="other")
    with core.write() as session:
        environments.change(session, first["id"], status="terminated", ended_at=1.0)

    def ids(query: str) -> list[str]:
        return [item["id"] for item in http.get(f"/api/remote{query}").json["environments"]]

    assert ids("") == [second["id"]]
    assert ids("?include_terminated=true") == [second["id"], first["id"]]
    assert ids("?status=terminated") == [first["id"]]
    assert ids("?owner=nobody") == []
    assert http.get("/api/remote").json["reaper"] == {"last_cycle_at": None}


def upload(http: FlaskClient, ref: str, content: bytes, offset: int = 0) -> Any:
    return http.put(f"/api/remote/{ref}/source?offset={offset}", data=content, content_type="application/octet-stream")


def test_a_source_arrives_in_pieces(http: FlaskClient, started: Started) -> None:
    content = bytes(range(256)) * 1000
    made = make(http, source={"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
    path = f"/api/remote/{made['id']}/source"
    assert http.get(path).json == {"received": 0, "size": len(content), "complete": False}
    assert upload(http, made["id"], content[:100_000]).json["received"] == 100_000
    document = problem(upload(http, made["id"], content[:5]), 409, "wrong_offset")
    assert document["details"]["received"] == 100_000
    problem(upload(http, made["id"], b"x" * len(content), 100_000), 422, "source_too_large")
    assert started == []
    left = http.get(path).json["received"]
    assert upload(http, made["id"], content[left:], left).json == {
        "received": len(content),
        "size": len(content),
        "complete": True,
    }
    assert [item[0] for item in started] == ["provision"]
    assert upload(http, made["id"], b"").json["complete"] is True
    assert (paths.source_folder(made["id"]) / "source.tar").read_bytes() == content


def test_a_source_with_another_digest_starts_nothing(http: FlaskClient, started: Started) -> None:
    made = make(http, source={"sha256": "0" * 64, "size": 3})
    problem(upload(http, made["id"], b"abc"), 422, "wrong_digest")
    assert http.get(f"/api/remote/{made['id']}/source").json["received"] == 0
    assert started == []
    assert http.get(f"/api/remote/{made['id']}").json["status"] == "provisioning"


def test_a_source_has_its_own_limit_and_a_body_the_other(http: FlaskClient) -> None:
    content = b"x" * (SMALL.max_body_bytes * 2)
    made = make(http, source={"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
    assert upload(http, made["id"], content).json["complete"] is True
    without = make(http)
    problem(upload(http, without["id"], b"x"), 409, "no_source_expected")


def test_an_empty_source_completes(http: FlaskClient, started: Started) -> None:
    made = make(http, source={"sha256": hashlib.sha256(b"").hexdigest(), "size": 0})
    assert upload(http, made["id"], b"").json["complete"] is True
    assert len(started) == 1


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
    problem(http.post(f"/api/remote/{made['id']}/extend", json={"ttl_seconds": 10**9}), 422, "ttl_too_long")
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
    thread.join(10)
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
    assert http.post(f"/api/remote/{one['id']}/heartbeat", headers=mine).json == {"accepted": 1}
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


def test_the_key_is_handed_out_exactly_once(http: FlaskClient, core: Core) -> None:
    made = make(http)
    path = f"/api/remote/{made['id']}/ssh-key"
    problem(http.get(path), 409, "no_key")
    folder = paths.private_folder(paths.key_folder(made["id"]))
    (folder / "id_ed25519").write_text("PRIVATE")
    (folder / "id_ed25519.pub").write_text("PUBLIC")
    outcomes: list[int] = []
    barrier = threading.Barrier(100)

    def fetch() -> None:
        with http.application.test_client() as another:
            barrier.wait()
            answer = another.get(path)
            outcomes.append(answer.status_code)
            if answer.status_code == 200:
                assert answer.json == {"private_key": "PRIVATE", "public_key": "PUBLIC"}
                assert answer.headers["Cache-Control"] == "no-store"

    threads = [threading.Thread(target=fetch) for _turn in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [200] + [410] * 99
    assert not (folder / "id_ed25519").exists()
    problem(http.get(path), 410, "key_gone")
    told = http.get(f"/api/remote/{made['id']}/events").json["events"]
    outcomes_told = [event["data"]["outcome"] for event in told if event["type"] == "remote.key"]
    assert (outcomes_told.count("served"), outcomes_told.count("refused")) == (1, 100)


def give_key(environment_id: str) -> Path:
    folder = paths.private_folder(paths.key_folder(environment_id))
    (folder / "id_ed25519").write_text("PRIVATE")
    (folder / "id_ed25519.pub").write_text("PUBLIC")
    return folder / "id_ed25519"


def asking(number: int = 0) -> dict[str, str]:
    return {"Idempotency-Key": f"a long and random key {number}"}


def outcomes(http: FlaskClient, made: dict[str, Any]) -> list[str]:
    told = http.get(f"/api/remote/{made['id']}/events").json["events"]
    return [event["data"]["outcome"] for event in told if event["type"] == "remote.key"]


def test_of_a_hundred_requests_one_gets_the_key_and_only_that_one_again(http: FlaskClient) -> None:
    made = make(http)
    private, path = give_key(made["id"]), f"/api/remote/{made['id']}/ssh-key"
    barrier = threading.Barrier(100)
    won: list[int] = []

    def fetch(number: int) -> None:
        with http.application.test_client() as another:
            barrier.wait()
            if another.get(path, headers=asking(number)).status_code == 200:
                won.append(number)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert http.get(path, headers=asking(won[0])).json == {"private_key": "PRIVATE", "public_key": "PUBLIC"}
    problem(http.get(path, headers=asking(won[0] + 1000)), 410, "key_gone")
    problem(http.get(path), 410, "key_gone")
    problem(http.delete(path, headers=asking(won[0] + 1000)), 409, "not_the_receiver")
    problem(http.delete(path), 409, "not_the_receiver")
    assert private.exists()
    assert http.delete(path, headers=asking(won[0])).json == {"forgotten": True}
    assert http.delete(path, headers=asking(won[0])).json == {"forgotten": False}
    assert sorted(entry.name for entry in private.parent.iterdir()) == ["id_ed25519.pub"]
    problem(http.get(path, headers=asking(won[0])), 410, "key_gone")
    assert sorted(outcomes(http, made)) == ["refused"] * 102 + ["repeated", "served"]


def test_the_time_for_asking_again_ends(http: FlaskClient, clock: HandClock) -> None:
    made = make(http)
    private, path = give_key(made["id"]), f"/api/remote/{made['id']}/ssh-key"
    assert http.get(path, headers=asking()).status_code == 200
    clock.pass_(599)
    assert http.get(path, headers=asking()).status_code == 200
    clock.pass_(2)
    problem(http.get(path, headers=asking()), 410, "key_gone")
    assert not private.exists()


def test_a_key_that_could_not_be_read_was_not_handed_out(http: FlaskClient) -> None:
    made = make(http)
    private, path = give_key(made["id"]), f"/api/remote/{made['id']}/ssh-key"
    private.with_suffix(".pub").unlink()
    problem(http.get(path, headers=asking()), 410, "key_gone")
    private.with_suffix(".pub").write_text("PUBLIC")
    assert http.get(path, headers=asking(1)).status_code == 200


def test_a_death_before_the_answer_leaves_the_key_to_the_same_request(http: FlaskClient, clock: HandClock) -> None:
    """The server is killed between its mark and its answer: a real process, on this database and its own clock."""
    clock.wall = time.time()
    made = make(http)
    give_key(made["id"])
    path = f"/api/remote/{made['id']}/ssh-key"
    script = (
        "from fuelctl import paths; from fuelctl.config import Settings; from fuelctl.environments.core import Core;"
        "from fuelctl.server.app import create_app; from fuelctl.server.parts import Parts;"
        "from fuelctl.store.database import Database, sqlite_url; from fuelctl.store.secrets import Safe;"
        "core = Core(Database(sqlite_url(paths.database_file())), Safe(paths.secret_key_file()));"
        f"create_app(Parts(core, print, Settings())).test_client().get({path!r}, headers={asking()!r})"
    )
    died = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "FUELCTL_CRASH_AT": "key.marked"}, check=False
    )
    assert died.returncode == -signal.SIGKILL
    problem(http.get(path, headers=asking(1)), 410, "key_gone")
    assert http.get(path, headers=asking()).json["private_key"] == "PRIVATE"
    assert outcomes(http, made) == ["served", "refused", "repeated"]


def test_on_tcp_nobody_gets_in_without_the_servers_token(core: Core, started: Started) -> None:
    app = create_app(Parts(core, started, SMALL, embedded=False, token="right"))
    http = app.test_client()
    assert http.get("/healthz").status_code == 200
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "right"[:-1]},
        {"Authorization": "Bearer "},
    ):
        problem(http.get("/api/remote", headers=headers), 401, "unauthorized")
        problem(http.post("/api/server/stop", json={}, headers=headers), 401)
        problem(http.get("/nowhere", headers=headers), 401)
    right = {"Authorization": "Bearer right"}
    assert http.get("/api/remote", headers=right).status_code == 200
    problem(http.post("/api/remote", json={**BODY, "agent_home": "/root"}, headers=right), 422, "agent_home_unusable")
    nobody = create_app(Parts(core, started, SMALL, embedded=False, token=None)).test_client()
    problem(nobody.get("/api/remote", headers={"Authorization": "Bearer None"}), 401)


def test_health_and_readiness(http: FlaskClient, core: Core, tmp_path: Path) -> None:
    assert http.get("/healthz").json["status"] == "ok"
    assert http.get("/readyz").json["database"] is True
    paths.database_file().rename(tmp_path / "away")
    paths.database_file().mkdir()
    core.database.engine.dispose()
    answer = http.get("/readyz")
    assert (answer.status_code, answer.json["database"]) == (503, False)


def test_the_document_in_the_docs_is_the_servers(http: FlaskClient) -> None:
    """Made anew by `make docs`."""
    served = http.get("/api/openapi.json").json
    file = Path(__file__).parents[2] / "docs" / "developer" / "openapi.json"
    assert json.loads(file.read_text()) == served, test_the_document_in_the_docs_is_the_servers.__doc__
    calls = {f"{method.upper()} {path}" for path, item in served["paths"].items() for method in item}
    assert calls == {
        "POST /api/audit",
        "POST /api/audit/adopt",
        "POST /api/remote",
        "GET /api/remote",
        "GET /api/remote/{ref}",
        "POST /api/remote/{ref}/terminate",
        "POST /api/remote/{ref}/extend",
        "GET /api/remote/{ref}/source",
        "PUT /api/remote/{ref}/source",
        "GET /api/remote/{ref}/events",
        "POST /api/remote/{ref}/events",
        "POST /api/remote/{ref}/ready",
        "POST /api/remote/{ref}/error",
        "POST /api/remote/{ref}/heartbeat",
        "GET /api/remote/{ref}/ssh-key",
        "DELETE /api/remote/{ref}/ssh-key",
        "GET /healthz",
        "GET /readyz",
        "POST /api/server/stop",
        "GET /api/ws",
    }


def test_every_route_is_in_the_document(http: FlaskClient) -> None:
    served = http.get("/api/openapi.json").json["paths"]
    hidden = {"/api/openapi.json"}
    routes = {str(rule).replace("<ref>", "{ref}") for rule in http.application.url_map.iter_rules()}
    assert routes - hidden == set(served)


def test_a_stream_that_breaks_keeps_what_came(http: FlaskClient) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            found = super().read(size)
            if not found:
                raise OSError("connection reset")
            return found

    made = make(http, source={"sha256": "0" * 64, "size": 1000})
    http.put(
        f"/api/remote/{made['id']}/source",
        input_stream=Broken(b"x" * 10),
        content_length=1000,
        content_type="application/octet-stream",
    )
    assert http.get(f"/api/remote/{made['id']}/source").json["received"] == 10
