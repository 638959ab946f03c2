# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane with many environments.

100,000 live environments, each of them with what a day's work leaves on its row; on SQLite, as on a laptop, and on a
Postgres of its own on this machine.

- **tick**: one round of the reaper when 500 of them are due and go on living: read, decided, recorded.
- **idle tick**: one when nothing is due, which is what nearly every round is.
- **events**: batches of 100 as an environment's agent tells them, from one thread, taken in.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from fuelctl import paths
from fuelctl.environments import activity, idle_work, registry
from fuelctl.environments.core import Core
from fuelctl.environments.registry import NewEnvironment
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.events import NewEvent
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.secrets import Safe
from fuelctl.store.ulids import new_ulid
from fuelctl.workflows.reaper import Reaper
from tests.bench._harness import Figure, Group, table
from tests.fuelctl import databases

MANY = 100_000
DUE = 500
TICKS = 11
BATCHES = 60
BATCH = 100
SAMPLE = {"clock": 0, "uptime": 1.0, "boot": "b", "cpu": 1.0, "terminals": {}, "connections": {}, "agents": 0}


class _Idle:
    """The engine of a control plane that has nothing to do."""

    def running(self) -> list[str]:
        return []


def measure() -> Group:
    figures: list[Figure] = []
    rows: list[tuple[object, ...]] = []
    for name, database in (("sqlite", _sqlite), ("postgres", _postgres)):
        with database() as opened:
            core = Core(opened, Safe(paths.secret_key_file()))
            ids = _fill(core)
            engine: Any = _Idle()
            reaper = Reaper(core, engine, 60)
            reaper.cycle()
            busy = [_timed(partial(_due, core, ids), reaper.cycle) * 1000 for _turn in range(TICKS)]
            idle = [_timed(lambda: None, reaper.cycle) * 1000 for _turn in range(TICKS)]
            told = [_timed(lambda: None, partial(_tell, core, ids[0])) for _turn in range(BATCHES)]
        rate = BATCH / statistics.median(told)
        figures += [
            Figure(f"reaper_tick_500_due_{name}_ms", statistics.median(busy), 50.0, "ms", TICKS),
            Figure(f"reaper_idle_tick_{name}_ms", statistics.median(idle), 5.0, "ms", TICKS),
            Figure(f"events_taken_in_{name}_per_s", rate, 5000.0, "/s", BATCHES, better="higher"),
        ]
        rows.append(
            (name, *(f"{value:.1f}" for value in (statistics.median(busy), max(busy), max(idle))), f"{rate:.0f}")
        )
    heads = ("database", "tick with 500 due, median ms", "slowest", "slowest idle tick", "events a second")
    return Group(figures=figures, details=table(heads, rows))


@contextmanager
def _home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fuel-code-bench-") as folder:
        before = os.environ.get("FUELCTL_HOME")
        os.environ["FUELCTL_HOME"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("FUELCTL_HOME") if before is None else os.environ.update(FUELCTL_HOME=before)


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    database.migrate()
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _sqlite() -> Iterator[Database]:
    with _home(), _opened(sqlite_url(paths.database_file())) as database:
        yield database


@contextmanager
def _postgres() -> Iterator[Database]:
    with _home(), contextmanager(databases.cluster)() as url, _opened(url) as database:
        yield database


def _fill(core: Core) -> list[str]:
    """One environment made as usual, observed once, and its row as often as it takes."""
    wanted = NewEnvironment(
        provider={"name": "local", "options": {}},
        blueprint={"image": "node:22-bookworm", "setup": ["npm ci"], "ports": [3000], "env": {"A": "1"}},
        repository={"name": "app", "branch": "main", "commit": "0" * 40},
        ttl_seconds=8 * 3600,
        idle_seconds=1800,
        owner="bench",
    )
    first = registry.create(core, wanted)
    now = core.clock()
    with core.write() as session:
        row = session.get_one(EnvironmentRow, first.id)
        row.status, row.ready_at, row.operation, row.operation_id = "ready", now.wall, None, None
        row.activity = idle_work.observed(row, {**SAMPLE, "clock": int(now.wall)}, None, now, 60.0)["activity"]
        row.check_at = now.wall + 3600
    columns = EnvironmentRow.__table__
    with core.write() as session:
        given = dict(session.execute(select(columns).where(columns.c.id == first.id)).mappings().one())
        ids = [new_ulid(now.wall) for _each in range(MANY - 1)]
        for begin in range(0, len(ids), 5000):
            rows = [{**given, "id": one, "name": f"e{begin + n}"} for n, one in enumerate(ids[begin : begin + 5000])]
            session.execute(insert(EnvironmentRow), rows)
    return [first.id, *ids]


def _due(core: Core, ids: list[str]) -> None:
    with core.write() as session:
        some = ids[:: len(ids) // DUE][:DUE]
        session.execute(update(EnvironmentRow).where(EnvironmentRow.id.in_(some)).values(check_at=0.0))


def _tell(core: Core, environment_id: str) -> None:
    now = core.clock().wall
    told = [NewEvent("tool.end", {"session": "s", "tool": "Bash"}, now, new_ulid(now)) for _each in range(BATCH)]
    with core.write(durable=False) as session:
        activity.take_in(core, session, environment_id, told)


def _timed(prepare: Callable[[], object], work: Callable[[], object]) -> float:
    prepare()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
