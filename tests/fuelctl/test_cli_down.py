# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl down` against the real control plane, workflows played by the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fuelctl import ssh_config
from fuelctl.environments.journal import Journal
from tests.fuelctl.stage import Stage, refused

pytestmark = pytest.mark.usefixtures("surroundings")


class TestDown:
    def test_receipt_names_everything_including_what_was_here(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        done = fuelctl("down", "my-shop", "--yes")
        assert done.code == 0, done.err
        for words in ("container", "volume", "ssh_config_entry", "ssh_key", "nothing of it is left"):
            assert words in done.out
        assert "present" not in done.out
        assert not any(ssh_config.traces(environment["id"]).values())

    def test_json(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        fuelctl("up", str(repo), "--yes")
        document = fuelctl("down", "my-shop", "--yes", "--json").json["environments"][0]
        assert document["status"] == "terminated"
        assert {item["state"] for item in document["receipt"]["resources"]} == {"gone"}
        assert {"ssh_config_entry", "ssh_key"} <= {item["kind"] for item in document["receipt"]["resources"]}

    def test_twice_is_harmless(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        fuelctl("down", environment["id"], "--yes")
        done = fuelctl("down", environment["id"], "--yes")
        assert done.code == 0
        assert "had ended already" in done.err

    def test_work_that_would_be_lost_stops_it(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        stage.plays["terminate"] = refused
        fuelctl("up", str(repo), "--yes")
        done = fuelctl("down", "my-shop", "--yes")
        assert done.code == 1
        for words in (
            "draft.txt",
            "agent/work",
            "Commit it inside (fuelctl ssh my-shop)",
            "fuelctl pull my-shop",
            "--discard",
        ):
            assert words in done.err
        assert fuelctl("ls", "--json").json["environments"][0]["status"] == "ready"
        document = fuelctl("down", "my-shop", "--yes", "--json")
        assert document.code == 1
        assert document.json["environments"][0]["refused"]["work"]["uncommitted"] == ["draft.txt"]
        # The refusals so far are in the log; this one is not taken for refused as well.
        assert fuelctl("down", "my-shop", "--yes", "--discard").code == 0

    def test_an_ending_that_fails_is_told_and_does_not_hang(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        def play(_stage: Stage, journal: Journal) -> None:
            journal.destroying()
            journal.not_terminated({"message": "the engine is away", "hint": "start it"}, None)

        stage.plays["terminate"] = play
        fuelctl("up", str(repo), "--yes")
        done = fuelctl("down", "my-shop", "--yes")
        assert done.code == 1
        assert "the engine is away" in done.err
        assert "hint: start it" in done.err
        assert "tries again" in done.err

    def test_all_of_none_and_all_of_some(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        assert fuelctl("down", "--all", "--yes").out == "No active environments.\n"
        fuelctl("up", str(repo), "--yes")
        fuelctl("up", str(repo), "--yes")
        done = fuelctl("down", "--all", "--yes")
        assert done.code == 0
        assert done.out.count("Receipt: nothing of it is left.") == 2
        assert fuelctl("ls").out == "No active environments.\n"

    @pytest.mark.parametrize("arguments", [[], ["x", "--all"]])
    def test_usage(self, fuelctl: Any, stage: Stage, arguments: list[str]) -> None:
        assert fuelctl("down", *arguments).code == 2

    def test_without_a_terminal_and_yes_nothing_ends(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        fuelctl("up", str(repo), "--yes")
        assert fuelctl("down", "my-shop").code == 2
        assert fuelctl("ls", "--json").json["environments"][0]["status"] == "ready"
