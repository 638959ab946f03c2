# SPDX-License-Identifier: GPL-3.0-or-later
"""A receipt is complete only when everything is known to be gone."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._receipt import entry, left_over, receipt


@pytest.mark.parametrize(("state", "complete"), [("gone", True), ("present", False), ("unknown", False)])
def test_complete_only_when_gone(state, complete):
    made = receipt([entry("volume", "v", "gone"), entry("container", "c", state)], clock=lambda: 0.0)
    assert made["complete"] is complete
    assert made["checked_at"] == "1970-01-01T00:00:00Z"
    assert left_over(made) == ([] if complete else ["container c"])


def test_a_resource_is_listed_once():
    assert len(receipt([entry("volume", "v", "gone")] * 2)["resources"]) == 1
