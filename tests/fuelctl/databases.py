# SPDX-License-Identifier: GPL-3.0-or-later
"""A database of each kind, for tests that hold on both."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from fuelctl import paths
from fuelctl.store import database as database_module
from fuelctl.store.database import Database, sqlite_url
from tests.ports import free_port

#: In this process nobody is taken for dead: that on a busy machine something stands still for a while is no failure.
database_module.ALIVE["connect_timeout"] = 60
database_module.IDLE_TRANSACTION = 60.0

#: Debian keeps the server's programs out of PATH.
INITDB = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


KINDS = ("sqlite", "postgres")


class Cluster:
    """A throw-away Postgres on a Unix socket, and on `port` of this machine when there is one."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        found = shutil.which("initdb") or next((str(path) for path in reversed(INITDB)), None)
        if found is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("no Postgres server is installed")
        self._tools = Path(found).parent
        self.port = port or 0
        self._folder = folder
        self._data = folder / "data"
        self._become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if _is_root() else []
        if self._become:
            shutil.chown(folder, "postgres", "postgres")
        listen = "127.0.0.1" if port else "''"
        self._options = f"-c listen_addresses={listen} -c unix_socket_directories={folder} -c fsync=off"
        self._options += f" -c port={port}" if port else ""
        self.url = f"postgresql+psycopg://fuel@/postgres?host={folder}" + (f"&port={port}" if port else "")
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "fuel", "-E", "UTF8", "--locale=C", "-N")

    def start(self) -> None:
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "300", "-l", log, "-o", self._options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "-t", "300", "stop")

    def _run(self, tool: str, *arguments: str) -> None:
        command = [*self._become, str(self._tools / tool), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=self._folder)
        assert done.returncode == 0, done.stderr


@contextmanager
def own_cluster() -> Iterator[Cluster]:
    """One that a test may stop and start, and reach by TCP."""
    with tempfile.TemporaryDirectory(prefix="fuel-pg-") as name:
        made = Cluster(Path(name), free_port())
        made.start()
        try:
            yield made
        finally:
            made.stop()


def cluster() -> Iterator[str]:
    """The URL of a throw-away Postgres cluster, on a Unix socket."""
    # Not below pytest's folders, which nobody but root may enter: Postgres refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="fuel-pg-") as name:
        made = Cluster(Path(name))
        made.start()
        yield made.url
        made.stop()


@contextmanager
def database_of(postgres: str, name: str) -> Iterator[Database]:
    """An empty database of that name in the session's cluster."""
    cluster = Database(postgres)
    with cluster.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    cluster.close()
    database = Database(make_url(postgres).set(database=name).render_as_string(hide_password=False))
    try:
        yield database
    finally:
        database.close()


def _is_root() -> bool:
    return os.getuid() == 0


def of_kind(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated, empty database of the kind that the fixture's parameter names."""
    if request.param == "sqlite":
        made = Database(sqlite_url(paths.database_file()))
        made.migrate()
    else:
        made = Database(request.getfixturevalue("postgres"))
        with made.engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        made.migrate()
    yield made
    made.close()
