# SPDX-License-Identifier: GPL-3.0-or-later
"""Room for requests that are held until there is news. Each holds a thread; some are left for everybody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fuelctl.server import metrics
from fuelctl.server.problems import Problem

_RETRY_AFTER = 2


class Held:
    """At most three quarters of a process's `threads` wait at a time."""

    def __init__(self, threads: int = 64) -> None:
        self.most = threads * 3 // 4
        self._free = threading.Semaphore(self.most)

    @contextmanager
    def one(self) -> Iterator[None]:
        """For as long as a request waits; Problem 503 when so many do already."""
        if not self._free.acquire(blocking=False):
            raise Problem(
                503,
                "too many requests wait for events here",
                hint="ask again after the seconds of Retry-After, without wait, or follow /api/ws",
                code="too_many_waiting",
                headers={"Retry-After": str(_RETRY_AFTER)},
            )
        metrics.waiting(1)
        try:
            yield
        finally:
            metrics.waiting(-1)
            self._free.release()
