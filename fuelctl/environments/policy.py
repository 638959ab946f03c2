# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's policy for leases: blueprint, then flags, then this. What it cuts short is told, not refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class Policy:
    """Seconds. `default_ttl` is for who says nothing; nothing lives longer than `max_ttl`, extended or not."""

    default_ttl: int = 8 * 3600
    max_ttl: float = inf
    max_idle: float = inf


@dataclass(frozen=True)
class Granted:
    """What a request gets, and a line for each thing that it asked for and does not get."""

    ttl_seconds: int
    idle_seconds: int | None
    warnings: list[str] = field(default_factory=list)


def grant(policy: Policy, ttl_seconds: int | None, idle_seconds: int | None) -> Granted:
    """The lease of a new environment. Pure."""
    warnings = []
    ttl = ttl_seconds if ttl_seconds is not None else policy.default_ttl
    if ttl > policy.max_ttl:
        if ttl_seconds is not None:
            warnings.append(
                f"it lives for {words(policy.max_ttl)}, not {words(ttl)}: no more is allowed on this server"
            )
        ttl = int(policy.max_ttl)
    idle = idle_seconds
    if policy.max_idle != inf and (idle is None or idle > policy.max_idle):
        asked = "without a limit" if idle is None else f"after {words(idle)}"
        warnings.append(
            f"it ends when nothing happened in it for {words(policy.max_idle)}, not {asked}: so it is on this server"
        )
        idle = int(policy.max_idle)
    return Granted(ttl, idle, warnings)


def words(seconds: float) -> str:
    """`2d 3h`: the two largest units of a whole number of seconds."""
    left = int(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size}{unit if len(unit) == 1 else ' ' + unit}")
            left %= size
    return " ".join(parts) or "0s"
