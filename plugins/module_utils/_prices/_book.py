# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""A price book: what a machine costs per hour, by region and type, with the source of every table. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from .._errors import FuelError
from . import data_ec2

FORMAT = 1
#: Nothing that anybody rents costs more per hour; a larger figure is a mistake of the table's.
_DEAREST = 100_000.0


@dataclass(frozen=True)
class Region:
    """One region's table.

    :param instances: type -> price per hour, on-demand.
    :param gp3_gb_month: price of one GB of gp3 for a month; None when the source does not say.
    :param source: where the figures are from; `published`: their date (YYYY-MM-DD).
    :param verified: whether the source speaks of this very region; otherwise all of it is an estimate.
    """

    instances: Mapping[str, float]
    gp3_gb_month: Optional[float]
    source: str
    published: str
    verified: bool

    def as_dict(self) -> Dict[str, Any]:
        """The table as a price file has it."""
        return {
            "source": self.source,
            "published": self.published,
            "verified": self.verified,
            "gp3_gb_month": self.gp3_gb_month,
            "instances": dict(sorted(self.instances.items())),
        }


@dataclass(frozen=True)
class Book:
    """Prices by region. `currency` is that of every figure."""

    regions: Mapping[str, Region]
    currency: str = data_ec2.CURRENCY
    ipv4_hour: float = data_ec2.IPV4_HOUR
    spot_share: float = data_ec2.SPOT_SHARE

    def with_regions(self, regions: Mapping[str, Region]) -> "Book":
        """This book, with these regions' tables in the place of its own."""
        return Book({**self.regions, **regions}, self.currency, self.ipv4_hour, self.spot_share)


def builtin() -> Book:
    """The prices that come with the collection."""
    types = data_ec2.instances()
    regions = {
        data_ec2.VERIFIED_REGION: Region(
            types, data_ec2.GP3_GB_MONTH, data_ec2.SOURCE, data_ec2.PUBLISHED, verified=True
        )
    }
    for name, (share, gp3) in data_ec2.GUESSES.items():
        guessed = {each: round(price * share, 6) for each, price in types.items()}
        regions[name] = Region(guessed, gp3, data_ec2.GUESS_SOURCE, data_ec2.PUBLISHED, verified=False)
    return Book(regions)


def dump(regions: Mapping[str, Region]) -> Dict[str, Any]:
    """The tables as a price file has them."""
    return {
        "format": FORMAT,
        "currency": data_ec2.CURRENCY,
        "regions": {name: region.as_dict() for name, region in sorted(regions.items())},
    }


def parse(document: Any, where: str) -> Dict[str, Region]:
    """The tables of a price file; FuelError `bad_prices` when it is none."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _bad(where, f"it is no price file of format {FORMAT}")
    if document.get("currency") != data_ec2.CURRENCY:
        raise _bad(where, f"its currency is not {data_ec2.CURRENCY}")
    regions = document.get("regions")
    if not isinstance(regions, dict):
        raise _bad(where, "it has no regions")
    return {str(name): _region(table, where, str(name)) for name, table in regions.items()}


def _region(table: Any, where: str, name: str) -> Region:
    if not isinstance(table, dict) or not isinstance(table.get("instances"), dict):
        raise _bad(where, f"region {name[:40]} has no instances")
    gp3 = table.get("gp3_gb_month")
    return Region(
        instances={str(each): _price(price, where, each) for each, price in table["instances"].items()},
        gp3_gb_month=None if gp3 is None else _price(gp3, where, "gp3_gb_month"),
        source=str(table.get("source") or ""),
        published=str(table.get("published") or ""),
        verified=table.get("verified") is True,
    )


def _price(value: Any, where: str, what: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not is_price(value):
        raise _bad(where, f"the price of {str(what)[:40]} is not a figure")
    return float(value)


def is_price(value: float) -> bool:
    """Whether a figure can be a price at all."""
    return math.isfinite(value) and 0 <= value <= _DEAREST


def _bad(where: str, why: str) -> FuelError:
    return FuelError(
        f"the price file cannot be read: {why}",
        where=where,
        hint="make it anew: fuelctl prices refresh; or remove it: fuelctl prices reset",
        code="bad_prices",
    )
