# SPDX-License-Identifier: GPL-3.0-or-later
"""`ls`, `status`, `logs` and wrong usage, against the real control plane, workflows played by the test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fuelctl import __version__, paths, ssh_config
from tests.fuelctl.stage import Stage, degraded, ending, give_key

pytestmark = pytest.mark.usefixtures("surroundings")


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


class TestLooking:
    def test_ls_columns_and_filters(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        assert fuelctl("ls").out == "No active environments.\n"
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        head, row = fuelctl("ls").out.splitlines()
        assert head.split() == [
            "ID", "NAME", "WORKSPACE", "STATUS", "PROVIDER", "TYPE", "ADDRESS", "REGION", "UPTIME", "TTL", "LEFT",
            "IDLE", "COST",
        ]  # fmt: skip
        for words in (environment["id"], "My-Shop", "ready", "local", "127.0.0.1", "7h 5", "0.00 USD"):
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
        stage.start("terminate", *ending(stage, environment["id"]))
        stage.join()
        fuelctl("ls")
        assert not any(ssh_config.traces(environment["id"]).values())

    def test_ls_fetches_the_key_of_an_up_that_was_interrupted(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        with ssh_config.locked():
            ssh_config.remove([environment["id"]])
        give_key(environment["id"])
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
        timer = threading.Timer(0.5, lambda: stage.start("terminate", *ending(stage, environment["id"])))
        timer.start()
        done = fuelctl("logs", "-f", "my-shop")
        timer.join()
        assert done.code == 0
        assert "ended; Receipt: nothing of it is left." in done.out

    def test_extend(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        fuelctl("up", str(repo), "--yes", "--ttl", "1h")
        done = fuelctl("extend", "my-shop", "5h")
        assert done.code == 0
        assert re.search(r"4h 5\dm more|5h more", done.out), done.out
        assert fuelctl("extend", "my-shop", "1x").code == 2
        fuelctl("down", "my-shop", "--yes")
        ended = fuelctl("ls", "--all", "--json").json["environments"][0]["id"]
        assert fuelctl("extend", ended, "5h").code == 1

    def test_server_status(self, fuelctl: Any, stage: Stage) -> None:
        document = fuelctl("server", "status", "--json").json
        assert document["running"] is True
        assert document["version"] == __version__
        assert "runs at unix:" in fuelctl("server", "status").out
