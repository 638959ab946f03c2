# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/reliability.md promises nothing without a test: every file that a row names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TESTS = CHECKOUT / "tests"
ROWS = [
    line.strip("| ").split(" | ")
    for line in (CHECKOUT / "docs" / "reliability.md").read_text().splitlines()
    if line.startswith("| ") and not line.endswith("| test |")
]


def test_there_are_promises() -> None:
    assert len(ROWS) > 60


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_every_row_names_tests_that_are_there(row: list[str]) -> None:
    named = [each.partition("::")[0] for each in re.findall(r"`([^`]+)`", row[-1])]
    assert named
    missing = [
        name for name in named if not ((CHECKOUT / name).exists() if "/" in name else list(TESTS.glob(f"*/**/{name}")))
    ]
    assert missing == []
