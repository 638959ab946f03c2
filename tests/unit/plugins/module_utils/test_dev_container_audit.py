# SPDX-License-Identifier: GPL-3.0-or-later
"""Times as an engine writes them."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._audit import moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T00:00:10.123456789Z", 10.0),
        ("1970-01-01T01:00:10+01:00", 10.0),
        ("1969-12-31T18:30:10-05:30", 10.0),
        ("2026-01-31T12:00:00Z", 1769860800.0),
        ("", None),
        ("yesterday", None),
        ("1970-01-01", None),
        ("1970-01-01T00:00:10", None),
    ],
)
def test_a_moment(text, seconds):
    assert moment(text) == seconds
