# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads for one thing after the other, without what the library's executor makes of each: a future, and its locks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

_logger = logging.getLogger(__name__)


class Threads:
    """As many as there is work for at a time, `most` at the most; `do` is called by one thread only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._idle = 0
        self._lock = threading.Lock()
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def do(self, work: Callable[[], object]) -> None:
        """Have it done, as soon as a thread is free. Returns at once."""
        with self._lock:
            # One that is idle is promised to this; or a new one is. At the most of them it waits for whoever is done.
            begins = self._idle == 0 and self._count < self._most
            if begins:
                self._count += 1
            else:
                self._idle -= self._idle > 0
        self._work.put(work)
        if begins:
            threading.Thread(target=self._run, name=f"request-{self._count}", daemon=True).start()

    def shutdown(self) -> None:
        """Each ends after what it is at, and what was to be done before. Returns at once."""
        for _thread in range(self._count):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except BaseException:
                # SystemExit as well, which here would end nothing but one of the threads that there may be.
                _logger.exception("a thread goes on with the next request")
            with self._lock:
                self._idle += 1
