# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a team's workers look at the machines: once a period, and soon after somebody asked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from fuelctl._shared._errors import FuelError

_logger = logging.getLogger(__name__)
#: Seconds for which what was seen is fresh enough for a person; times as long as a round took, nothing is asked anew.
_FRESH = 5.0
_SPARE = 10.0


class Looker:
    """`look` is one round, which may take minutes; `then` is called after each."""

    def __init__(self, look: Callable[[], int], seconds: float) -> None:
        self._look = look
        self._seconds = seconds
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self.then: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Look now, and then regularly."""
        threading.Thread(target=self._run, name="looker", daemon=True).start()

    def stop(self) -> None:
        """Ask nobody any more."""
        self._stopped.set()
        self._wanted.set()

    def soon(self) -> None:
        """Somebody wants to know. However often that is, nobody looks for more than a tenth of the time."""
        self._wanted.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            self._guarded()
            took = time.monotonic() - began
            rest = max(_FRESH, _SPARE * took)
            if self._stopped.wait(min(rest, self._seconds)):
                return
            # What was asked for while we looked is answered by that look.
            self._wanted.clear()
            self._wanted.wait(max(0.0, self._seconds - rest))

    def _guarded(self) -> None:
        try:
            self._look()
            self.then()
        except FuelError as error:
            _logger.warning("the machines cannot be asked: %s", error.message)
        except Exception:
            _logger.exception("the machines cannot be asked")
