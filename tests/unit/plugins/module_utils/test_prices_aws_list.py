# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS's own price list: which rows are meant, and what is no list."""

from __future__ import annotations

import csv
import io

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._prices import _aws_list

BASE = "https://pricing.us-east-1.amazonaws.com"
COLUMNS = (
    "SKU", "OfferTermCode", "RateCode", "TermType", "PriceDescription", "EffectiveDate", "StartingRange", "EndingRange",
    "Unit", "PricePerUnit", "Currency", "Product Family", "serviceCode", "Location", "Location Type", "Instance Type",
    "Tenancy", "Operating System", "operation", "CapacityStatus", "MarketOption", "Pre Installed S/W", "Region Code",
    "Volume API Name",
)  # fmt: skip
MACHINE = {
    "TermType": "OnDemand", "Unit": "Hrs", "PricePerUnit": "0.2310000000", "Currency": "USD",
    "Product Family": "Compute Instance", "Location Type": "AWS Region", "Instance Type": "m7i.xlarge",
    "Tenancy": "Shared", "Operating System": "Linux", "operation": "RunInstances", "CapacityStatus": "Used",
    "MarketOption": "OnDemand", "Pre Installed S/W": "NA", "Region Code": "eu-central-1",
}  # fmt: skip
DISK = {
    "TermType": "OnDemand", "Unit": "GB-Mo", "PricePerUnit": "0.0952000000", "Currency": "USD",
    "Product Family": "Storage", "Location Type": "AWS Region", "Region Code": "eu-central-1", "Volume API Name": "gp3",
}  # fmt: skip


def price_list(*rows, columns=COLUMNS):
    """The text of a list with these rows, as AWS writes it."""
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    for line in (
        ("FormatVersion", "v1.0"),
        ("Disclaimer", 'This pricing list is for "informational" purposes only'),
        ("Publication Date", "2026-09-21T19:47:12Z"),
        ("Version", "20260921194712"),
        ("OfferCode", "AmazonEC2"),
        columns,
    ):
        writer.writerow(line)
    for row in rows:
        writer.writerow([row.get(column, "") for column in columns])
    return stream.getvalue()


def read(*rows, **more):
    return _aws_list.region(io.StringIO(price_list(*rows, **more)), "eu-central-1", "the list")


def test_the_price_of_a_linux_machine_and_of_its_disk():
    found = read(MACHINE, DISK)
    assert found.instances == {"m7i.xlarge": 0.231}
    assert found.gp3_gb_month == 0.0952
    assert (found.published, found.verified) == ("2026-09-21", True)
    assert "20260921194712" in found.source


@pytest.mark.parametrize(
    "other",
    [
        {"Tenancy": "Dedicated"},
        {"Operating System": "Windows"},
        {"Pre Installed S/W": "SQL Std"},
        {"CapacityStatus": "UnusedCapacityReservation"},
        {"TermType": "Reserved"},
        {"Unit": "Quantity"},
        {"Currency": "CNY"},
        {"Product Family": "Dedicated Host"},
        {"Location Type": "AWS Local Zone"},
        {"operation": "RunInstances:0002"},
        {"MarketOption": "CapacityBlock"},
        {"Region Code": "eu-west-1"},
        {"PricePerUnit": "0.0000000000"},
    ],
)
def test_every_other_row_is_passed_over(other):
    dear = {**MACHINE, "PricePerUnit": "9.99", **other}
    assert read(MACHINE, dear).instances == {"m7i.xlarge": 0.231}
    assert read(dear, MACHINE).instances == {"m7i.xlarge": 0.231}


def test_a_list_without_the_newer_columns_is_read_all_the_same():
    older = tuple(column for column in COLUMNS if column not in ("MarketOption", "Region Code"))
    assert read(MACHINE, columns=older).instances == {"m7i.xlarge": 0.231}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>503</html>",
        "\n" * 100,
        price_list(),
        price_list({**MACHINE, "Region Code": "us-east-1"}),
        price_list(MACHINE, columns=tuple(column for column in COLUMNS if column != "Tenancy")),
        price_list({**MACHINE, "PricePerUnit": "a lot"}),
        price_list({**MACHINE, "PricePerUnit": "nan"}),
        price_list({**MACHINE, "PricePerUnit": "-1"}),
        price_list({**MACHINE, "PricePerUnit": "1e12"}),
        price_list(MACHINE) + '"x' + "OnDemand Linux" * 20_000,
    ],
)
def test_what_is_no_list_is_refused_in_one_line(text):
    with pytest.raises(FuelError) as caught:
        _aws_list.region(io.StringIO(text), "eu-central-1", "https://here")
    assert caught.value.code == "bad_prices"
    assert str(caught.value).startswith("https://here: ")


def test_the_index_leads_to_the_lists_of_that_same_host():
    index = {
        "regions": {
            "eu-central-1": {"currentVersionUrl": "/offers/v1.0/aws/AmazonEC2/20260921/eu-central-1/index.json"},
            "elsewhere": {"currentVersionUrl": "https://elsewhere.example/index.json"},
            "a-file": {"currentVersionUrl": "file:///etc/passwd.json"},
            "nothing": {"currentVersionUrl": None},
            "nobody": 7,
        }
    }
    found = _aws_list.addresses(index, BASE)
    assert found == {"eu-central-1": f"{BASE}/offers/v1.0/aws/AmazonEC2/20260921/eu-central-1/index.csv"}


@pytest.mark.parametrize("index", [None, [], {}, {"regions": {}}, {"regions": []}, "x"])
def test_what_is_no_index_is_refused(index):
    with pytest.raises(FuelError):
        _aws_list.addresses(index, BASE)
