# SPDX-License-Identifier: GPL-3.0-or-later
"""The life lines of the playbooks that a process plays: a worker's beat as long as it is sure of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_TICK = 0.1


class Lifelines:
    """`beat()` tells every playbook that its worker lives; who does not hear it for `seconds` ends by itself.

    So the playbooks of a worker that is stopped, or cut off from the database, end before others take up its work.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._pipes: set[int] = set()
        self._lock = threading.Lock()
        self._beaten = time.monotonic()

    @contextmanager
    def held(self, pipe: int) -> Iterator[None]:
        """For as long as the block runs, `pipe` (a descriptor to write to) hears the beat."""
        with self._lock:
            self._pipes.add(pipe)
        try:
            yield
        finally:
            with self._lock:
                self._pipes.discard(pipe)

    def wait(self, seconds: float) -> None:
        """Until no playbook is held any more, or for so long."""
        end = time.monotonic() + seconds
        while self._pipes and time.monotonic() < end:
            time.sleep(_TICK)

    @property
    def silent(self) -> bool:
        """Whether the playbooks have ended for want of a beat: how they ended says nothing of what they did."""
        return time.monotonic() - self._beaten > self.seconds

    def beat(self) -> None:
        """The worker lives."""
        self._beaten = time.monotonic()
        with self._lock:
            for pipe in self._pipes:
                # Whoever has ended meanwhile is told of it by the other side.
                with suppress(OSError):
                    os.write(pipe, b".")
