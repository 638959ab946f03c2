# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a machine that somebody asks for would cost. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Dict, Optional, Sequence, Tuple

from .._errors import UsageError
from ._book import Book

#: AWS bills storage by the second of a month; a month has this many hours on the average.
HOURS_OF_MONTH = 730.0


@dataclass(frozen=True)
class Wish:
    """A machine as it is asked for: the types are tried in turn, spot capacity falls back to on-demand."""

    region: str
    types: Tuple[str, ...]
    spot: bool = False
    disk_gb: float = 0.0
    public_ipv4: bool = True


@dataclass(frozen=True)
class Offer:
    """What it would cost per hour.

    :param hourly: expected, for the first type; None when no price is known.
    :param ceiling: at most, whichever of the types it becomes; None when the price of one of them is not known.
    :param estimate: whether `hourly` is not a price that its source states.
    :param reason: why it is an estimate, or not known; empty otherwise.
    """

    hourly: Optional[float]
    ceiling: Optional[float]
    estimate: bool
    reason: str = ""
    type: str = ""
    region: str = ""
    market: str = "on-demand"
    source: str = ""
    published: str = ""
    currency: str = "USD"

    def as_dict(self) -> Dict[str, Any]:
        """The same facts as plain data."""
        return dict(self.__dict__)


#: What is the caller's own, or given: nothing is billed.
FREE = Offer(0.0, 0.0, estimate=False)


def offer(book: Book, wish: Wish) -> Offer:
    """What the wish costs by this book."""
    first = wish.types[0] if wish.types else ""
    base = Offer(None, None, estimate=True, type=first, region=wish.region)
    base = replace(base, market="spot" if wish.spot else "on-demand", currency=book.currency)
    region = book.regions.get(wish.region)
    if region is None:
        return replace(base, reason=f"no prices of region {wish.region}" if wish.region else "no region is named")
    base = replace(base, source=region.source, published=region.published)
    besides = _besides(book, wish)
    prices = [region.instances.get(each) for each in wish.types]
    if not prices or prices[0] is None:
        return replace(base, reason=f"no price of {first} in {wish.region}" if first else "no machine type is named")
    if besides is None:
        return replace(base, reason=f"no price of storage in {wish.region}")
    known = [price for price in prices if price is not None]
    reason = "" if region.verified else "not verified for this region"
    if wish.spot:
        reason = "spot prices move"
    share = book.spot_share if wish.spot else 1.0
    return replace(
        base,
        hourly=round(prices[0] * share + besides, 6),
        ceiling=round(max(known) + besides, 6) if len(known) == len(prices) else None,
        estimate=bool(reason),
        reason=reason,
    )


def _besides(book: Book, wish: Wish) -> Optional[float]:
    """Disk and address per hour; None when the region's table has no price for the disk that is wanted."""
    address = book.ipv4_hour if wish.public_ipv4 else 0.0
    if not wish.disk_gb:
        return address
    gp3 = book.regions[wish.region].gp3_gb_month
    return None if gp3 is None else address + gp3 * wish.disk_gb / HOURS_OF_MONTH


def check_ceiling(offered: Offer, most: Optional[float]) -> None:
    """UsageError `too_dear` when the machine may cost more than `most` per hour, or nobody knows what it costs."""
    if most is None:
        return
    if not math.isfinite(most) or most < 0:
        raise UsageError("--max-price-hour wants an amount of money", hint="for example --max-price-hour 0.50")
    if offered.ceiling is None:
        raise UsageError(
            f"nobody can say that it costs at most {money(most)} {offered.currency} per hour: "
            f"{offered.reason or 'the price of one of its types is not known'}",
            hint="ask AWS for its prices (`fuelctl prices refresh`), or leave out --max-price-hour",
            code="price_unknown",
        )
    if offered.ceiling > most:
        fallen = ", or what it falls back to" if offered.ceiling != offered.hourly else ""
        raise UsageError(
            f"it may cost {money(offered.ceiling)} {offered.currency} per hour, more than {money(most)}: "
            f"{offered.type} in {offered.region}{fallen}",
            hint="choose a smaller machine (resources.instance_type), or allow more with --max-price-hour",
            code="too_dear",
        )


def money(amount: float) -> str:
    """Cents, and as many further digits as a small amount needs: 0.21, 0.0416."""
    text = f"{amount:.4f}"
    return text[:-2] if text.endswith("00") else text.rstrip("0") if amount < 1 else f"{amount:.2f}"


def types_for(given: Sequence[str]) -> Tuple[str, ...]:
    """The types without repetition and empty words, in their order."""
    return tuple(dict.fromkeys(each for each in given if each))
