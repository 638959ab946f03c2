# SPDX-License-Identifier: GPL-3.0-or-later
"""A spot machine that AWS is about to take back, and that says so to its team's server by itself."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.fuelctl.databases import own_cluster
from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .harness import BASE_IMAGE
from .test_team import Team

pytestmark = [pytest.mark.docker, pytest.mark.soak]


def test_a_machine_that_is_taken_back_tells_it_at_once(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nobody looks at it: seen, saved and ended by its own word, long before the two minutes are over."""
    repository = ec2.sample(tmp_path_factory)
    with Ec2Lab(images=[BASE_IMAGE]) as lab, own_cluster() as cluster:
        team = Team(lab, tmp_path / "team", cluster.url)
        team.called_back_at((urlsplit(lab.registry).hostname or "").rpartition(".")[0] + ".1")
        try:
            team.begin()
            asked = ("up", str(repository), "--provider=ec2", "--name=noticed", "--spot", "--yes", "--json")
            team.documents["noticed"] = team.ada.run(*asked, timeout=540).json
            team.ada.run("exec", "noticed", "--", "sh", "-c", "echo unsaved > draft.txt", timeout=300)
            team.until("noticed", lambda shown: shown["last_event_at"])
            [machine] = lab.alive()
            lab.ask("POST", f"instances/{machine['id']}/interrupt", {"seconds": 900})
            begun = time.monotonic()
            team.until("noticed", lambda shown: shown["ended_by"])
            heard = time.monotonic() - begun
            ended = team.ended("noticed")
            print(f"\nheard {heard:.0f} s and ended {time.monotonic() - begun:.0f} s after the notice")
            assert (ended["status"], ended["ended_by"], ended["receipt"]["complete"]) == ("terminated", "spot", True)
            [line] = [each for each in ended["receipt"]["resources"] if each["kind"] == "instance"]
            assert "Spot" not in line["detail"], "it was ours to end"
            assert (ended["rescued"]["state"], ended["rescued"]["complete"]) == ("saved", True)
            [notice] = [each["data"] for each in team.events("noticed") if each["type"] == "remote.machine.notice"]
            assert notice["action"] == "terminate"
        finally:
            team.end()
