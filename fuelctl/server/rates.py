# SPDX-License-Identifier: GPL-3.0-or-later
"""How much one environment may say, and how often one address may fail to prove itself: token buckets, in memory."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: What comes after a long time without a connection: the whole spool of a busy day.
BURST = 4000.0
PER_SECOND = 50.0
_MOST_BUCKETS = 10_000


@dataclass
class Rates:
    """Buckets of `burst` events that refill at `per_second`. `clock` counts seconds."""

    burst: float = BURST
    per_second: float = PER_SECOND
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, whose: str, events: int) -> int:
        """Take so many events (one at least) out of its bucket: 0, or the seconds to wait until there are as many."""
        wanted = float(max(1, events))
        with self._lock:
            now = self.clock()
            if len(self._buckets) >= _MOST_BUCKETS:
                # Those that are full again say nothing.
                self._buckets = {key: one for key, one in self._buckets.items() if self._level(one, now) < self.burst}
            level = self._level(self._buckets.get(whose, (self.burst, now)), now)
            if level < wanted:
                self._buckets[whose] = (level, now)
                return math.ceil((wanted - level) / self.per_second)
            self._buckets[whose] = (level - wanted, now)
        return 0

    def _level(self, bucket: tuple[float, float], now: float) -> float:
        level, at = bucket
        return min(self.burst, level + (now - at) * self.per_second)
