# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl up` against the real control plane, workflows played by the test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fuelctl import paths, ssh_config
from fuelctl.environments.journal import Journal
from tests.fuelctl.stage import Stage, become_ready, degraded, failed, git, receipt, repository

pytestmark = pytest.mark.usefixtures("surroundings")


class TestUp:
    def test_ends_with_what_to_type_next(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        done = fuelctl("up", str(repo), "--yes")
        assert done.code == 0, done.err
        environment = fuelctl("ls", "--json").json["environments"][0]
        for words in (
            "my-shop is ready",
            environment["id"],
            "127.0.0.1",
            "8080 -> 127.0.0.1:18080",
            "fuelctl ssh my-shop",
            "fuelctl down my-shop",
            "0.00 USD",
            "debian:bookworm",
            "ends after 8h, or 30m without any activity",
        ):
            assert words in done.out, words
        assert "container" in done.err
        assert "2.2s" in done.err
        assert "reused" in done.err

    def test_the_source_arrives_whole_and_is_forgotten_here(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        (repo / "new.txt").write_text("not committed")
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        tar = paths.source_folder(environment["id"]) / "source.tar"
        names = subprocess.run(["tar", "-tf", str(tar)], capture_output=True, text=True, check=True).stdout.split()
        assert {"source.json", "repo.bundle", "dirty.patch"} <= set(names)
        assert environment["repository"]["dirty"] is True
        assert environment["repository"]["commit"] == git(repo, "rev-parse", "HEAD")
        assert list((paths.cache_folder() / "uploads").iterdir()) == []

    def test_clean_leaves_changes_at_home(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        (repo / "new.txt").write_text("not committed")
        assert fuelctl("up", str(repo), "--yes", "--json", "--clean").json["repository"]["dirty"] is False

    def test_json_is_one_document_and_nothing_else(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        done = fuelctl("up", str(repo), "--yes", "--json", "--name", "n", "--ttl", "2h", "--idle", "10m")
        assert done.json["status"] == "ready"
        assert done.json["name"] == "n"
        assert (done.json["lease"]["ttl_seconds"], done.json["lease"]["idle_seconds"]) == (7200, 600)

    def test_opens_the_way_in(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        assert ssh_config.has_key(environment["id"])
        config = Path(os.environ["FUELCTL_SSH_CONFIG"])
        shown = subprocess.run(
            ["ssh", "-G", "-F", str(config), "fuel-my-shop"], capture_output=True, text=True, check=True
        )
        assert f"exec -i -u 0 fuel-code-{environment['id'].lower()}-1 " in shown.stdout

    def test_default_names_make_room_and_given_ones_do_not(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        names = [fuelctl("up", str(repo), "--yes", "--json").json["name"] for _turn in range(3)]
        assert names == ["my-shop", "my-shop-2", "my-shop-3"]
        done = fuelctl("up", str(repo), "--yes", "--name", "my-shop")
        assert done.code == 1
        assert "my-shop" in done.err
        assert len(done.err.splitlines()) == 2

    def test_a_name_that_is_taken_while_we_pack(
        self, fuelctl: Any, stage: Stage, repo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fuelctl.cli import _launch

        fuelctl("up", str(repo), "--yes")
        seen = iter([set[str]()])
        real = _launch.names_in_use
        monkeypatch.setattr(_launch, "names_in_use", lambda client, owner: next(seen, None) or real(client, owner))
        assert fuelctl("up", str(repo), "--yes", "--json").json["name"] == "my-shop-2"

    def test_detected_blueprint_shows_what_was_found_and_where(
        self, fuelctl: Any, stage: Stage, tmp_path: Path
    ) -> None:
        repo = repository(tmp_path / "app", None)
        (repo / "package.json").write_text('{"name": "app", "engines": {"node": "22"}}\n')
        done = fuelctl("up", str(repo), "--dry-run")
        assert done.code == 0, done.err
        assert "Detected:" in done.out
        assert "package.json" in done.out
        assert fuelctl("ls").out == "No active environments.\n"
        plan = fuelctl("up", str(repo), "--dry-run", "--json").json
        assert plan["blueprint_origin"] == "detected"
        assert any(item["source"].startswith("package.json") for item in plan["evidence"])

    def test_degraded_shows_the_command_its_last_lines_and_the_way_in(
        self, fuelctl: Any, stage: Stage, repo: Path
    ) -> None:
        stage.plays["provision"] = degraded
        done = fuelctl("up", str(repo), "--yes")
        assert done.code == 0
        for words in (
            "degraded",
            "$ npm ci (exit code 7)",
            "| npm error one",
            "| npm error two",
            "fuelctl ssh my-shop",
        ):
            assert words in done.out
        assert "\x1b" not in done.out + done.err

    def test_error_shows_message_hint_stage_last_lines_and_that_all_was_undone(
        self, fuelctl: Any, stage: Stage, repo: Path
    ) -> None:
        stage.plays["provision"] = failed
        done = fuelctl("up", str(repo), "--yes")
        assert done.code == 1
        for words in (
            "error: image: image nowhere:1 does not exist",
            "hint: check the name of the image",
            "stage: container",
            "| pull access denied",
            "was undone",
        ):
            assert words in done.err
        document = fuelctl("up", str(repo), "--yes", "--json")
        assert document.code == 1
        assert document.json["status"] == "error"
        assert document.json["receipt"]["complete"] is True

    def test_what_could_not_be_undone_is_said(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        def play(_stage: Stage, journal: Journal) -> None:
            journal.failed({"message": "broken", "hint": None}, receipt(complete=False))

        stage.plays["provision"] = play
        done = fuelctl("up", str(repo), "--yes")
        assert done.code == 1
        assert "could not all be removed" in done.err

    def test_attach_replays_and_follows(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        done = fuelctl("up", "--attach", environment["id"])
        assert done.code == 0
        assert "container" in done.err
        assert "my-shop is ready" in done.out

    def test_attach_sends_the_rest_of_a_broken_upload(
        self, fuelctl: Any, stage: Stage, repo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fuelctl.client import Client

        real = Client.upload

        def interrupted(self: Client, *arguments: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Client, "upload", interrupted)
        done = fuelctl("up", str(repo), "--yes")
        assert done.code == 130
        assert "upload has stopped" in done.err
        assert "--attach my-shop" in done.err
        monkeypatch.setattr(Client, "upload", real)
        done = fuelctl("up", "--attach", "my-shop")
        assert done.code == 0, done.err
        assert list((paths.cache_folder() / "uploads").iterdir()) == []

    def test_attach_without_the_source_says_so(
        self, fuelctl: Any, stage: Stage, repo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fuelctl.client import Client

        def interrupted(self: Client, *arguments: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Client, "upload", interrupted)
        fuelctl("up", str(repo), "--yes")
        for path in (paths.cache_folder() / "uploads").iterdir():
            path.unlink()
        done = fuelctl("up", "--attach", "my-shop")
        assert done.code == 1
        assert "does not hold the rest" in done.err

    def test_without_a_terminal_and_yes_it_asks_nobody(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        done = fuelctl("up", str(repo))
        assert done.code == 2
        assert "--yes" in done.err
        assert fuelctl("ls", "--all").out == "No environments.\n"

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (["--name", "Not A Name"], "name"),
            (["--ttl", "soon"], "--ttl"),
            (["--ttl", "0"], "--ttl"),
            (["--idle", "-5m"], "--idle"),
            (["--ttl", "9999999999h"], "--ttl"),
            (["--provider", "moon"], "moon"),
            (["--branch", "nope"], "branch"),
            (["--blueprint", "/nowhere/env.yaml"], "/nowhere/env.yaml"),
            (["--secret", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE"),
            (["--secret", "A=hunter2"], "never a value"),
            (["--secret", "LD_PRELOAD"], "LD_PRELOAD"),
            (["--secret-file", "A"], "NAME=PATH"),
            (["--secret-file", "A=/nowhere"], "/nowhere"),
            (["--agent-home", "/nowhere"], "/nowhere"),
            (["--frobnicate"], "--frobnicate"),
        ],
    )
    def test_wrong_input_is_usage(
        self, fuelctl: Any, stage: Stage, repo: Path, arguments: list[str], word: str
    ) -> None:
        done = fuelctl("up", str(repo), "--yes", *arguments)
        assert done.code == 2, done.err
        assert word in done.err
        assert "hunter2" not in done.err + done.out
        document = fuelctl("up", str(repo), "--yes", "--json", *arguments)
        assert document.code == 2
        assert word in str(document.json["error"])

    def test_blueprint_problems_are_all_told_with_their_lines(self, fuelctl: Any, stage: Stage, tmp_path: Path) -> None:
        repo = repository(tmp_path / "app", "version: 1\nimage: '--privileged'\nports: [0]\n")
        done = fuelctl("up", str(repo), "--yes")
        assert done.code == 2
        assert "env.yaml:2" in done.err
        assert "env.yaml:3" in done.err

    def test_secrets_are_given_by_the_person_and_asked_for_by_the_blueprint(
        self, fuelctl: Any, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repo = repository(tmp_path / "app", "version: 1\nimage: debian:bookworm\nsecrets: [TOKEN_A, TOKEN_B]\n")
        monkeypatch.setenv("TOKEN_A", "canary-a")
        monkeypatch.setenv("TOKEN_B", "canary-b")
        done = fuelctl("up", str(repo), "--yes")
        assert done.code == 2, "a blueprint alone must not read the caller's variables"
        assert "--secret TOKEN_A --secret TOKEN_B" in done.err
        file = tmp_path / "b"
        file.write_text("from-file\n")
        held: dict[str, str] = {}

        def play(_stage: Stage, journal: Journal) -> None:
            held.update(journal.secrets())
            become_ready(journal)

        stage.plays["provision"] = play
        done = fuelctl("up", str(repo), "--yes", "--secret", "TOKEN_A", "--secret-file", f"TOKEN_B={file}")
        assert done.code == 0, done.err
        assert held["TOKEN_A"] == "canary-a"
        assert held["TOKEN_B"] == "from-file"
        assert "canary-a" not in done.out + done.err
        assert "from-file" not in done.out + done.err

    def test_hostile_text_from_the_machine_cannot_reach_the_terminal(
        self, fuelctl: Any, stage: Stage, repo: Path
    ) -> None:
        def play(stage: Stage, journal: Journal) -> None:
            evil = "\x1b]0;owned\x07\x1b[2J\x9b31mred\u202egnp.exe\r\x08"
            stage.tell(journal, "remote.stage", stage=evil, state="start")
            stage.tell(journal, "remote.stage", stage=evil, state="failed", seconds=1.0, message=evil)
            stage.tell(journal, "remote.output", stage="setup", step=evil, text=evil)
            journal.failed({"message": evil, "hint": evil, "stage": evil, "tail": [evil]}, receipt())

        stage.plays["provision"] = play
        done = fuelctl("up", str(repo), "--yes")
        shown = done.out + done.err + fuelctl("logs", "my-shop").out + fuelctl("status", "my-shop").out
        for bad in ("\x1b", "\x9b", "\x07", "\x08", "\u202e", "\r"):
            assert bad not in shown
        assert "owned" not in shown


def test_a_folder_is_launched_with_the_nearest_blueprint_and_that_is_said(
    fuelctl: Any, stage: Stage, repo: Path
) -> None:
    (repo / "services" / "api").mkdir(parents=True)
    done = fuelctl("up", str(repo / "services" / "api"), "--yes", "--name", "api")
    assert done.code == 0, done.err
    told = "services/api has no .fuel-code/env.yaml: that of the whole repository counts"
    assert told in done.out
    assert "debian:bookworm" in done.out
    assert "Workspace:  /workspaces/it's here/services/api" in fuelctl("status", "api").out
    own = repo / "services" / "api" / ".fuel-code"
    own.mkdir()
    (own / "env.yaml").write_text("image: debian:trixie\n")
    done = fuelctl("up", str(repo / "services" / "api"), "--dry-run")
    assert "debian:trixie" in done.out
    assert told not in done.out


def test_plain_ssh_is_promised_only_where_the_users_config_may_know_it(
    fuelctl: Any, stage: Stage, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "or plain: ssh fuel-my-shop" in fuelctl("up", str(repo), "--yes").out
    assert "or plain: ssh fuel-my-shop" in fuelctl("status", "my-shop").out
    monkeypatch.setenv("FUELCTL_SSH_CONFIG", "none")
    assert "plain" not in fuelctl("status", "my-shop").out
    assert "plain" not in fuelctl("up", str(repo), "--yes").out


def test_attaching_to_what_was_ready_and_has_ended_does_not_say_that_it_never_was(
    fuelctl: Any, stage: Stage, repo: Path
) -> None:
    fuelctl("up", str(repo), "--yes")
    identity = fuelctl("status", "my-shop", "--json").json["id"]
    fuelctl("down", "my-shop", "--yes")
    done = fuelctl("up", "--attach", identity)
    assert done.code == 1
    assert "error: my-shop was ended by user\n" in done.err
