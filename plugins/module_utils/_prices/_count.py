# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What machines have cost, counted from when they were seen to run. Pure; times are epoch seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Iterable, Optional, Tuple

#: AWS bills a Linux machine by the second, and no less than this much.
LEAST_SECONDS = 60.0


@dataclass(frozen=True)
class Running:
    """One machine's time at one price. `ended` is None while it runs, `hourly` when nobody knows the price."""

    begun: float
    ended: Optional[float]
    hourly: Optional[float]
    estimate: bool = False


@dataclass(frozen=True)
class Spent:
    """An amount. `known` is false when a machine without a price ran, which `amount` then leaves out."""

    amount: float
    known: bool = True
    estimate: bool = False


def spent(machines: Iterable[Running], now: float, window: Optional[Tuple[float, float]] = None) -> Spent:
    """What they have cost until `now`, or of that what falls into `window` (from, to)."""
    amount, known, estimate = 0.0, True, False
    for one in machines:
        seconds = _seconds(one, now, window)
        if seconds <= 0:
            continue
        if one.hourly is None:
            known = False
            continue
        amount += one.hourly * seconds / 3600.0
        estimate = estimate or one.estimate
    return Spent(amount, known, estimate)


def rate(machines: Iterable[Running]) -> Spent:
    """What those that run cost per hour."""
    live = [one for one in machines if one.ended is None]
    return Spent(
        sum(one.hourly for one in live if one.hourly is not None),
        all(one.hourly is not None for one in live),
        any(one.estimate for one in live),
    )


def committed(hourly: float, begin: float, end: float, window: Tuple[float, float]) -> float:
    """What a machine costs from `begin` to `end`, of that what falls into `window`."""
    return hourly * max(0.0, min(end, window[1]) - max(begin, window[0])) / 3600.0


def month_of(at: float) -> Tuple[float, float]:
    """The calendar month (UTC) in which `at` lies: its beginning, and that of the next one."""
    moment = datetime.fromtimestamp(at, timezone.utc)
    begin = datetime(moment.year, moment.month, 1, tzinfo=timezone.utc)
    end = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=timezone.utc)
    return begin.timestamp(), end.timestamp()


def _seconds(one: Running, now: float, window: Optional[Tuple[float, float]]) -> float:
    end = max(one.begun + LEAST_SECONDS, now if one.ended is None else one.ended)
    if window is None:
        return end - one.begun
    return min(end, window[1]) - max(one.begun, window[0])
