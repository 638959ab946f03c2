# SPDX-License-Identifier: GPL-3.0-or-later
"""The price book: what comes with the collection, and what a price file may say."""

from __future__ import annotations

import json

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._prices import _book, data_ec2

# Single figures of AWS's list of us-east-1, one for each way in which a family's sizes are counted.
KNOWN = {
    "t2.small": 0.023,
    "t3.nano": 0.0052,
    "t3a.xlarge": 0.1504,
    "t4g.2xlarge": 0.2688,
    "m5.24xlarge": 4.608,
    "m6gd.16xlarge": 2.8928,
    "m7a.medium": 0.05796,
    "m7i.48xlarge": 9.6768,
    "m8i-flex.16xlarge": 3.2176,
    "c5.9xlarge": 1.53,
    "c5.18xlarge": 3.06,
    "c6a.48xlarge": 7.344,
    "c7g.medium": 0.0363,
    "c7i-flex.12xlarge": 2.0349,
    "r6id.32xlarge": 9.6768,
    "r8g.48xlarge": 11.31072,
    "r8i.96xlarge": 26.67264,
    "g5.16xlarge": 4.096,
}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_price_is_that_of_the_list(name):
    region = _book.builtin().regions["us-east-1"]
    assert region.instances[name] == pytest.approx(KNOWN[name], abs=1e-6)


def test_every_commercial_region_is_there_and_only_the_source_s_own_is_verified():
    book = _book.builtin()
    assert [name for name, region in book.regions.items() if region.verified] == ["us-east-1"]
    for name, region in book.regions.items():
        assert region.instances.keys() == data_ec2.instances().keys(), name
        assert region.source, name
        assert len(region.published) == 10, name
        assert 0.05 < region.gp3_gb_month < 0.2, name
        assert all(0 < price < 1000 for price in region.instances.values()), name


def test_a_price_file_says_the_same_when_it_is_read_again():
    regions = {name: _book.builtin().regions[name] for name in ("us-east-1", "eu-central-1")}
    assert _book.parse(json.loads(json.dumps(_book.dump(regions))), "f") == regions


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"format": 2, "currency": "USD", "regions": {}},
        {"format": 1, "currency": "EUR", "regions": {}},
        {"format": 1, "currency": "USD"},
        {"format": 1, "currency": "USD", "regions": {"r": {}}},
        {"format": 1, "currency": "USD", "regions": {"r": {"instances": {"a": "0.1"}}}},
        {"format": 1, "currency": "USD", "regions": {"r": {"instances": {"a": True}}}},
        {"format": 1, "currency": "USD", "regions": {"r": {"instances": {"a": -0.1}}}},
        {"format": 1, "currency": "USD", "regions": {"r": {"instances": {"a": float("nan")}}}},
        {"format": 1, "currency": "USD", "regions": {"r": {"instances": {"a": 1e9}}}},
        {"format": 1, "currency": "USD", "regions": {"r": {"instances": {}, "gp3_gb_month": []}}},
    ],
)
def test_anything_else_is_no_price_file(document):
    with pytest.raises(FuelError) as caught:
        _book.parse(document, "prices.json")
    assert caught.value.code == "bad_prices"
    assert "prices.json" in str(caught.value)
