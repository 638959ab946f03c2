# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the HTTP API share."""

from __future__ import annotations

import json
from typing import Any

from flask.testing import FlaskClient

from fuelctl.config import Settings
from fuelctl.environments import registry
from fuelctl.environments.core import Core
from fuelctl.environments.journal import Journal
from fuelctl.store.secrets import CALLBACK_TOKEN

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
