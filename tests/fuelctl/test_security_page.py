# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/security.md claims nothing without a test: every one that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "security.md"
#: The rows of the table of threats: who, what stands in the way, tests.
ROWS = [
    line.strip("| ").split(" | ")
    for line in PAGE.read_text().partition("## Threats")[2].splitlines()
    if line.startswith("| ") and not line.startswith("| who")
]


def names_in(file: Path) -> set[str]:
    """Classes and functions of a file of tests."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, kinds)}


def test_there_are_threats() -> None:
    assert len(ROWS) > 15


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_every_claim_names_tests_that_are_there(row: list[str]) -> None:
    assert len(row) == 3
    tests = re.findall(r"`([^`]+)`", row[2])
    named = [each.partition("::")[0] for each in tests if each.partition("::")[0].endswith(".py")]
    files = [CHECKOUT / name if "/" in name else CHECKOUT / "tests" / "fuelctl" / name for name in named]
    assert files
    assert [str(file) for file in files if not file.is_file()] == []
    known = set().union(*(names_in(file) for file in files))
    pieces = {piece for each in tests for piece in each.split("::") if not piece.endswith(".py")}
    assert pieces - known == set()
