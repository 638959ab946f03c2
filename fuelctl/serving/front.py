# SPDX-License-Identifier: GPL-3.0-or-later
"""One of several processes that serve HTTP: it asks the database and writes what is wanted; others do it."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

from fuelctl import _docker_engine
from fuelctl.config import Settings
from fuelctl.environments import reaping
from fuelctl.environments.core import Core
from fuelctl.environments.heartbeats import Heartbeats
from fuelctl.server.hand_over import send_over
from fuelctl.server.held import Held
from fuelctl.server.parts import Parts
from fuelctl.server.problems import Problem
from fuelctl.serving.plane import core_of
from fuelctl.store.notices import Channel, Listener, tell
from fuelctl.webhooks import receivers
from fuelctl.webhooks.courier import Courier
from fuelctl.workflows import audit
from fuelctl.workflows.enqueue import Enqueuer

_REAP_SECONDS = 30.0
_LOOK_AT_LEAST = 0.2


class Front:
    """A `Plane` of a process that does no work itself.

    :param channel: where followers are handed over. `crew`: the process that ends all of them.
    """

    def __init__(self, settings: Settings, *, channel: socket.socket, crew: int) -> None:
        self.settings = settings
        self.core = core_of(settings)
        self.work = Enqueuer(self.core, settings.database)
        #: It says what there is and sends a test; what happens is told by the reaper's process.
        self.courier = Courier(self.core, receivers.load(settings))
        self._channel = channel
        self._crew = crew
        self._closing = threading.Event()
        self._listener = Listener(self.core.database.url, {Channel.EVENTS: self.core.bell.ring})

    def start(self) -> None:
        """Hear what the other processes log."""
        self._listener.start()

    def parts(self) -> Parts:
        """What the API works with."""
        return Parts(
            core=self.core,
            start=self.work.start,
            settings=self.settings,
            move_deadline=self.work.move_deadline,
            authorize=self.work.authorize,
            admit=self.work.admit,
            power=self.work.power,
            ask_volume=self.work.ask_volume,
            embedded=False,
            stop=self._stop,
            stopping=self._closing.is_set,
            engine=_docker_engine.engine_of(os.environ),
            operations=self.work.running,
            look=self._look,
            reap=lambda: reap(self.core),
            audit=self.work.audit,
            auditable=audit.providers,
            heartbeats=Heartbeats(self.settings.observe_seconds),
            held=Held(self.settings.threads),
            webhooks=self.courier.state,
            try_webhooks=self.courier.try_out,
            follow=send_over(self._channel),
        )

    def park(self) -> None:
        """Nobody is kept waiting any more."""
        self._closing.set()
        self._listener.stop()
        self.core.bell.ring()

    def _look(self) -> None:
        """Have the machines asked soon, by the process that says when."""
        with self.core.database.write(durable=False) as session:
            tell(session, Channel.OBSERVER)

    def _stop(self, _wait_seconds: float) -> list[str]:
        os.kill(self._crew, signal.SIGTERM)
        return []


def reap(core: Core, seconds: float = _REAP_SECONDS) -> dict[str, int]:
    """One round of the reaper in its own process, waited for; Problem 503 when there is none that answers."""
    number = reaping.ask(core)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        told = reaping.last(core)
        if int(told.get("asked") or 0) >= number:
            return {name: int(told[name]) for name in ("checked", "ended", "failed")}
        time.sleep(_LOOK_AT_LEAST)
    raise Problem(
        503,
        f"the reaper has not gone round within {seconds:.0f} s",
        hint="see GET /readyz, and the server's log",
        code="no_reaper",
    )
