# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane with many environments, for the benchmarks of what it costs to have them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import insert, select, text
from sqlalchemy.engine import make_url

from fuelctl import _supervise, paths
from fuelctl.environments import idle_work, registry
from fuelctl.environments.core import Core
from fuelctl.environments.registry import NewEnvironment
from fuelctl.store import checks
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.models import CheckRow, EnvironmentRow
from fuelctl.store.ulids import new_ulid
from tests.fuelctl import databases

#: Fewer, while a benchmark is being written.
MANY = int(os.environ.get("FUEL_BENCH_ENVIRONMENTS", "100000"))
_TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE = {
    "clock": 0,
    "uptime": 1.0,
    "boot": "b",
    "cpu": 1.0,
    "terminals": {"0": 5},
    "connections": {"81": 118},
    "agents": 0,
}


@contextmanager
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fuel-code-bench-") as folder:
        before = os.environ.get("FUELCTL_HOME")
        os.environ["FUELCTL_HOME"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("FUELCTL_HOME") if before is None else os.environ.update(FUELCTL_HOME=before)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    database.migrate()
    try:
        yield database
    finally:
        database.close()


@contextmanager
def on_sqlite() -> Iterator[Database]:
    with home(), opened(sqlite_url(paths.database_file())) as database:
        yield database


@contextmanager
def on_postgres() -> Iterator[Database]:
    with home(), contextmanager(databases.cluster)() as url, opened(url) as database:
        yield database


def fill(core: Core) -> list[str]:
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
        checks.put(session, row.id, {"check_at": now.wall + 3600})
    columns = EnvironmentRow.__table__
    with core.write() as session:
        given = dict(session.execute(select(columns).where(columns.c.id == first.id)).mappings().one())
        ids = [new_ulid(now.wall) for _each in range(MANY - 1)]
        for begin in range(0, len(ids), 5000):
            rows = [{**given, "id": one, "name": f"e{begin + n}"} for n, one in enumerate(ids[begin : begin + 5000])]
            session.execute(insert(EnvironmentRow), rows)
            session.execute(
                insert(CheckRow), [{"environment_id": row["id"], "check_at": now.wall + 3600} for row in rows]
            )
    return [first.id, *ids]


def fill_log(core: Core, ids: list[str], count: int) -> None:
    """So many events of the past, of all of these environments in turn; on Postgres, which makes them itself."""
    statement = """
        INSERT INTO events (id, environment_id, at, type, data)
        SELECT '00' || lpad(n::text, 24, '0'), (CAST(:ids AS varchar[]))[1 + n % :many], 1000 + n * 0.001, 'tool.end',
               '{"session": "s", "tool": "Bash"}'
        FROM generate_series(1, :count) AS n
    """
    with core.database.write(durable=False) as session:
        session.execute(text(statement), {"ids": ids[:1000], "many": min(1000, len(ids)), "count": count})
    with core.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def postgres_of(url: str) -> list[int]:
    """Process ids of the Postgres at `url`, a cluster of the tests'; none for SQLite."""
    folder = make_url(url).query.get("host")
    if folder is None:
        return []
    first = int((Path(str(folder)) / "data" / "postmaster.pid").read_text().split()[0])
    return [first, *_supervise._descendants(first)]


def used(pids: Iterable[int]) -> float:
    """Processor seconds of these processes so far."""
    total = 0
    for pid in pids:
        try:
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(words[11]) + int(words[12])
    return total / _TICKS
