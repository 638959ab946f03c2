# SPDX-License-Identifier: GPL-3.0-or-later
"""`ssh`, `exec` and Ctrl-C, against the real control plane, workflows played by the test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuelctl import paths, ssh_config
from fuelctl.environments.journal import Journal
from fuelctl.store import environments
from tests.fuelctl.stage import Done, Stage, ending, failed, gone

pytestmark = pytest.mark.usefixtures("surroundings")


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
        assert re.search(r"my-shop keeps running for 7h 5\dm more. End it: fuelctl down my-shop", done.err), done.err

    def test_each_status_has_its_own_sentence(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        stage.plays = {"terminate": stage.plays["terminate"]}
        environment_id = self._provisioning(fuelctl, stage, repo)
        done = fuelctl("ssh", "my-shop")
        assert done.code == 1
        assert "still being provisioned" in done.err
        stage.plays = {}
        fuelctl_end = ending(stage, environment_id)
        assert "being ended" in fuelctl("exec", "my-shop", "ls").err
        stage.plays = {"terminate": gone}
        stage.start("terminate", *fuelctl_end)
        stage.join()
        assert "has ended" in fuelctl("ssh", environment_id).err
        stage.plays = {"provision": failed}
        fuelctl("up", str(repo), "--yes")
        assert "could not be provisioned: image nowhere:1" in fuelctl("pull", "my-shop").err

    def _provisioning(self, fuelctl: Any, stage: Stage, repo: Path) -> str:
        """Interrupted when it follows: before, it would be told that its upload has stopped."""
        stage.plays["provision"] = begins
        process = subprocess.Popen(
            [sys.executable, "-m", "fuelctl", "up", str(repo), "--yes"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        while "container" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=240)
        assert process.returncode == 130
        assert "goes on being provisioned" in err
        assert "Traceback" not in err
        (environment,) = fuelctl("ls", "--json").json["environments"]
        assert environment["operation"] == "provision"
        return str(environment["id"])

    def test_a_second_laptop_has_a_key_of_its_own_let_in(
        self, fuelctl: Any, stage: Stage, repo: Path, shell: Path
    ) -> None:
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        file = paths.ssh_key_file(environment["id"])
        with ssh_config.locked():
            ssh_config.remove([environment["id"]])
        # A list lets nobody in.
        assert fuelctl("ls").code == 0
        assert stage.admitted == []
        assert not any(ssh_config.traces(environment["id"]).values())
        done = self.real("exec", "my-shop", "true")
        assert (done.code, done.out) == (0, "")
        assert "letting in one of this machine" in done.err
        [(admitted, public)] = stage.admitted
        assert admitted == environment["id"]
        own = subprocess.run(["ssh-keygen", "-y", "-f", str(file)], capture_output=True, text=True, check=True).stdout
        assert own.split()[:2] == public.split()
        assert file.stat().st_mode & 0o777 == 0o600
        assert self.real("exec", "my-shop", "true").err == ""
        assert len(stage.admitted) == 1
        assert sorted(entry.name for entry in file.parent.iterdir()) == [file.name]

    def test_a_machine_is_stopped_and_started(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        done = fuelctl("stop", "my-shop")
        assert (done.code, done.out.split(".")[0]) == (0, "my-shop is stopped")
        assert "stopped" in fuelctl("status", "my-shop").out
        assert fuelctl("start", "my-shop", "--json").json["conditions"] == []
        assert stage.powered == [(environment["id"], "stopped"), (environment["id"], "started")]

    def test_who_comes_to_a_stopped_machine_has_it_started(
        self, fuelctl: Any, stage: Stage, repo: Path, shell: Path
    ) -> None:
        one_id = fuelctl("up", str(repo), "--yes", "--json").json["id"]
        with stage.core.write() as session:
            row = environments.get(session, one_id)
            connection = dict((row.connection if row else None) or {})
            machine = {"address": "127.0.0.1", "port": 10022, "user": "dev", "host_key": connection["host_key"]}
            environments.change(session, one_id, connection={**connection, "container": None, "machine": machine})
        fuelctl("stop", "my-shop")
        assert "ready (stopped)" in fuelctl("status", "my-shop").out
        done = self.real("exec", "my-shop", "--", "echo", "here")
        assert (done.code, done.out, done.err) == (0, "here\n", "my-shop is stopped: starting it\n")
        assert [state for _id, state in stage.powered] == ["stopped", "started"]
        assert self.real("exec", "my-shop", "--", "echo", "again").err == ""
        assert fuelctl("status", "my-shop", "--json").json["conditions"] == []
        # `up` of that very name brings it back; of a name that runs, it is refused as ever.
        fuelctl("stop", "my-shop")
        again = fuelctl("up", str(repo), "--name", "my-shop", "--yes", "--json")
        assert (again.code, again.json["id"], again.json["conditions"]) == (0, one_id, [])
        assert "my-shop is stopped: starting it" in again.err
        assert [state for _id, state in stage.powered] == ["stopped", "started"] * 2
        assert "is taken" in fuelctl("up", str(repo), "--name", "my-shop", "--yes").err

    def test_a_machine_that_lets_no_key_in(self, fuelctl: Any, stage: Stage, repo: Path) -> None:
        environment = fuelctl("up", str(repo), "--yes", "--json").json
        with ssh_config.locked():
            ssh_config.remove([environment["id"]])
        stage.admits = False
        done = fuelctl("ssh", "my-shop")
        assert done.code == 1
        assert "the engine does not answer" in done.err
        assert not any(ssh_config.traces(environment["id"]).values())
        assert list(paths.ssh_key_file(environment["id"]).parent.iterdir()) == []


def begins(stage: Stage, journal: Journal) -> None:
    """A provisioning that has begun to make something, and no more."""
    for state in ("start", "ok"):
        stage.tell(journal, "remote.step", stage="container", step="build image", state=state, seconds=1.0, message="")
