# SPDX-License-Identifier: GPL-3.0-or-later
"""Two clocks at once: the wall's, which anybody can set, and the time since boot, which nobody can.

CLOCK_BOOTTIME goes on while a laptop sleeps, so sleep counts as the real time that it is; a wall clock that is set
forward by an hour does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Now:
    """One reading. `wall`: epoch seconds; `boottime`: seconds since boot `boot_id`."""

    wall: float
    boot_id: str
    boottime: float


Clock = Callable[[], Now]


def system_now() -> Now:
    """The reading of this machine's clocks."""
    boottime = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
    return Now(wall=time.time(), boot_id=_boot_id(), boottime=boottime)


def wall_jump(before: Now, after: Now) -> float:
    """Seconds by which the wall clock was set between two readings of one boot; 0.0 across a reboot."""
    if before.boot_id != after.boot_id:
        return 0.0
    return (after.wall - before.wall) - (after.boottime - before.boottime)


@lru_cache(64)
def rfc3339(seconds: float | None) -> str | None:
    """Epoch seconds as RFC 3339 in UTC, to the millisecond."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"process-{time.monotonic_ns()}"
