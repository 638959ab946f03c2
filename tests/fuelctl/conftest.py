# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test has a home of its own: nothing of the user's is read or written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from fuelctl import paths
from fuelctl.__main__ import run
from fuelctl.environments.core import Core
from fuelctl.server import parts as parts_module
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.secrets import Safe
from tests.fuelctl import databases
from tests.fuelctl import stage as stage_module
from tests.fuelctl.accounts import Team
from tests.fuelctl.accounts import team as make_team
from tests.fuelctl.api import SMALL, Started
from tests.fuelctl.control import HandClock
from tests.fuelctl.stage import Done, Stage, repository


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FUELCTL_HOME of this test; whatever cloud its shell knows is nothing to it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("FUELCTL_HOME", str(folder))
    return folder


@pytest.fixture
def clock() -> HandClock:
    """A clock in the test's hand."""
    return HandClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a cluster of this session's own."""
    yield from databases.cluster()


@pytest.fixture
def database() -> Iterator[Database]:
    """A migrated SQLite database."""
    made = Database(sqlite_url(paths.database_file()))
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def core(database: Database, clock: HandClock) -> Core:
    """The parts below server and workflows, on the test's clock."""
    return Core(database, Safe(paths.secret_key_file()), clock=clock)


@pytest.fixture
def started() -> Started:
    """What the API asked to be started."""
    return Started()


@pytest.fixture
def http(core: Core, started: Started) -> Iterator[FlaskClient]:
    """The API on the test's clock, with small bounds; nothing that it starts runs."""
    with create_app(Parts(core, started, SMALL)).test_client() as client:
        yield client


@pytest.fixture
def team(core: Core, started: Started, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A server with an admin, two members and a viewer; nobody is held up for failing."""
    monkeypatch.setattr(parts_module, "FAILURES", 1000.0)
    return make_team(core, started)


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command's output depends on, of this machine's user."""
    monkeypatch.setenv("FUELCTL_SSH_CONFIG", str(tmp_path / "ssh" / "config"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FUELCTL_SERVER_URL", raising=False)


@pytest.fixture
def fuelctl(surroundings: None, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in this process: `fuelctl("ls", "--json")` gives a Done."""

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        code = run(list(arguments))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Done(code, captured.out, captured.err)

    return call


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A control plane over HTTP, workflows played by the test."""
    with stage_module.stage() as made:
        yield made


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with a blueprint, under a name that is no environment's."""
    return repository(tmp_path / "My Shop")


@pytest.fixture
def git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git's settings are this test's own."""
    settings = tmp_path / "gitconfig"
    settings.write_text('[user]\nname = Ada L\nemail = ada@example.com\n[protocol "file"]\nallow = always\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
