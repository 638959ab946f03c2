# SPDX-License-Identifier: GPL-3.0-or-later
"""A lease: how long an environment may live. Kept on both clocks, so that setting one cannot end it early."""

from __future__ import annotations

from dataclasses import dataclass

from fuelctl.environments.clock import Now


@dataclass(frozen=True)
class Lease:
    """`ttl_seconds` counts from the environment's creation; `expires_at` and `boottime` are the same deadline."""

    ttl_seconds: int
    idle_seconds: int | None
    expires_at: float
    boot_id: str
    boottime: float

    def seconds_left(self, now: Now) -> float:
        """Until the deadline: by the clock that nobody can set where it knows, else by the wall's."""
        if self.boot_id == now.boot_id:
            return self.boottime - now.boottime
        return self.expires_at - now.wall

    def age(self, now: Now) -> float:
        """Seconds since the environment was created."""
        return self.ttl_seconds - self.seconds_left(now)


def later(one: Lease, other: Lease, now: Now) -> Lease:
    """Whichever of the two ends later; `one` when they end at the same time."""
    return other if other.seconds_left(now) > one.seconds_left(now) else one


def new_lease(ttl_seconds: int, idle_seconds: int | None, now: Now) -> Lease:
    """A lease that begins now."""
    return Lease(ttl_seconds, idle_seconds, now.wall + ttl_seconds, now.boot_id, now.boottime + ttl_seconds)


def within(lease: Lease, ttl_seconds: int, max_ttl: float, now: Now) -> int:
    """As many of `ttl_seconds` from now as keep its whole life within `max_ttl`."""
    return int(min(float(ttl_seconds), max(0.0, max_ttl - lease.age(now))))


def extend(lease: Lease, ttl_seconds: int, now: Now) -> Lease:
    """The lease with at least `ttl_seconds` left from now; never a shorter one."""
    remaining = max(float(ttl_seconds), lease.seconds_left(now))
    total = round(lease.age(now) + remaining)
    return Lease(total, lease.idle_seconds, now.wall + remaining, now.boot_id, now.boottime + remaining)
