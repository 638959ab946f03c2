# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's pages name commands and options that exist, and miss none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fuelctl.cli._app import COMMANDS, load

USER = Path(__file__).resolve().parents[2] / "docs" / "user"
PAGES = ("getting-started.md", "ssh.md", "team.md")


def options(command: Any) -> set[str]:
    found = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for inner in getattr(command, "commands", {}).values():
        found |= options(inner)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_what_exists(page: str) -> None:
    text = (USER / page).read_text()
    used = re.findall(r"fuelctl ([a-z]+)((?: [^\n`#;]*)?)", "\n".join(re.findall(r"```[^`]*```|`[^`]+`", text)))
    assert used
    for name, rest in used:
        assert name in COMMANDS, name
        own = rest.partition(" -- ")[0]
        given = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", own))
        assert given <= options(load(name)) | {"--help"}, (name, given)


def test_the_first_page_names_every_command() -> None:
    text = (USER / "getting-started.md").read_text()
    missing = [name for name in COMMANDS if f"fuelctl {name}" not in text and name != "version"]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (USER / page).read_text()):
        assert (USER / target).exists(), target


def test_every_command_has_help_and_every_option_a_text() -> None:
    for name in COMMANDS:
        command: Any = load(name)
        for inner in [command, *getattr(command, "commands", {}).values()]:
            assert inner.help, name
            for parameter in inner.params:
                assert getattr(parameter, "help", None), f"{name} {parameter.name}"
