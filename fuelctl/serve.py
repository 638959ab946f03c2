# SPDX-License-Identifier: GPL-3.0-or-later
"""One running control plane.

`run(None)` is the embedded server of one user on a Unix socket; `run("HOST:PORT")` serves TCP, where everybody brings
a token. On SQLite one process does everything; on Postgres there are several, each with one job (`serving.crew`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from fuelctl import _docker_engine, _server_log, config, paths
from fuelctl._shared import _unix_socket
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.config import Settings
from fuelctl.server.address import check_proxies
from fuelctl.serving.begin import (
    check_address,
    check_files,
    only_one,
    open_the_door,
    prepare_team,
    say,
    understand,
)
from fuelctl.serving.plane import ControlPlane, core_of
from fuelctl.serving.web import EmbeddedServer, WebServer

_LOCK_SECONDS = 30.0
_GRACE_SECONDS = 5


def run(
    bind: str | None = None,
    *,
    database: str | None = None,
    processes: int | None = None,
    patience: float = 0.0,
    begins: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve until told to stop. FuelError when it cannot begin: another one runs, or the state cannot be written.

    :param database: a URL, in place of setting `database`.
    :param processes: that serve HTTP, in place of setting `processes`; more than one only on Postgres.
    :param patience: seconds to wait for a server that is just ending.
    :param begins: told where it will listen, when nothing is in its way.
    """
    settings = _settings(database, processes)
    if bind:
        # Before anything else is looked at: what is no address is none whoever runs.
        understand(bind)
    _server_log.begin(settings.log_format or ("json" if bind else "text"))
    paths.private_folder(paths.state_folder())
    _unix_socket.require_private(str(paths.private_folder(paths.server_socket().parent)))
    paths.require_space()
    with_lock = only_one(bind or str(paths.server_socket()), patience)
    try:
        # Said here, in the process that the caller waits for, and not in a worker that is started again and again.
        if bind:
            check_address(bind)
        check_files(settings)
        core = core_of(settings)
        core.database.migrate()
        if not core.database.is_sqlite:
            prepare_team(core)
        check_proxies(settings.trusted_proxies)
        if bind:
            open_the_door(core)
        # Nothing of it survives the fork.
        core.database.close()
        os.umask(0o077)
        _docker_engine.pin(os.environ)
        begins(bind or f"unix:{paths.server_socket()}")
        if bind and not core.database.is_sqlite:
            from fuelctl.serving.crew import Crew

            Crew(bind, settings).run()
        else:
            _alone(bind, settings).run()
    finally:
        os.close(with_lock)


def _alone(bind: str | None, settings: Settings) -> WebServer:
    make = partial(ControlPlane, settings, embedded=bind is None)
    place = bind or str(paths.server_socket())
    kind, at = (WebServer, bind) if bind else (EmbeddedServer, f"unix:{place}")
    return kind(make, settings, at=at, place=place, processes=1, grace=_GRACE_SECONDS)


def _settings(database: str | None, processes: int | None) -> Settings:
    settings = config.load()
    if database is not None:
        settings = replace(settings, database=database)
    if processes is not None:
        settings = replace(settings, processes=processes)
    url = settings.database
    try:
        sqlite = not url or make_url(url).get_backend_name() == "sqlite"
        known = sqlite or make_url(url).drivername == "postgresql+psycopg"
    except ArgumentError:
        sqlite = known = False
    if not known:
        # It may have a password in it: it is not repeated.
        raise UsageError(
            "the database's URL is neither SQLite's nor Postgres's",
            where="control_plane.database" if database is None else "--database",
            hint="for example postgresql+psycopg://fuel@db.example.org/fuel",
            code="bad_settings",
        )
    if sqlite and processes is not None and processes != 1:
        raise UsageError(
            "on SQLite one process does everything", where="--processes", hint="name a Postgres with --database"
        )
    return settings


def main() -> int:
    """`python -m fuelctl.serve`: the embedded server; a failure to start is one line on stderr."""
    try:
        run(None, patience=_LOCK_SECONDS)
    except FuelError as error:
        say(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
