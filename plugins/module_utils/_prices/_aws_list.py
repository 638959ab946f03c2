# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""AWS's own price list, as the Price List Bulk API publishes it. Pure: text in, tables out.

Of its two forms the CSV is read: the JSON of one region has some 300 MB, with prices and products in two places, and
would have to be held in memory as a whole; of the CSV, one row is.
"""

from __future__ import annotations

import csv
from typing import Any, Dict, Iterable, Iterator, List
from urllib.parse import urljoin, urlsplit

from .._errors import FuelError
from ._book import Region, is_price

#: Where AWS publishes it, and the file that says where each region's list is.
ADDRESS = "https://pricing.us-east-1.amazonaws.com"
REGIONS_PATH = "/offers/v1.0/aws/AmazonEC2/current/region_index.json"

_MACHINE = {
    "TermType": "OnDemand",
    "Product Family": "Compute Instance",
    "Tenancy": "Shared",
    "Operating System": "Linux",
    "Pre Installed S/W": "NA",
    "CapacityStatus": "Used",
    "Unit": "Hrs",
    "Currency": "USD",
}
_DISK = {
    "TermType": "OnDemand",
    "Product Family": "Storage",
    "Volume API Name": "gp3",
    "Unit": "GB-Mo",
    "Currency": "USD",
}
#: A column that older lists lack, and what it says in rows that are meant.
_WHERE_GIVEN = {"Location Type": ("AWS Region",), "operation": ("RunInstances", ""), "MarketOption": ("OnDemand", "")}
_NEEDED = {*_MACHINE, *_DISK, "Instance Type", "PricePerUnit"}
#: The list begins with lines about itself, then comes the row of column names.
_LONGEST_PREAMBLE = 20


def addresses(index: Any, base: str) -> Dict[str, str]:
    """Region -> address of its list in CSV, from the region index at `base`; only addresses of that same host."""
    regions = index.get("regions") if isinstance(index, dict) else None
    if not isinstance(regions, dict) or not regions:
        raise _not_a_list(base, "its index names no regions")
    found = {}
    for name, region in regions.items():
        path = region.get("currentVersionUrl") if isinstance(region, dict) else None
        if not isinstance(path, str) or not path.endswith(".json"):
            continue
        address = urljoin(base, path[: -len(".json")] + ".csv")
        if urlsplit(address)[:2] == urlsplit(base)[:2]:
            found[str(name)] = address
    return found


def region(lines: Iterable[str], name: str, where: str) -> Region:
    """The table of region `name` from the lines of its CSV; FuelError `bad_prices` when they are no such list."""
    rows = csv.reader(_worth_reading(lines))
    facts, columns = _head(rows, where)
    machines: Dict[str, float] = {}
    disks: List[float] = []
    try:
        for row in rows:
            cells = dict(zip(columns, row))
            if cells.get("Region Code", name) != name or not _fits_where_given(cells):
                continue
            if _fits(cells, _MACHINE) and cells["Instance Type"]:
                price = _price(cells["PricePerUnit"], where)
                # The list has rows of 0 for what is paid for elsewhere (capacity blocks, reserved hosts).
                if price > 0:
                    machines[cells["Instance Type"]] = price
            elif _fits(cells, _DISK):
                disks.append(_price(cells["PricePerUnit"], where))
    except csv.Error as error:
        raise _not_a_list(where, str(error)) from error
    if not machines:
        raise _not_a_list(where, f"it has no prices of Linux machines in {name}")
    published = facts.get("Publication Date", "")[:10]
    source = f"AWS price list, version {facts.get('Version', 'unknown')}"
    return Region(machines, max(disks) if disks else None, source, published, verified=True)


def _worth_reading(lines: Iterable[str]) -> Iterator[str]:
    """The preamble, and of the rows those that may be meant: most are about reserved machines and other systems."""
    for number, line in enumerate(lines):
        if number < _LONGEST_PREAMBLE or ("OnDemand" in line and ("Linux" in line or "gp3" in line)):
            yield line


def _head(rows: Iterator[List[str]], where: str) -> "tuple[Dict[str, str], List[str]]":
    """What the list says of itself, and its column names."""
    facts: Dict[str, str] = {}
    try:
        for _number in range(_LONGEST_PREAMBLE):
            row = next(rows, None)
            if row is None:
                break
            if "SKU" in row or "PricePerUnit" in row:
                missing = sorted(_NEEDED - set(row))
                if missing:
                    raise _not_a_list(where, f"it lacks the columns {', '.join(missing)}")
                return facts, row
            if len(row) >= 2:
                facts[row[0]] = row[1]
    except csv.Error as error:
        raise _not_a_list(where, str(error)) from error
    raise _not_a_list(where, "it has no row of column names")


def _fits(cells: Dict[str, str], wanted: Dict[str, str]) -> bool:
    return all(cells.get(column) == value for column, value in wanted.items())


def _fits_where_given(cells: Dict[str, str]) -> bool:
    return all(cells[column] in values for column, values in _WHERE_GIVEN.items() if column in cells)


def _price(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not is_price(value):
        raise _not_a_list(where, f"{text[:40]!r} is not a price")
    return value


def _not_a_list(where: str, why: str) -> FuelError:
    return FuelError(
        f"there is no AWS price list: {why}",
        where=where,
        hint=f"give the address of AWS's price list or a copy of it with --from; AWS's own is {ADDRESS}",
        code="bad_prices",
    )
