# SPDX-License-Identifier: GPL-3.0-or-later
"""An MCP server of the blueprint on this machine's engine: it runs inside, and answers over SSH."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import mcp_tools
from .harness import Fuelctl, make_repository, write_blueprint

#: On every commit the same is tried on the Fly lab (test_fly.py), in an environment that is there anyhow.
pytestmark = [pytest.mark.docker, pytest.mark.soak]

CANARY = "sk-canary-mcp-7d1f-nowhere-at-rest"


def test_a_server_of_the_blueprint_runs_inside_and_answers_over_ssh(user: Fuelctl, tmp_path: Path) -> None:
    path = make_repository(tmp_path / "sample", __gitignore=mcp_tools.IGNORED)
    for name, text in mcp_tools.FILES.items():
        (path / name).write_text(text)
    write_blueprint(
        path,
        f"version: 1\nimage: node:22-bookworm\nsetup: ['{mcp_tools.SETUP}']\nsecrets: [API_KEY]\n{mcp_tools.AGENT}",
    )
    up = ("up", str(path), "--name", "tools", "--secret", "API_KEY", "--yes", "--json")
    assert user.run(*up, extra_env={"API_KEY": CANARY}).json["conditions"] == []
    answer = mcp_tools.speak(user, "tools", "API_KEY")
    assert answer == mcp_tools.Answer("tools", ["digest"], f"{mcp_tools.digest(CANARY)} /workspaces/sample")
    mcp_tools.the_agent_reaches_it(user, "tools", CANARY)
    user.run("down", "tools", "--yes", "--discard")
