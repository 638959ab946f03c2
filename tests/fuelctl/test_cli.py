# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands against the real control plane, workflows played by the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fuelctl import __version__, paths, ssh_config
from fuelctl.__main__ import run
from fuelctl.environments.journal import Journal
from tests.fuelctl import stage as stage_module
from tests.fuelctl.stage import Stage, become_ready, degraded, failed, git, receipt, refused, repository


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUELCTL_SSH_CONFIG", str(tmp_path / "ssh" / "config"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FUELCTL_SERVER_URL", raising=False)


@pytest.fixture
def fuelctl(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> Done:
        capsys.readouterr()
        code = run(list(arguments))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Done(code, captured.out, captured.err)

    return call


@pytest.fixture
def stage() -> Iterator[Stage]:
    with stage_module.stage() as made:
        yield made


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "My Shop")


def test_wrong_usage_has_its_own_code_for_machines(fuelctl: Any, stage: Stage) -> None:
    for command in (["ls", "--status", "nope"], ["ls", "--nope"], ["logs", "x", "-f"], ["down"]):
        done = fuelctl(*command, "--json")
        assert (done.code, done.json["error"]["code"]) == (2, "usage"), command


def test_who_looks_has_the_machines_asked_and_who_works_does_not(fuelctl: Any, stage: Stage, repo: Path) -> None:
    fuelctl("up", str(repo), "--yes", "--name", "one")
    fuelctl("up", str(repo), "--yes", "--name", "two")
    fuelctl("logs", "one")
    assert stage.looks == 0
    fuelctl("ls")
    fuelctl("status", "one")
    assert stage.looks == 2


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
            "ends after 8h; idle limit 30m (not acted on yet)",
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


class TestLooking:
    def test_ls_columns_and_filters(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        assert fuelctl("ls").out == "No active environments.\n"
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        head, row = fuelctl("ls").out.splitlines()
        assert head.split() == [
            "ID", "NAME", "WORKSPACE", "STATUS", "PROVIDER", "TYPE", "ADDRESS", "REGION", "UPTIME", "TTL", "LEFT",
            "IDLE", "COST",
        ]  # fmt: skip
        for words in (environment["id"], "My-Shop", "ready", "local", "127.0.0.1", "7h 59m", "0.00 USD"):
            assert words in row
        fuelctl("down", "my-shop", "--yes")
        assert fuelctl("ls").out == "No active environments.\n"
        assert environment["id"] in fuelctl("ls", "--all").out
        assert environment["id"] in fuelctl("ls", "--status", "terminated").out
        assert fuelctl("ls", "--status", "ready").out == "No ready environments.\n"
        assert fuelctl("ls", "--status", "dreaming").code == 2

    def test_ls_says_when_nobody_watches_leases(self, fuelctl: Any, stage: Stage) -> None:
        from fuelctl.store.models import SettingRow

        with stage.core.write() as session:
            session.add(SettingRow(name="reaper", value={"last_cycle_at": "2026-01-01T00:00:00Z"}))
        assert "reaper last ran" in fuelctl("ls").err

    def test_ls_and_status_repair_the_ssh_files(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        good = paths.ssh_config_file().read_text()
        for command in (["ls"], ["status", "my-shop"]):
            paths.ssh_config_file().write_text(good.replace("StrictHostKeyChecking yes", "StrictHostKeyChecking no"))
            fuelctl(*command)
            assert paths.ssh_config_file().read_text() == good
        stage.start("terminate", *_end(stage, environment["id"]))
        stage.join()
        fuelctl("ls")
        assert not any(ssh_config.traces(environment["id"]).values())

    def test_ls_fetches_the_key_of_an_up_that_was_interrupted(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        with ssh_config.locked():
            ssh_config.remove([environment["id"]])
        stage_module.give_key(environment["id"])
        with stage.core.write() as session:
            from fuelctl.store.models import EnvironmentRow

            session.get_one(EnvironmentRow, environment["id"]).key_served_at = None
        fuelctl("ls")
        assert all(ssh_config.traces(environment["id"]).values())

    def test_every_way_to_name_an_environment(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        first = fuelctl("up", str(repo), "--yes", "--json").json
        fuelctl("up", str(repo), "--yes", "--json")
        for reference in (first["id"], first["id"].lower(), "my-shop", first["id"][:25]):
            assert fuelctl("status", reference, "--json").json["id"] == first["id"]
        ambiguous = fuelctl("status", first["id"][:3])
        assert ambiguous.code == 1
        assert "my-shop-2" in ambiguous.err
        assert first["id"] in ambiguous.err
        for nobody in ("nope", "../x", "a" * 300, "%00", "-"):
            done = fuelctl("status", "--", nobody)
            assert done.code == 1, nobody
            assert "There is no environment" in done.err
        assert fuelctl("status", "").code == 2

    def test_status(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        stage.plays["provision"] = degraded
        fuelctl("up", str(repo), "--yes")
        shown = fuelctl("status", "my-shop").out
        for words in (
            "ready (degraded)",
            "npm error one",
            "8080 -> 127.0.0.1:18080",
            "claude-code 2.1.330",
            "fuel-my-shop",
        ):
            assert words in shown

    def test_logs(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        fuelctl("up", str(repo), "--yes")
        shown = fuelctl("logs", "my-shop").out
        for words in ("build image  1.5s", "setup      | added 3 packages", "can be entered"):
            assert words in shown
        assert len(fuelctl("logs", "my-shop", "--tail", "2").out.splitlines()) == 2
        events = fuelctl("logs", "my-shop", "--json").json["events"]
        assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
        assert fuelctl("logs", "my-shop", "-f", "--json").code == 2

    def test_logs_follow_ends_with_the_environment(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        import threading

        environment = fuelctl("up", str(repo), "--yes", "--json").json
        timer = threading.Timer(0.5, lambda: stage.start("terminate", *_end(stage, environment["id"])))
        timer.start()
        done = fuelctl("logs", "-f", "my-shop")
        timer.join()
        assert done.code == 0
        assert "ended; Receipt: nothing of it is left." in done.out

    def test_extend(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        fuelctl("up", str(repo), "--yes", "--ttl", "1h")
        done = fuelctl("extend", "my-shop", "--ttl", "5h")
        assert done.code == 0
        assert "4h 59m more" in done.out or "5h more" in done.out
        assert fuelctl("extend", "my-shop", "--ttl", "1x").code == 2
        fuelctl("down", "my-shop", "--yes")
        ended = fuelctl("ls", "--all", "--json").json["environments"][0]["id"]
        assert fuelctl("extend", ended, "--ttl", "5h").code == 1

    def test_server_status(self, fuelctl: Any, stage: Stage) -> None:
        document = fuelctl("server", "status", "--json").json
        assert document["running"] is True
        assert document["version"] == __version__
        assert "runs at unix:" in fuelctl("server", "status").out


def _end(stage: Stage, environment_id: str) -> tuple[str, str]:
    from fuelctl.environments import registry

    _row, operation_id = registry.begin_termination(stage.core, environment_id, discard=True, by="ttl")
    assert operation_id is not None
    return environment_id, operation_id


class TestEntering:
    @pytest.fixture
    def shell(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A stand-in for ssh and the machine behind it: notes its arguments, gives the last one to a real shell."""
        folder = tmp_path / "bin"
        folder.mkdir()
        workspace = tmp_path / "workspaces" / "it's here"
        workspace.mkdir(parents=True)
        ssh = folder / "ssh"
        ssh.write_text(
            "#!/bin/sh\n"
            f"printf '%s\\n' \"$@\" > {tmp_path}/arguments\n"
            "for last; do :; done\n"
            f"case $last in *' -l') exit 5;; esac\n"
            f"cd {tmp_path} && exec sh -c \"$(printf '%s' \"$last\" | sed 's|/workspaces|{tmp_path}/workspaces|')\"\n"
        )
        ssh.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return tmp_path / "arguments"

    def real(self, *arguments: str, stdin: str = "") -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "fuelctl", *arguments], input=stdin, capture_output=True, text=True, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def test_exec_passes_arguments_stdin_and_exit_code(
        self, fuelctl: Any, stage: Stage, repo: Path, shell: Path
    ) -> None:
        fuelctl("up", str(repo), "--yes")
        odd = ["a b", "it's", '"', "$(id)", "`id`", "\\", "*", "", "-x", "--json", "--", "line\nbreak", "é"]
        done = self.real("exec", "my-shop", "--", "printf", "[%s]", *odd)
        assert done.out == "".join(f"[{word}]" for word in odd)
        assert self.real("exec", "my-shop", "cat", stdin="through").out == "through"
        assert self.real("exec", "my-shop", "--", "sh", "-c", "exit 37").code == 37
        assert self.real("exec", "my-shop", "pwd").out.endswith("it's here\n")
        assert shell.read_text().splitlines()[:3] == ["-F", str(paths.ssh_config_file()), "-T"]

    def test_exec_without_a_program(self, fuelctl: Any, stage: Stage) -> None:
        assert fuelctl("exec", "my-shop", "--").code == 2
        assert fuelctl("exec", "my-shop").code == 2

    def test_ssh_with_a_command_is_a_shell_line(self, fuelctl: Any, stage: Stage, repo: Path, shell: Path) -> None:
        fuelctl("up", str(repo), "--yes")
        done = self.real("ssh", "my-shop", "--", "echo", "a", "&&", "exit", "3")
        assert (done.code, done.out) == (3, "a\n")

    def test_ssh_says_afterwards_that_it_keeps_running(
        self, fuelctl: Any, stage: Stage, repo: Path, shell: Path
    ) -> None:
        fuelctl("up", str(repo), "--yes")
        done = self.real("ssh", "my-shop")
        assert done.code == 5
        assert "my-shop keeps running for 7h 59m more. End it: fuelctl down my-shop" in done.err

    def test_each_status_has_its_own_sentence(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        stage.plays = {"terminate": stage.plays["terminate"]}
        environment_id = self._provisioning(fuelctl, repo)
        done = fuelctl("ssh", "my-shop")
        assert done.code == 1
        assert "still being provisioned" in done.err
        stage.plays = {}
        fuelctl_end = _end(stage, environment_id)
        assert "being ended" in fuelctl("exec", "my-shop", "ls").err
        stage.plays = {"terminate": stage_module.gone}
        stage.start("terminate", *fuelctl_end)
        stage.join()
        assert "has ended" in fuelctl("ssh", environment_id).err
        stage.plays = {"provision": failed}
        fuelctl("up", str(repo), "--yes")
        assert "could not be provisioned: image nowhere:1" in fuelctl("pull", "my-shop").err

    def _provisioning(self, fuelctl: Any, repo: Path) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "fuelctl", "up", str(repo), "--yes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        environment_id = _wait_for_operation(fuelctl)
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "goes on being provisioned" in err.decode()
        assert "Traceback" not in err.decode()
        return environment_id

    def test_a_key_that_somebody_else_has(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        with ssh_config.locked():
            ssh_config.remove([environment["id"]])
        done = fuelctl("ssh", "my-shop")
        assert done.code == 1
        assert "already been handed out" in done.err
        assert not any(ssh_config.traces(environment["id"]).values())


def _wait_for_operation(fuelctl: Any) -> str:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for item in fuelctl("ls", "--json").json["environments"]:
            if item["operation"] == "provision":
                return str(item["id"])
        time.sleep(0.1)
    raise AssertionError("nothing is being provisioned")
