# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for the checkout as a whole: documented dependencies, one version, licensed files, habits that exist."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import fuelctl

CHECKOUT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]


def requirement_name(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ]", requirement, maxsplit=1)[0]


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=CHECKOUT, check=True, capture_output=True, text=True
    ).stdout
    return [CHECKOUT / name for name in listing.split("\0") if name and (CHECKOUT / name).is_file()]


@pytest.mark.parametrize("name", [requirement_name(requirement) for requirement in REQUIREMENTS])
def test_every_dependency_has_its_reason_in_the_documentation(name: str) -> None:
    assert f"`{name}`" in (CHECKOUT / "docs" / "developer" / "dependencies.md").read_text()


def test_documentation_names_no_dependency_that_is_gone() -> None:
    text = (CHECKOUT / "docs" / "developer" / "dependencies.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == {requirement_name(requirement) for requirement in REQUIREMENTS}


def test_collection_and_fuelctl_have_one_version() -> None:
    assert yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"] == fuelctl.__version__


def test_every_source_file_names_its_license() -> None:
    sources = [path for path in tracked("*.py", "*.sh", "Makefile", ".ci/run", "examples/*.js") if path.stat().st_size]
    without = [str(path) for path in sources if "SPDX-License-Identifier:" in path.read_text()[:1000]]
    assert sorted(without) == sorted(str(path) for path in sources)


def test_every_habit_of_the_readme_and_contributing_is_a_make_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md", "docs/developer/testing.md"):
        habits = set(re.findall(r"(?:`|\$ )make ([a-z]+)", (CHECKOUT / page).read_text()))
        assert habits, page
        assert habits <= targets, page


def test_documentation_links_lead_somewhere() -> None:
    links = [
        (page, target)
        for page in tracked("*.md")
        if page.parent.name != "tools"  # templates of pages that are elsewhere
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if not re.match(r"[a-z]+:", target)
    ]
    assert [f"{page}: {target}" for page, target in links if not (page.parent / target).exists()] == []
