# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Fly Machine costs: the figures that Fly.io's own page gives for whole months."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._prices._fly import Machine, kept, offer, running

MONTH = 30 * 24


@pytest.mark.parametrize(
    ("machine", "month"),
    [
        (Machine("iad", "shared", 1, 0.25), 2.19),
        (Machine("iad", "shared", 1, 0.5), 3.69),
        (Machine("iad", "shared", 1, 1), 6.70),
        (Machine("iad", "shared", 2, 2), 13.39),
        (Machine("iad", "performance", 1, 2), 33.0),
        (Machine("iad", "performance", 2, 4), 66.0),
        (Machine("fra", "shared", 1, 1), 7.73),
        (Machine("sin", "shared", 1, 1), 8.50),
    ],
)
def test_a_month_of_one(machine, month):
    hourly = running(machine)
    assert hourly is not None
    assert hourly * MONTH == pytest.approx(month, abs=0.02)


def test_what_is_kept_while_it_is_stopped():
    assert kept(Machine("iad", disk_gb=10)) * 730 == pytest.approx(3.5)
    assert kept(Machine("iad", disk_gb=10, dedicated_ipv4=False)) * 730 == pytest.approx(1.5)


def test_an_offer_names_its_source_and_what_is_not_known():
    found = offer(Machine("fra"))
    assert (found.estimate, found.type, found.ceiling) == (False, "shared-cpu-2x 4 GB", found.hourly)
    assert "fly.io" in found.source
    assert found.published
    unknown = offer(Machine("xyz"))
    assert (unknown.hourly, unknown.reason) == (None, "no prices of region xyz")
    assert offer(Machine("")).reason == "no region is named"
    assert offer(Machine("fra", "imaginary")).hourly is None
