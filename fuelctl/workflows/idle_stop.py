# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that silence stops: beside the reaper's rounds, because each takes its provider many seconds.

Nothing of it is kept: whoever dies in between leaves a machine that runs, which the next round decides about, or one
that is stopped, which the next look finds so.
"""

from __future__ import annotations

import logging
import threading

from fuelctl._shared._errors import FuelError
from fuelctl.environments import about
from fuelctl.environments.core import Core
from fuelctl.environments.power import STOPPED, Power, set_power
from fuelctl.store.models import EnvironmentRow

_logger = logging.getLogger(__name__)
#: At a time: each may be a playbook on this machine.
_MOST = 4


class IdleStops:
    """`begin(row)` returns at once; what it does not get to, it is asked for again by the next round."""

    def __init__(self, core: Core, power: Power) -> None:
        self._core = core
        self._power = power
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    def begin(self, row: EnvironmentRow) -> None:
        """Have its machine stopped, unless somebody is at work in it again by then."""
        with self._lock:
            if row.id in self._under_way or len(self._under_way) >= _MOST:
                return
            self._under_way.add(row.id)
        # Nobody waits for it at the end of the process: its playbook is told by itself.
        threading.Thread(target=self._stop, args=(row,), name=f"idle-stop-{row.id}", daemon=True).start()

    def _stop(self, row: EnvironmentRow) -> None:
        try:
            set_power(self._core, row, STOPPED, self._power, by="idle", if_activity=row.activity)
        except FuelError as error:
            _logger.warning("%s (%s) was not stopped: %s", row.id, row.name, error.message, extra=about.of(row))
        except Exception:
            _logger.exception("%s: cannot stop it", row.id, extra=about.of(row))
        finally:
            with self._lock:
                self._under_way.discard(row.id)
