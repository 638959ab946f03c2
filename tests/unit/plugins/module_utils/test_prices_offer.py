# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine would cost, and the limit above which nothing is made."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._prices import _book, _offer
from hypothesis import given
from hypothesis import strategies as st

BOOK = _book.builtin()
REGIONS = st.sampled_from(sorted(BOOK.regions))
TYPES = st.lists(st.sampled_from(sorted(BOOK.regions["us-east-1"].instances)), min_size=1, max_size=4)
WISHES = st.builds(
    _offer.Wish,
    region=REGIONS,
    types=TYPES.map(tuple),
    spot=st.booleans(),
    disk_gb=st.floats(0, 1000),
    public_ipv4=st.booleans(),
)


def test_machine_disk_and_address_together():
    wish = _offer.Wish("us-east-1", ("m7i.xlarge",), disk_gb=73, public_ipv4=True)
    offered = _offer.offer(BOOK, wish)
    assert offered.hourly == pytest.approx(0.2016 + 0.08 * 73 / 730 + 0.005)
    assert offered.ceiling == offered.hourly
    assert (offered.estimate, offered.reason, offered.market) == (False, "", "on-demand")
    assert "2026" in offered.source


def test_what_is_not_verified_or_moves_is_called_an_estimate():
    elsewhere = _offer.offer(BOOK, _offer.Wish("eu-central-1", ("m7i.xlarge",)))
    assert elsewhere.estimate
    assert "not verified" in elsewhere.reason
    spot = _offer.offer(BOOK, _offer.Wish("us-east-1", ("m7i.xlarge",), spot=True))
    assert (spot.estimate, spot.market) == (True, "spot")
    # Spot capacity falls back to on-demand, so that is what it may cost.
    assert spot.hourly < spot.ceiling == pytest.approx(0.2016 + 0.005)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (_offer.Wish("", ("m7i.large",)), "no region is named"),
        (_offer.Wish("mars-1", ("m7i.large",)), "no prices of region mars-1"),
        (_offer.Wish("us-east-1", ()), "no machine type is named"),
        (_offer.Wish("us-east-1", ("x9.large",)), "no price of x9.large in us-east-1"),
    ],
)
def test_a_price_that_nobody_knows_is_none_and_says_why(wish, reason):
    offered = _offer.offer(BOOK, wish)
    assert (offered.hourly, offered.ceiling, offered.reason) == (None, None, reason)


def test_a_type_without_price_among_others_leaves_no_ceiling():
    offered = _offer.offer(BOOK, _offer.Wish("us-east-1", ("m7i.large", "x9.large")))
    assert offered.hourly is not None
    assert offered.ceiling is None


@given(WISHES)
def test_no_offer_is_negative_or_above_its_ceiling(wish):
    offered = _offer.offer(BOOK, wish)
    assert 0 < offered.hourly <= offered.ceiling
    assert offered.estimate == (wish.spot or wish.region != "us-east-1")


@given(WISHES, st.floats(0, 1000))
def test_more_disk_and_another_type_to_fall_back_to_never_cost_less(wish, more):
    base = _offer.offer(BOOK, wish)
    larger = _offer.Wish(wish.region, (*wish.types, "m5.large"), wish.spot, wish.disk_gb + more, wish.public_ipv4)
    offered = _offer.offer(BOOK, larger)
    assert offered.hourly >= base.hourly
    assert offered.ceiling >= base.ceiling


@given(WISHES, st.floats(0, 100))
def test_the_limit_refuses_exactly_what_may_cost_more(wish, most):
    offered = _offer.offer(BOOK, wish)
    if offered.ceiling <= most:
        _offer.check_ceiling(offered, most)
        return
    with pytest.raises(UsageError) as caught:
        _offer.check_ceiling(offered, most)
    assert caught.value.code == "too_dear"
    assert offered.ceiling is not None
    assert _offer.money(offered.ceiling) in str(caught.value)


def test_without_a_limit_everything_passes_and_with_one_the_unknown_does_not():
    unknown = _offer.offer(BOOK, _offer.Wish("mars-1", ("m7i.large",)))
    _offer.check_ceiling(unknown, None)
    with pytest.raises(UsageError) as caught:
        _offer.check_ceiling(unknown, 1000.0)
    assert caught.value.code == "price_unknown"
    _offer.check_ceiling(_offer.FREE, 0.0)


@pytest.mark.parametrize("most", [-1.0, float("nan"), float("inf")])
def test_a_limit_is_an_amount(most):
    with pytest.raises(UsageError):
        _offer.check_ceiling(_offer.FREE, most)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.00"),
        (0.2016, "0.2016"),
        (0.21, "0.21"),
        (0.5, "0.50"),
        (0.125, "0.125"),
        (3.14159, "3.14"),
        (12.0, "12.00"),
    ],
)
def test_money(amount, text):
    assert _offer.money(amount) == text
