# SPDX-License-Identifier: GPL-3.0-or-later
"""What machines have cost, by the time that they ran."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._prices import _count
from ansible_collections.fuel_code.remote.plugins.module_utils._prices._count import Running
from hypothesis import given
from hypothesis import strategies as st

TIME = st.floats(1.6e9, 2.0e9)
PRICE = st.floats(0, 100)


@st.composite
def machines(draw):
    found = []
    for _number in range(draw(st.integers(0, 4))):
        begun = draw(TIME)
        ended = draw(st.none() | st.floats(0, 1e6).map(begun.__add__))
        found.append(Running(begun, ended, draw(PRICE)))
    return found


def test_an_hour_costs_an_hour_and_nothing_costs_nothing():
    assert _count.spent([], 100.0).amount == 0
    assert _count.spent([Running(0.0, 3600.0, 0.2)], 99_999.0).amount == pytest.approx(0.2)
    assert _count.spent([Running(0.0, None, 0.2)], 1800.0).amount == pytest.approx(0.1)
    assert _count.spent([Running(0.0, 1.0, 0.6)], 1.0).amount == pytest.approx(0.01), "a minute at least"


def test_a_machine_without_price_is_not_passed_off_as_free():
    told = _count.spent([Running(0.0, 3600.0, None), Running(0.0, 3600.0, 1.0)], 9999.0)
    assert (told.amount, told.known) == (1.0, False)
    assert not _count.rate([Running(0.0, None, None)]).known
    assert _count.rate([Running(0.0, 10.0, None)]).known, "it runs no more"


@given(machines(), TIME, st.floats(0, 1e6))
def test_time_never_makes_it_cheaper(found, now, later):
    assert 0 <= _count.spent(found, now).amount <= _count.spent(found, now + later).amount + 1e-9


@given(machines(), TIME, TIME, TIME, TIME)
def test_windows_side_by_side_cost_what_they_cost_together(found, now, first, second, third):
    a, b, c = sorted((first, second, third))
    parts = _count.spent(found, now, (a, b)).amount + _count.spent(found, now, (b, c)).amount
    assert parts == pytest.approx(_count.spent(found, now, (a, c)).amount, rel=1e-6, abs=1e-6)


@given(machines(), TIME)
def test_the_window_of_everything_is_everything(found, now):
    whole = _count.spent(found, now, (0.0, 1e12)).amount
    assert whole == pytest.approx(_count.spent(found, now).amount, rel=1e-6, abs=1e-6)


@given(PRICE, TIME, TIME, TIME, TIME)
def test_what_is_promised_is_within_the_window(hourly, begin, end, first, second):
    window = (min(first, second), max(first, second))
    told = _count.committed(hourly, begin, end, window)
    assert 0 <= told <= hourly * (window[1] - window[0]) / 3600 + 1e-6


@given(st.floats(1e9, 4e9))
def test_a_moment_lies_in_its_month(at):
    begin, end = _count.month_of(at)
    assert begin <= at < end
    assert _count.month_of(end)[0] == end
    assert _count.month_of(begin) == (begin, end)
    assert datetime.fromtimestamp(begin, UTC).day == 1
