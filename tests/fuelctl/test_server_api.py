# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP API over a real store: what is made, what is refused, and what the document says of it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from fuelctl import paths
from fuelctl.environments import registry
from fuelctl.environments.core import Core
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store import environments, idempotency
from tests.fuelctl.api import BODY, SMALL, Started, make, problem
from tests.fuelctl.control import HandClock


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
        "activity",
        "ended_by",
        "cost",
        "stages",
        "connection",
        "agent",
        "error",
        "receipt",
    }
    assert set(made["provider"]) == {"name", "type", "region", "address", "engine", "let_in"}
    assert set(made["lease"]) == {"ttl_seconds", "idle_seconds", "when_idle", "expires_at"}
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
    assert http.get("/api/remote").json["reaper"]["last_cycle_at"] is None


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
        "POST /api/remote/{ref}/power",
        "GET /api/remote/{ref}/volume",
        "POST /api/remote/{ref}/volume",
        "POST /api/remote/{ref}/volume/snapshots",
        "GET /api/users",
        "POST /api/users",
        "PATCH /api/users/{name}",
        "GET /api/tokens",
        "POST /api/tokens",
        "DELETE /api/tokens/{id}",
        "GET /api/whoami",
        "DELETE /api/whoami",
        "GET /api/workspaces",
        "POST /api/workspaces",
        "GET /api/devices",
        "POST /api/devices",
        "POST /api/events",
        "POST /api/remote/{ref}/authorize-key",
        "GET /api/rescues",
        "GET /api/rescues/{ref}",
        "DELETE /api/rescues/{ref}",
        "GET /api/rescues/{ref}/content",
        "GET /api/webhooks",
        "POST /api/webhooks/test",
        "GET /api/audit-log",
        "POST /api/audit",
        "POST /api/audit/adopt",
        "POST /api/remote",
        "GET /api/remote",
        "GET /api/remote/{ref}",
        "GET /api/remote/{ref}/decision",
        "GET /api/reaper",
        "POST /api/reaper/cycle",
        "POST /api/remote/{ref}/terminate",
        "POST /api/remote/{ref}/authorize-ip",
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
        "GET /api/server",
        "POST /api/server/stop",
        "GET /api/ws",
    }


def test_every_route_is_in_the_document(http: FlaskClient) -> None:
    served = http.get("/api/openapi.json").json["paths"]
    hidden = {"/api/openapi.json", "/metrics"}
    routes = {str(rule).replace("<", "{").replace(">", "}") for rule in http.application.url_map.iter_rules()}
    assert routes - hidden == set(served)
