# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test has a home of its own: nothing of the user's is read or written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuelctl import paths
from fuelctl.environments.core import Core
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.secrets import Safe
from tests.fuelctl.control import HandClock


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
