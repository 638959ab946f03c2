# SPDX-License-Identifier: GPL-3.0-or-later
"""A database of each kind, for tests that hold on both."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from fuelctl import paths
from fuelctl.store.database import Database, sqlite_url

#: Debian keeps the server's programs out of PATH.
INITDB = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


KINDS = ("sqlite", "postgres")


def cluster() -> Iterator[str]:
    """The URL of a throw-away Postgres cluster, on a Unix socket."""
    found = shutil.which("initdb") or next((str(path) for path in reversed(INITDB)), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Postgres server is installed")
    tools = Path(found).parent
    # Not below pytest's folders, which nobody but root may enter: Postgres refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="fuel-pg-") as name:
        folder = Path(name)
        become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if _is_root() else []
        if become:
            shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"

        def run(*command: str) -> None:
            done = subprocess.run([*become, *command], check=False, capture_output=True, text=True, cwd=folder)
            assert done.returncode == 0, done.stderr

        run(str(tools / "initdb"), "-D", str(data), "-A", "trust", "-U", "fuel", "-E", "UTF8", "--locale=C", "-N")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run(str(tools / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        yield f"postgresql+psycopg://fuel@/postgres?host={folder}"
        run(str(tools / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")


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
