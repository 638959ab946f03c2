# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of reaper and housekeeping: of all that there are on one database, one works and the others wait.

It works while it holds the lease. Once that is lost, the process ends at once and another of it begins to wait: nothing
of what it was about to do is done by two.
"""

from __future__ import annotations

import logging
import os
import threading

from fuelctl import _docker_engine
from fuelctl.config import Settings
from fuelctl.environments.core import Core
from fuelctl.serving.plane import core_of
from fuelctl.store.lease import Lease
from fuelctl.store.notices import Channel, Listener
from fuelctl.webhooks import receivers
from fuelctl.webhooks.courier import Courier
from fuelctl.workflows.distant import DistantObserver
from fuelctl.workflows.enqueue import Enqueuer
from fuelctl.workflows.housekeeping import Housekeeper
from fuelctl.workflows.idle_stop import IdleStops
from fuelctl.workflows.reaper import Reaper
from fuelctl.workflows.run import Plant

_logger = logging.getLogger(__name__)
NAME = "reaper"
KEY = 0x66_75_65_6E
#: Seconds between two looks whether it is ours, or could be.
_BEAT = 1.0
#: The exit code of one that lost its lease.
LOST = 75


class Keeper:
    """`run()` until told to stop: waits for the lease, then goes round."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._core: Core = core_of(settings)
        self._lease = Lease(self._core.database, NAME, KEY, self._core.instance)
        self._stopping = threading.Event()
        self._beat = min(_BEAT, settings.reaper_seconds / 4)

    def stop(self) -> None:
        """End after the round under way."""
        self._stopping.set()

    def run(self) -> int:
        """The process's exit code."""
        while not self._lease.take():
            if self._stopping.wait(self._beat):
                return 0
        _logger.info("this process holds the reaper's lease")
        self._held()
        return self._work()

    def _work(self) -> int:
        settings, core = self._settings, self._core
        plant = Plant(core, settings.callback_url, settings.max_source_bytes, _docker_engine.engine_of(os.environ))
        work = Enqueuer(core, settings.database)
        observer = DistantObserver(plant, work, settings.observe_seconds)
        reaper = Reaper(
            core,
            work,
            settings.reaper_seconds,
            Housekeeper(core, work, settings.keep_days, settings.keep_tokens_days).daily,
            look=observer.soon,
            period=settings.observe_seconds,
            companion=Courier(core, receivers.load(settings)),
            may=self._lease.held,
            stop=IdleStops(core, work.power).begin,
        )
        observer.then = reaper.soon
        heard = {
            Channel.REAPER: reaper.soon,
            Channel.OBSERVER: observer.soon,
            Channel.EVENTS: core.bell.ring,
        }
        listener = Listener(core.database.url, heard)
        reaper.start()
        observer.start()
        listener.start()
        held = True
        while held and not self._stopping.wait(self._beat):
            held = self._held()
        listener.stop()
        plant.parking.set()
        if not held:
            _logger.warning("the reaper's lease is lost; another process goes on")
            os._exit(LOST)
        reaper.stop()
        self._lease.release()
        return 0

    def _held(self) -> bool:
        try:
            return self._lease.beat(self._core.clock().wall)
        except Exception:
            # The row is for people; the lock is what counts.
            _logger.exception("the lease's row cannot be written")
            return self._lease.held()
