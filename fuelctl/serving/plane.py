# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane in one process: database, workflows, reaper, observer, followers, and what the API is handed."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import asdict
from functools import partial
from typing import Protocol

from fuelctl import _docker_engine, paths
from fuelctl.config import Settings
from fuelctl.environments.core import Core
from fuelctl.environments.heartbeats import Heartbeats
from fuelctl.server.followers import hub_of
from fuelctl.server.held import Held
from fuelctl.server.parts import Parts
from fuelctl.store.bucket import rescues_in
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.secrets import Safe
from fuelctl.webhooks import receivers
from fuelctl.webhooks.courier import Courier
from fuelctl.workflows import audit
from fuelctl.workflows.access import admit, authorize, power
from fuelctl.workflows.engine import Engine
from fuelctl.workflows.extend import move_deadline
from fuelctl.workflows.housekeeping import Housekeeper
from fuelctl.workflows.idle_stop import IdleStops
from fuelctl.workflows.observer import Observer
from fuelctl.workflows.reaper import Reaper
from fuelctl.workflows.run import Plant
from fuelctl.workflows.volume import ask_volume

_ASK_EVERY = 0.1


class Plane(Protocol):
    """What a process that serves HTTP is made over."""

    def start(self) -> None:
        """Begin; threads and connections are this process's own from here on."""

    def parts(self) -> Parts:
        """What the API works with."""

    def park(self) -> None:
        """This process is about to end: nothing new, and nobody is kept waiting."""


def core_of(settings: Settings) -> Core:
    """The parts below server and workflows, on this machine's state folder and the database of `settings`."""
    paths.private_folder(paths.state_folder())
    database = Database(settings.database or sqlite_url(paths.database_file()))
    return Core(database, Safe(settings.key_file()), bucket=rescues_in(settings))


class ControlPlane:
    """Everything below HTTP, in one process."""

    def __init__(self, settings: Settings, *, embedded: bool) -> None:
        self.settings = settings
        self._embedded = embedded
        self.core = core_of(settings)
        self.core.database.migrate()
        self.plant = Plant(
            self.core,
            settings.callback_url,
            settings.max_source_bytes,
            _docker_engine.engine_of(os.environ),
            rescue_grace=settings.rescue_grace_seconds,
        )
        self.engine = Engine(self.plant, settings.database or sqlite_url(paths.workflows_file()))
        housekeeper = Housekeeper(self.core, self.engine, settings.keep_days, settings.keep_tokens_days)
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
            stop=IdleStops(self.core, partial(power, self.plant)).begin,
        )
        self.observer.then = self.reaper.soon
        self.hub = hub_of(self.core, settings)
        self._closing = threading.Event()
        self._draining = threading.Event()

    def start(self) -> None:
        """Take up what was in flight, then look at everything."""
        self.engine.launch()
        self.reaper.start()
        self.observer.start()

    def parts(self) -> Parts:
        """What the API works with."""
        return Parts(
            core=self.core,
            start=self.engine.start,
            settings=self.settings,
            move_deadline=partial(move_deadline, self.plant),
            authorize=partial(authorize, self.plant),
            admit=partial(admit, self.plant),
            power=partial(power, self.plant),
            ask_volume=partial(ask_volume, self.plant),
            embedded=self._embedded,
            stop=self._stop,
            stopping=self._closing.is_set,
            engine=self.plant.engine,
            draining=self._draining.is_set,
            operations=self.engine.running,
            look=self.observer.soon,
            reap=lambda: asdict(self.reaper.cycle()),
            audit=partial(audit.look, self.plant),
            auditable=audit.providers,
            heartbeats=Heartbeats(self.settings.observe_seconds),
            held=Held(self.settings.threads),
            webhooks=self.courier.state,
            try_webhooks=self.courier.try_out,
            follow=self.hub.take,
        )

    def park(self) -> None:
        """Stop work where it is, children included; the next process resumes it."""
        self._closing.set()
        self.plant.parking.set()
        self.hub.stop()
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
