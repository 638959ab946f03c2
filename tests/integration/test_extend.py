# SPDX-License-Identifier: GPL-3.0-or-later
"""An extension reaches the watchdog on the machine, by the real playbook, before the lease moves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from fuelctl import paths
from fuelctl._shared._docker import Docker
from fuelctl._shared._identity import container_names
from fuelctl._shared._watchdog import container_name, deadline
from fuelctl.config import Settings
from fuelctl.environments import registry
from fuelctl.environments.core import Core
from fuelctl.environments.journal import Journal
from fuelctl.environments.registry import NewEnvironment
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.secrets import Safe
from fuelctl.workflows.extend import move_deadline
from fuelctl.workflows.run import Plant

from .machine import Environment, ansible, docker

pytestmark = pytest.mark.docker
#: Seconds: none of it is over before this is, on a busy machine either.
_LEASE = 900


class Product:
    """The API over a real store and the real playbook; one ready environment on the real engine."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        database = Database(sqlite_url(paths.database_file()))
        database.migrate()
        self.core = Core(database, Safe(paths.secret_key_file()))
        move = partial(move_deadline, Plant(self.core))
        app = create_app(Parts(self.core, lambda *_: None, Settings(), move))
        self.http: FlaskClient = app.test_client()
        row = registry.create(
            self.core, NewEnvironment({"name": "local"}, {"image": "debian:bookworm"}, {}, _LEASE, "integration", "it")
        )
        environment.id, environment.names = row.id, container_names(row.id)
        operation = registry.begin_provisioning(self.core, row.id)
        assert operation is not None
        made = environment.up(expires_at=row.expires_at)
        results = {"connection": made.environment, "agent": None, "resources": [], "conditions": [], "provider": {}}
        Journal.open(self.core, row.id, operation).ready(results)
        self.path = f"/api/remote/{row.id}"

    def extend(self, seconds: int) -> Any:
        return self.http.post(f"{self.path}/extend", json={"ttl_seconds": seconds})

    def lease(self) -> float:
        with self.core.database.read() as session:
            return registry.resolve(session, self.environment.id).expires_at

    def watchdog(self) -> float:
        engine = Docker()
        (found,) = engine.inspect([container_name(self.environment.names.container)], kind="container")
        return deadline(engine, found)


@pytest.fixture
def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    monkeypatch.setenv("FUELCTL_HOME", str(tmp_path / "home"))
    environment = Environment(tmp_path / "environment")
    try:
        yield Product(environment)
    finally:
        environment.end()


def test_an_extension_moves_lease_and_watchdog(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    first = product.lease()
    # Two at once: the longer one holds, in both places, whoever comes last.
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda s=s: answers.append(product.extend(s))) for s in (1800, 2700)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200, 200], [answer.json for answer in answers]
    extended = product.lease()
    assert extended > first + 900
    assert extended <= product.watchdog() < extended + 1
    # A repeat without a time of its own, or a shorter extension, keeps it.
    assert product.extend(5).status_code == 200
    assert product.lease() == pytest.approx(extended, abs=0.1)
    assert extended <= product.watchdog() < extended + 1

    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    refused = product.extend(7200)
    monkeypatch.delenv("DOCKER_HOST")
    assert refused.status_code == 503
    assert "was not extended" in refused.json["detail"]
    assert "\n" not in refused.json["detail"]
    assert refused.json["hint"]
    assert product.lease() == pytest.approx(extended, abs=0.1)
    assert extended <= product.watchdog() < extended + 1
    assert len(product.environment.left()) == 5


def test_without_a_watchdog_nothing_is_promised(product: Product) -> None:
    before = product.lease()
    name = container_name(product.environment.names.container)
    docker("stop", "-t", "0", name)
    answer = product.extend(3600)
    assert (answer.status_code, answer.json["code"]) == (503, "watchdog_stopped")
    assert answer.json["hint"] == f"docker start {name}"
    docker("rm", "-f", name)
    assert product.extend(3600).json["code"] == "no_watchdog"
    assert product.lease() == before


def test_the_module_foresees_and_repeats(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    try:
        soon = int(time.time()) + 600
        environment.up(expires_at=soon)

        def move(*options: str, **parameters: Any) -> dict[str, Any]:
            given = json.dumps({"environment_id": environment.id, **parameters})
            command = ["ansible", "localhost", "-m", "fuel_code.remote.watchdog", "-a", given, *options]
            settings = {"ANSIBLE_LOAD_CALLBACK_PLUGINS": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal"}
            done = ansible(*command, collections=tmp_path / "c", home=tmp_path, **settings)
            result: dict[str, Any] = json.loads(done.stdout.partition("=> ")[2])
            return result

        assert move("--check", expires_at=soon + 60)["changed"]
        assert move(expires_at=soon + 60)["expires_at_before"] == soon
        assert not move(expires_at=soon + 60)["changed"]
        kept = move(expires_at=soon, only_later=True)
        assert (kept["changed"], kept["expires_at"]) == (False, soon + 60)
        assert move(expires_at=soon)["changed"]
        assert move(expires_at=soon, attempt=2)["error"]["code"] == "no_watchdog"
    finally:
        environment.end()
