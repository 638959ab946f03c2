# SPDX-License-Identifier: GPL-3.0-or-later
"""One worker of a team: takes what servers enqueue in Postgres, and plays the playbooks for it.

It works for as long as it is sure of its lock. When it is not (the database went away, others took it for dead), it
begins anew in the same process (`exec`): its playbooks end with their life lines, nothing that it still had in mind is
written, and whoever finds the old one's lock free takes its work up, this worker included.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from types import FrameType

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from fuelctl import __version__, _docker_engine, _run_files, _server_log, config, paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.config import Settings
from fuelctl.environments.core import Core
from fuelctl.store.bucket import rescues_in
from fuelctl.store.database import Database
from fuelctl.store.secrets import Safe, agree_on_key
from fuelctl.store.ulids import new_ulid
from fuelctl.workflows.engine import Engine
from fuelctl.workflows.enqueue import Enqueuer, prepare
from fuelctl.workflows.housekeeping import Tidier
from fuelctl.workflows.life import Life
from fuelctl.workflows.observer import Observer
from fuelctl.workflows.run import Plant
from fuelctl.workflows.work import VERSION

_logger = logging.getLogger(__name__)
#: Set in a worker that begins anew: nobody waits for its first word any more, and it waits for the database.
_ANEW = "FUELCTL_WORKER_ANEW"
_TICK = 0.2
#: How it is told to end.
_TOLD = (signal.SIGTERM, signal.SIGINT)
_PARK_SECONDS = 10.0
_LAST_SECONDS = 5.0


class Worker:
    """Everything below HTTP that plays playbooks. Told to end once, it finishes what is under way first, for a time;
    told twice, or when the time is over, it parks that, and others take it up.
    """

    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._url = url
        self._told = 0

    def run(self) -> None:
        """Work until told to end. FuelError when it cannot begin."""
        for number in _TOLD:
            signal.signal(number, self._on_signal)
        # What came while it began anew is heard now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD)
        anew = os.environ.pop(_ANEW, None) is not None
        if anew:
            _see_children_end()
        try:
            plant, engine, life = self._begin(patient=anew)
        except FuelError:
            if self._told:
                return
            raise
        while not self._told:
            time.sleep(_TICK)
            if life.lost:
                plant.parking.set()
                self._begin_anew()
        self._finish(plant, engine, life)

    def _begin(self, *, patient: bool) -> tuple[Plant, Engine, Life]:
        database = Database(self._url)
        while True:
            try:
                database.migrate()
                break
            except FuelError:
                if not patient or self._told:
                    raise
                time.sleep(_TICK)
        try:
            core = Core(database, Safe(self._settings.key_file()), bucket=rescues_in(self._settings))
            with database.migration_lock():
                prepare(self._url)
            agree_on_key(database, core.safe)
            return self._launched(core)
        except SQLAlchemyError as error:
            if patient:
                # It came back and went again.
                self._begin_anew()
            raise database.unusable(error) from error

    def _launched(self, core: Core) -> tuple[Plant, Engine, Life]:
        settings = self._settings
        worker_id = new_ulid(time.time())
        facts: dict[str, str | int] = {
            "id": worker_id,
            "host": socket.gethostname()[:255],
            "pid": os.getpid(),
            "version": __version__,
            "workflows": VERSION,
            "concurrency": settings.concurrency,
        }
        life = Life(self._url, facts)
        plant = Plant(
            core,
            settings.callback_url,
            settings.max_source_bytes,
            _docker_engine.engine_of(os.environ),
            lifelines=life.lifelines,
            slots=threading.Semaphore(settings.concurrency),
            starts_per_minute=settings.starts_per_minute,
            rescue_grace=settings.rescue_grace_seconds,
        )
        engine = Engine(plant, self._url, executor=worker_id)
        observer = Observer(plant, Enqueuer(core, self._url), settings.observe_seconds)
        engine.answers["observe"] = lambda _plant: observer.round()
        # Before any work is taken: it must be known whose it is.
        life.begin()
        engine.launch()
        life.look_after_others(engine.take_up)
        Tidier(core, settings.keep_days).start()
        _logger.info("worker %s is ready, %d playbooks at a time", worker_id, settings.concurrency)
        return plant, engine, life

    def _finish(self, plant: Plant, engine: Engine, life: Life) -> None:
        """Take nothing more; let what is under way end, or park it."""
        _logger.info("told to end; waiting for %d operations", len(engine.running()))
        life.drain()
        seconds = self._settings.drain_seconds
        drained = threading.Event()

        def drain() -> None:
            engine.drain(seconds + _PARK_SECONDS)
            drained.set()

        threading.Thread(target=drain, name="drain", daemon=True).start()
        end = time.monotonic() + seconds
        while not drained.is_set() and self._told < 2 and time.monotonic() < end:
            time.sleep(_TICK)
            if life.lost:
                # Others have its work already, and there is nothing to begin anew for.
                break
        if not drained.is_set():
            _logger.warning("parking %d operations", len(engine.running()))
            plant.parking.set()
            life.lifelines.wait(_PARK_SECONDS)
        # Before others take it up: what the last playbooks changed of keys is written back with their end.
        _run_files.leave_nothing(_LAST_SECONDS)
        life.end()
        _logger.info("ended")

    def _begin_anew(self) -> None:
        """The same process, with nothing in mind. Its children hear the end of their life lines.

        Returns when it was told to end meanwhile: who begins anew has forgotten that.
        """
        _logger.warning("beginning anew")
        _run_files.leave_nothing()
        sys.stdout.flush()
        sys.stderr.flush()
        os.environ[_ANEW] = "1"
        # Until the new image listens; what was told before has been counted when this returns.
        signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD)
        if not self._told:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves, as we were started

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._told += 1


def run(database: str | None = None, concurrency: int | None = None) -> None:
    """Work for the team whose database that is, until told to end. FuelError when it cannot begin."""
    settings = config.load()
    _server_log.begin(settings.log_format or "json", part="worker")
    settings = replace(settings, database=database or settings.database)
    settings = replace(settings, concurrency=concurrency or settings.concurrency)
    _check(settings.database)
    paths.private_folder(paths.state_folder())
    os.umask(0o077)
    _docker_engine.pin(os.environ)
    Worker(settings, settings.database).run()
    # Whatever still waits in a thread waits for parked work.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _check(url: str) -> None:
    hint = "--database postgresql+psycopg://USER@HOST/NAME, or FUELCTL_DATABASE"
    try:
        kind = make_url(url).get_backend_name() if url else "sqlite"
    except ArgumentError as error:
        raise UsageError("it is no database's address", where="--database", hint=hint) from error
    if kind != "postgresql":
        raise UsageError("a worker works for a team's server, on its Postgres", where="--database", hint=hint)


def _see_children_end() -> None:
    """Of the life before: whoever takes their work up, here or elsewhere, is to be alone with it."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
