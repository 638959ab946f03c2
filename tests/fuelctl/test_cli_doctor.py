# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl doctor` and the settings: every cross comes with what to do."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from fuelctl import paths
from fuelctl.__main__ import run
from fuelctl._shared._errors import UsageError
from fuelctl.cli import _settings
from tests.fuelctl.stage import stage


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with git, ssh and a docker whose answers the test chooses."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "ssh", "sh", "echo", "ansible-playbook"):
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FUELCTL_SSH_CONFIG", str(tmp_path / "config"))
    docker(folder, "case $1 in version) echo 20.10.24;; info) echo /nowhere;; esac")
    return folder


def docker(folder: Path, script: str) -> None:
    path = folder / "docker"
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def checks(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, object]]]:
    code = run(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is (code == 0)
    return code, {check["name"]: check for check in document["checks"]}


def test_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = checks(capsys)
    assert code == 0, found
    assert {"python", "ansible", "docker client", "docker engine", "git", "ssh", "server", "ssh config", "CA"} <= set(
        found
    )
    assert run(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "\N{CHECK MARK} git" in shown
    assert "fix:" not in shown


@pytest.mark.parametrize(
    ("script", "check", "words"),
    [
        ("echo 'permission denied while trying to connect' >&2; exit 1", "docker engine", "usermod"),
        (
            "echo 'Cannot connect to the Docker daemon at unix:///x' >&2; exit 1",
            "docker engine",
            "systemctl start docker",
        ),
        (None, "docker client", "apt-get install docker.io"),
    ],
    ids=["rights", "down", "missing"],
)
def test_docker_in_every_way_that_it_fails(
    tools: Path, capsys: pytest.CaptureFixture[str], script: str | None, check: str, words: str
) -> None:
    if script is None:
        (tools / "docker").unlink()
    else:
        docker(tools, script)
    code, found = checks(capsys)
    assert code == 1
    assert found[check]["good"] is False
    assert words in str(found[check]["fix"])
    run(["doctor"])
    assert "fix: " in capsys.readouterr().out


@pytest.mark.parametrize("tool", ["git", "ssh"])
def test_a_missing_tool(tools: Path, capsys: pytest.CaptureFixture[str], tool: str) -> None:
    (tools / tool).unlink()
    code, found = checks(capsys)
    assert code == 1
    assert "apt-get install" in str(found[tool]["fix"])


def test_a_state_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FUELCTL_HOME", str(tmp_path / "file" / "home"))
    code, found = checks(capsys)
    assert code == 1
    assert found["state folder"]["good"] is False
    assert found["state folder"]["fix"]


def test_a_running_server_and_one_whose_reaper_sleeps(capsys: pytest.CaptureFixture[str]) -> None:
    from fuelctl.store.models import SettingRow

    with stage() as made:
        assert checks(capsys)[1]["server"]["good"] is True
        with made.core.write() as session:
            session.add(SettingRow(name="reaper", value={"last_cycle_at": "2026-01-01T00:00:00Z"}))
        code, found = checks(capsys)
    assert code == 1
    assert "fuelctl server stop" in str(found["server"]["fix"])


def test_an_include_line_that_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    paths.private_file(paths.ssh_config_file(), b"")
    code, found = checks(capsys)
    assert code == 0, "it is not required"
    assert "Include" in str(found["ssh config"]["fix"])


def test_an_expired_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fuelctl.cli import _checks

    monkeypatch.setattr(_checks, "_CA_FOLDER", tmp_path)
    assert checks(capsys)[1]["CA"]["good"] is True
    (tmp_path / "broken.crt").write_text("nonsense")
    _code, found = checks(capsys)
    assert found["CA"]["good"] is False
    assert "update-ca-certificates" in str(found["CA"]["fix"])


class TestSettings:
    def write(self, text: str) -> None:
        paths.private_file(paths.config_file(), text.encode())

    def test_none_is_the_embedded_server(self) -> None:
        assert _settings.server() == _settings.Server()

    def test_file_and_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "token").write_text("t\n")
        self.write(f'[server]\nurl = "https://a"\ntoken_file = "{tmp_path}/token"\n')
        assert _settings.server() == _settings.Server("https://a", "t")
        monkeypatch.setenv("FUELCTL_SERVER_URL", "https://b")
        monkeypatch.setenv("FUELCTL_SERVER_TOKEN", "u")
        assert _settings.server() == _settings.Server("https://b", "u")

    @pytest.mark.parametrize(
        "text",
        [
            "[server",
            "server = 1",
            "[server]\nurll = 'x'",
            "[server]\nurl = 1",
            "[server]\nurl='x'\ntoken_file='/nowhere'",
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(self, text: str) -> None:
        self.write(text)
        with pytest.raises(UsageError) as caught:
            _settings.server()
        assert caught.value.where == str(paths.config_file())

    def test_a_teams_server_is_not_ours_to_stop(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("FUELCTL_SERVER_URL", "http://127.0.0.1:9")
        assert run(["server", "stop"]) == 2
        assert run(["server", "start"]) == 2
        assert run(["ls"]) == 1
        assert "check server.url" in capsys.readouterr().err
        assert not (Path(os.environ["FUELCTL_HOME"]) / "state").exists()
