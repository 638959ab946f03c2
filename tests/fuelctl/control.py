# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the control plane share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuelctl import paths
from fuelctl.environments import registry
from fuelctl.environments.clock import Now
from fuelctl.environments.core import Core
from fuelctl.environments.registry import NewEnvironment
from fuelctl.store import checks, environments, events
from fuelctl.store.checks import Check
from fuelctl.store.database import sqlite_url
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.engine import Engine
from fuelctl.workflows.run import Plant


class HandClock:
    """A clock that moves when the test says so."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.boottime = 5_000.0
        self.boot_id = "boot-1"

    def __call__(self) -> Now:
        return Now(self.wall, self.boot_id, self.boottime)

    def pass_(self, seconds: float) -> None:
        """Real time goes by."""
        self.wall += seconds
        self.boottime += seconds


def wanted(**fields: Any) -> NewEnvironment:
    """A request with everything that a test does not care about."""
    given: dict[str, Any] = {
        "provider": {"name": "local", "options": {}},
        "blueprint": {"image": "debian"},
        "repository": {"name": "app"},
        "ttl_seconds": 3600,
        "owner": "me",
    }
    return NewEnvironment(**{**given, **fields})


def check_of(core: Core, environment_id: str) -> Check:
    """When it is looked at, and what was decided about it."""
    with core.database.read() as session:
        return checks.get(session, environment_id)


PLAYBOOKS = Path(__file__).parent / "playbooks"
CANARY = "canary-4711-never-show"


class Lab:
    """A control plane without HTTP."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.plant = Plant(core, playbooks={verb: str(PLAYBOOKS / f"{verb}.yml") for verb in ("up", "down", "rescue")})
        self.engine = Engine(self.plant, sqlite_url(paths.workflows_file()))
        self.engine.launch()
        self.world = paths.state_folder() / "world"

    def up(self, **fields: Any) -> str:
        row = registry.create(self.core, wanted(**fields))
        operation_id = registry.begin_provisioning(self.core, row.id)
        assert operation_id is not None
        self.engine.start("provision", row.id, operation_id)
        return row.id

    def down(self, environment_id: str, *, discard: bool = False) -> None:
        _row, operation_id = registry.begin_termination(self.core, environment_id, discard=discard, by="user")
        if operation_id is not None:
            self.engine.start("terminate", environment_id, operation_id)

    def row(self, environment_id: str) -> EnvironmentRow:
        with self.core.database.read() as session:
            row = environments.get(session, environment_id)
        assert row is not None
        return row

    def wait(self, environment_id: str, until: Callable[[EnvironmentRow], bool]) -> EnvironmentRow:
        end = time.monotonic() + 240
        while time.monotonic() < end:
            row = self.row(environment_id)
            if until(row):
                return row
            time.sleep(0.05)
        raise AssertionError(f"still {row.status} {row.operation} {row.conditions} {self.types(environment_id)}")

    def settled(self, environment_id: str) -> EnvironmentRow:
        row = self.wait(environment_id, lambda row: row.operation_id is None)
        end = time.monotonic() + 240
        while self.engine.running() and time.monotonic() < end:
            time.sleep(0.02)
        return row

    def told(self, environment_id: str) -> list[Any]:
        with self.core.database.read() as session:
            return events.after(session, 0, environment_id=environment_id, limit=10_000)

    def types(self, environment_id: str) -> list[str]:
        return [event.type for event in self.told(environment_id)]

    def containers(self) -> list[str]:
        return sorted(item.name for item in self.world.glob("fuel-code-*")) if self.world.exists() else []
