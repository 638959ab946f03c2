# SPDX-License-Identifier: GPL-3.0-or-later
"""One running control plane: database, workflows, reaper and API, under gunicorn with one threaded worker.

`run(None)` is the embedded server of one user on a Unix socket; `run("HOST:PORT")` serves TCP, where everybody brings
a token.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from fuelctl import __version__, _docker_engine, _environ, _server_log, config, paths
from fuelctl._shared import _unix_socket
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.accounts.users import FIRST, let_somebody_in
from fuelctl.config import Settings
from fuelctl.environments.core import Core
from fuelctl.server.address import check_proxies
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store.database import Database, check_file, sqlite_url
from fuelctl.store.secrets import Safe
from fuelctl.webhooks import receivers
from fuelctl.webhooks.courier import Courier
from fuelctl.workflows import audit
from fuelctl.workflows.access import authorize
from fuelctl.workflows.engine import Engine
from fuelctl.workflows.extend import move_deadline
from fuelctl.workflows.housekeeping import Housekeeper
from fuelctl.workflows.observer import Observer
from fuelctl.workflows.reaper import Reaper
from fuelctl.workflows.run import Plant

_logger = logging.getLogger(__name__)
_GRACE_SECONDS = 5
_ASK_EVERY = 0.1
_LOCK_SECONDS = 30.0
_LAST_PORT = 65535


class ControlPlane:
    """Everything below HTTP, in one process. `start` is what the API is handed."""

    def __init__(self, settings: Settings) -> None:
        paths.private_folder(paths.state_folder())
        self.settings = settings
        self.database = Database(settings.database or sqlite_url(paths.database_file()))
        self.database.migrate()
        self.core = Core(self.database, Safe(settings.key_file()))
        self.plant = Plant(
            self.core, settings.callback_url, settings.max_source_bytes, _docker_engine.engine_of(os.environ)
        )
        self.engine = Engine(self.plant, settings.database or sqlite_url(paths.workflows_file()))
        housekeeper = Housekeeper(self.core, self.engine, settings.keep_days)
        self.courier = Courier(self.core, receivers.load(settings))
        self.observer = Observer(self.plant, self.engine, settings.observe_seconds)
        self.reaper = Reaper(
            self.core,
            self.engine,
            settings.reaper_seconds,
            housekeeper.daily,
            look=self.observer.soon,
            period=settings.observe_seconds,
            companion=self.courier,
        )
        self.observer.then = self.reaper.soon
        self._closing = threading.Event()
        self._draining = threading.Event()

    def start(self) -> None:
        """Take up what was in flight, then look at everything."""
        self.engine.launch()
        self.reaper.start()
        self.observer.start()

    def parts(self, *, embedded: bool) -> Parts:
        """What the API works with."""
        return Parts(
            core=self.core,
            start=self.engine.start,
            settings=self.settings,
            move_deadline=partial(move_deadline, self.plant),
            authorize=partial(authorize, self.plant),
            embedded=embedded,
            stop=self._stop,
            stopping=self._closing.is_set,
            engine=self.plant.engine,
            draining=self._draining.is_set,
            operations=self.engine.running,
            look=self.observer.soon,
            reap=lambda: asdict(self.reaper.cycle()),
            audit=partial(audit.look, self.plant),
            auditable=audit.providers,
            webhooks=self.courier.state,
            try_webhooks=self.courier.try_out,
        )

    def park(self) -> None:
        """Stop work where it is, children included; the next process resumes it."""
        self._closing.set()
        self.plant.parking.set()
        self.core.bell.ring()

    def _stop(self, wait_seconds: float) -> list[str]:
        """Drain, then ask gunicorn's parent process to end us all."""
        waiting = self.engine.running()
        if not self._draining.is_set():
            self._draining.set()
            threading.Thread(target=self._drain, args=(wait_seconds,), name="drain", daemon=True).start()
        return waiting

    def _drain(self, wait_seconds: float) -> None:
        end = time.monotonic() + wait_seconds
        # At least one turn, so that the answer to the request that asks for this gets out.
        time.sleep(_ASK_EVERY)
        while self.engine.running() and time.monotonic() < end:
            time.sleep(_ASK_EVERY)
        os.kill(os.getppid(), signal.SIGTERM)


class _Server(BaseApplication):
    """gunicorn, configured by us alone: no file, no environment variable, no command line."""

    def __init__(self, bind: str | None, settings: Settings) -> None:
        self._bind = bind
        self._settings = settings
        self._plane: ControlPlane | None = None
        self._booted = False
        self._logs_to_file = False
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": self._bind or f"unix:{paths.server_socket()}",
            "umask": 0o177,
            "workers": 1,
            "worker_class": "gthread",
            "threads": self._settings.threads,
            "timeout": 120,
            "graceful_timeout": _GRACE_SECONDS,
            "keepalive": 2,
            "limit_request_line": 8190,
            "loglevel": "warning",
            "control_socket_disable": True,
            "proc_name": "fuelctl-server",
            "when_ready": self._on_ready,
            "worker_int": self._on_stop,
            "worker_exit": self._on_exit,
            "post_worker_init": self._on_worker,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """In the worker, after the fork: threads and connections do not survive one."""
        if self._logs_to_file:
            _server_log.rotate(self._settings.max_log_bytes)
        try:
            self._plane = ControlPlane(self._settings)
            app = create_app(self._plane.parts(embedded=self._bind is None))
            self._plane.start()
            _logger.info("fuelctl %s serves %s", __version__, self._bind or paths.server_socket())
        except Exception as error:
            # gunicorn's parent process ends when a worker cannot begin; this line is what the caller gets to see.
            _say(_why_not(error))
            raise
        return app

    def _on_ready(self, _arbiter: Any) -> None:
        self._logs_to_file = _server_log.follow()
        document = {"pid": os.getpid(), "version": __version__, "bind": self._bind or str(paths.server_socket())}
        document["cloud"] = _environ.identity(os.environ)
        document["engine"] = _docker_engine.engine_of(os.environ)
        if self._bind is None:
            paths.server_stopped_file().unlink(missing_ok=True)
            paths.private_file(paths.server_file(), json.dumps(document).encode("utf-8"))

    def _on_worker(self, worker: Any) -> None:
        self._booted = True
        original = worker.handle_exit

        def on_exit(*arguments: Any) -> None:
            self._on_stop(worker)
            original(*arguments)

        signal.signal(signal.SIGTERM, on_exit)

    def _on_stop(self, _worker: Any) -> None:
        if self._plane is not None:
            self._plane.park()

    def _on_exit(self, _arbiter: Any, _worker: Any) -> None:
        if self._plane is not None:
            self._plane.park()
            # Children end with their life line; whoever would wait for threads here would wait for parked work.
            sys.stderr.flush()
            os._exit(0 if self._booted else Arbiter.WORKER_BOOT_ERROR)


def run(bind: str | None = None, *, patience: float = 0.0) -> None:
    """Serve until told to stop. FuelError when it cannot begin: another one runs, or the state cannot be written.

    :param patience: seconds to wait for a server that is just ending.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = config.load()
    paths.private_folder(paths.state_folder())
    _unix_socket.require_private(str(paths.private_folder(paths.server_socket().parent)))
    paths.require_space()
    with_lock = _only_one(bind or str(paths.server_socket()), patience)
    try:
        # Said here, in the process that the caller waits for, and not in a worker that is started again and again.
        if bind:
            _check_address(bind)
        _check_files(settings)
        database = Database(settings.database or sqlite_url(paths.database_file()))
        database.migrate()
        safe = Safe(settings.key_file())
        check_proxies(settings.trusted_proxies)
        if bind:
            _let_somebody_in(Core(database, safe))
        # Nothing of it survives the fork.
        database.close()
        os.umask(0o077)
        _docker_engine.pin(os.environ)
        _Server(bind, settings).run()
    finally:
        os.close(with_lock)


def _check_address(bind: str) -> None:
    """FuelError when nothing can listen at `HOST:PORT` or `unix:PATH`: gunicorn tries for seconds."""
    where = "--bind"
    if bind.startswith("unix:"):
        folder = Path(bind.removeprefix("unix:")).parent
        if not folder.is_dir():
            raise FuelError(f"cannot listen at {bind}: there is no folder {folder}", hint="make it first", where=where)
        return
    host, _colon, port = bind.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise UsageError(f"{bind[:200]!r} is no address", where=where, hint="give HOST:PORT, or unix:PATH")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        family, kind, protocol, _name, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = "choose an address of this machine, and a port that is free and yours to take"
        raise FuelError(f"cannot listen at {bind}: {reason}", hint=hint, where=where, code="cannot_listen") from error


def _check_files(settings: Settings) -> None:
    """FuelError when something else is where our own files belong."""
    if not settings.database:
        check_file(paths.database_file())
        check_file(paths.workflows_file())
    file = paths.server_socket()
    if file.exists() and not file.is_socket():
        raise FuelError("it is not a socket", hint="move it away", where=str(file), code="state_unusable")


def _only_one(bind: str, patience: float) -> int:
    """The lock of this user's server: inherited by the worker, so it is held until that one has ended too."""
    file = paths.server_instance_lock()
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise paths.storage_error(error, file) from error
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(descriptor)
            # One that serves another address is not about to make way.
            if time.monotonic() >= end or holder.get("bind") not in (None, bind):
                os.close(descriptor)
                raise _already_running(holder) from error
            time.sleep(_ASK_EVERY)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "bind": bind}).encode("utf-8"), 0)
            return descriptor


def _holder(descriptor: int) -> dict[str, Any]:
    """What the server that holds the lock wrote about itself."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _already_running(holder: dict[str, Any]) -> FuelError:
    pid, bind = holder.get("pid"), holder.get("bind")
    where = f" (process {pid}, at {bind})" if pid and bind else ""
    embedded = bind in (None, str(paths.server_socket()))
    return FuelError(
        f"another server of this user is running{where}",
        hint="fuelctl server stop" if embedded else f"end it first: kill {pid}",
        code="already_running",
    )


def _why_not(error: Exception) -> FuelError:
    """The one line for a control plane that could not begin."""
    if isinstance(error, FuelError):
        return error
    full = paths.disk_full()
    if full is not None:
        return full
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return FuelError(
        f"the control plane cannot begin: {lines[0]}", hint=f"see {paths.server_log()}", code="server_start_failed"
    )


def _say(error: FuelError) -> None:
    """The line that `serve_start` reads out of the log."""
    sys.stderr.write(f"error: {json.dumps(error.as_dict())}\n")
    sys.stderr.flush()


def _let_somebody_in(core: Core) -> None:
    """A server without an admin who could come in makes a token for one; only where it lies is said."""
    file = paths.server_token_file()
    if let_somebody_in(core, file):
        sys.stderr.write(f"A token for user {FIRST} is in {file}; use it: fuelctl login URL --token-file {file}\n")
        sys.stderr.flush()


def main() -> int:
    """`python -m fuelctl.serve`: the embedded server; a failure to start is one line on stderr."""
    try:
        run(None, patience=_LOCK_SECONDS)
    except FuelError as error:
        _say(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
