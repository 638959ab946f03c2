# SPDX-License-Identifier: GPL-3.0-or-later
"""A second laptop's key opens a real environment, by the real playbook; nobody else's does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fuelctl import paths
from fuelctl._shared._identity import container_names
from fuelctl.config import Settings
from fuelctl.environments import registry
from fuelctl.environments.core import Core
from fuelctl.environments.journal import Journal
from fuelctl.environments.registry import NewEnvironment
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.secrets import Safe
from fuelctl.workflows.access import admit
from fuelctl.workflows.run import Plant

from .machine import Environment, docker

pytestmark = pytest.mark.docker


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    monkeypatch.setenv("FUELCTL_HOME", str(tmp_path / "home"))
    made = Environment(tmp_path / "environment")
    try:
        yield made
    finally:
        made.end()


def key(folder: Path, name: str) -> Path:
    file = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file


def test_a_second_laptop_is_let_in(environment: Environment, tmp_path: Path) -> None:
    database = Database(sqlite_url(paths.database_file()))
    database.migrate()
    core = Core(database, Safe(paths.secret_key_file()))
    http = create_app(Parts(core, lambda *_: None, Settings(), admit=partial(admit, Plant(core)))).test_client()
    new = NewEnvironment({"name": "local"}, {"image": "debian:bookworm"}, {}, 3600, "integration", "it")
    row = registry.create(core, new)
    environment.id, environment.names = row.id, container_names(row.id)
    operation = registry.begin_provisioning(core, row.id)
    assert operation is not None
    made = environment.up(expires_at=row.expires_at)
    results = {"connection": made.environment, "agent": None, "resources": [], "conditions": [], "provider": {}}
    Journal.open(core, row.id, operation).ready(results)
    second, stranger = key(tmp_path, "second"), key(tmp_path, "stranger")

    def enters(private: Path) -> bool:
        words = ["ssh", *environment.ssh_command("environment", "true", key=private)]
        return subprocess.run(words, capture_output=True, timeout=300, check=False).returncode == 0

    def let_in(private: Path) -> Any:
        body = {"public_key": Path(f"{private}.pub").read_text().strip()}
        return http.post(f"/api/remote/{row.id}/authorize-key", json=body)

    assert not enters(second)
    answer = let_in(second)
    assert answer.status_code == 200, answer.json
    assert (enters(second), enters(environment.key), enters(stranger)) == (True, True, False)
    # A repeat of the whole makes nothing of it undone, and lets nobody in twice.
    environment.up(expires_at=row.expires_at)
    third = key(tmp_path, "third")
    assert let_in(third).status_code == 200
    admit(Plant(core), row, Path(f"{second}.pub").read_text().strip())
    listed = docker("exec", environment.names.container, "cat", "/etc/fuel-code/authorized_keys").splitlines()
    assert len(listed) == len(set(listed)) == 4, "its own, the mark, and two"
    assert (enters(second), enters(third), enters(stranger)) == (True, True, False)
