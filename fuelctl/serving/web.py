# SPDX-License-Identifier: GPL-3.0-or-later
"""gunicorn, configured by us alone: no file, no environment variable, no command line."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from fuelctl import __version__, _docker_engine, _environ, _run_files, _server_log, paths
from fuelctl.config import Settings
from fuelctl.server import metrics
from fuelctl.server.app import create_app
from fuelctl.serving.begin import say, settle, why_not
from fuelctl.serving.plane import Plane
from fuelctl.serving.worker import PatientWorker

#: Of one process, at whatever they are: most of a crowd is slow, or does not mean well.
_CONNECTIONS = 4000
#: For playbooks that were told to stop, to be gone.
_LAST_SECONDS = 2.0
_logger = logging.getLogger(__name__)


class WebServer(BaseApplication):
    """HTTP over a `Plane` that `make` makes in each worker, after the fork: threads and connections survive none.

    :param at: what to bind: `HOST:PORT`, `unix:PATH`, or `fd://N` for a socket that listens already.
    :param place: that address in a person's words.
    :param grace: seconds for requests under way when it is to end.
    """

    def __init__(
        self, make: Callable[[], Plane], settings: Settings, *, at: str, place: str, processes: int, grace: int
    ) -> None:
        self._make = make
        self._settings = settings
        self._at = at
        self._place = place
        self._processes = processes
        self._grace = grace
        self._plane: Plane | None = None
        self._booted = False
        self._logs_to_file = False
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": self._at,
            "umask": 0o177,
            "workers": self._processes,
            "worker_class": PatientWorker,
            "worker_connections": _CONNECTIONS,
            "threads": self._settings.threads,
            "timeout": 120,
            "graceful_timeout": self._grace,
            "keepalive": 2,
            "limit_request_line": 8190,
            "loglevel": "warning",
            "control_socket_disable": True,
            "proc_name": "fuelctl-server",
            "when_ready": self._on_ready,
            "worker_int": self._on_stop,
            "worker_exit": self._on_exit,
            "post_worker_init": self._on_worker,
            "child_exit": self._on_dead,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if self._logs_to_file:
            _server_log.rotate(self._settings.max_log_bytes)
        try:
            self._plane = self._make()
            app = create_app(self._plane.parts())
            self._plane.start()
            _logger.info("fuelctl %s serves %s", __version__, self._place)
        except Exception as error:
            # gunicorn's parent process ends when a worker cannot begin; this line is what the caller gets to see.
            say(why_not(error))
            raise
        return app

    def _on_ready(self, arbiter: Any) -> None:
        if self._at.startswith("fd://"):
            # Whoever made the socket removes it: gunicorn would, though it is about to be begun again.
            arbiter.systemd = True
        # gunicorn has made a handler of its own.
        _server_log.take_over()
        self._logs_to_file = _server_log.follow()

    def _on_worker(self, worker: Any) -> None:
        self._booted = True
        settle()
        original = worker.handle_exit

        def on_exit(*arguments: Any) -> None:
            self._on_stop(worker)
            original(*arguments)

        signal.signal(signal.SIGTERM, on_exit)

    def _on_dead(self, _arbiter: Any, worker: Any) -> None:
        metrics.forget(worker.pid)

    def _on_stop(self, _worker: Any) -> None:
        if self._plane is not None:
            self._plane.park()

    def _on_exit(self, _arbiter: Any, _worker: Any) -> None:
        if self._plane is not None:
            self._plane.park()
            # Children end with their life line; whoever would wait for threads here would wait for parked work.
            _run_files.leave_nothing(_LAST_SECONDS)
            sys.stderr.flush()
            os._exit(0 if self._booted else Arbiter.WORKER_BOOT_ERROR)


class EmbeddedServer(WebServer):
    """The server of one user, which says in a file who it is: commands that want it look there first."""

    def _on_ready(self, arbiter: Any) -> None:
        super()._on_ready(arbiter)
        document = {"pid": os.getpid(), "version": __version__, "bind": self._place}
        document["clouds"] = _environ.identities(os.environ)
        document["engine"] = _docker_engine.engine_of(os.environ)
        paths.server_stopped_file().unlink(missing_ok=True)
        paths.private_file(paths.server_file(), json.dumps(document).encode("utf-8"))
