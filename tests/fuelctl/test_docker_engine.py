# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Docker engine is meant: the answer is the docker client's own, contexts made and chosen by it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fuelctl import _docker_engine, serve
from fuelctl.__main__ import run
from fuelctl._docker_engine import engine_of
from fuelctl.serving.web import WebServer
from tests.fuelctl import stage as stage_module
from tests.fuelctl.stage import repository

AWAY = "tcp://192.0.2.1:2375"


@pytest.fixture
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker configuration of this test's own, with a context `away` that is not in use."""
    folder = tmp_path / "docker config"
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    docker("context", "create", "away", "--docker", f"host={AWAY}")
    return folder


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def docker_says() -> str:
    host = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}", docker("context", "show"))
    return "" if host == "unix:///var/run/docker.sock" else host


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"DOCKER_CONTEXT": "away"},
        {"DOCKER_CONTEXT": "default"},
        {"DOCKER_CONTEXT": ""},
        {"DOCKER_HOST": "tcp://192.0.2.9:1"},
        {"DOCKER_HOST": "tcp://192.0.2.9:1", "DOCKER_CONTEXT": "away"},
        {"DOCKER_HOST": "unix:///var/run/docker.sock", "DOCKER_CONTEXT": "away"},
    ],
)
@pytest.mark.parametrize("used", ["default", "away"])
@pytest.mark.usefixtures("contexts")
def test_it_is_the_one_that_docker_would_ask(
    monkeypatch: pytest.MonkeyPatch, used: str, variables: dict[str, str]
) -> None:
    docker("context", "use", used)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert engine_of(os.environ) == docker_says()


def test_what_cannot_be_read_is_the_usual_engine(contexts: Path) -> None:
    for content in (b"", b"\xff", b"[]", b'{"currentContext": null}', b"[" * 100_000):
        (contexts / "config.json").write_bytes(content)
        assert engine_of(os.environ) == ""
    (contexts / "config.json").write_text('{"currentContext": "lost"}')
    assert engine_of(os.environ) == "lost"
    assert _docker_engine.way_back("lost") == "DOCKER_CONTEXT=lost"
    assert engine_of({}) in ("", engine_of({"HOME": "/"}))


@pytest.mark.usefixtures("contexts")
def test_a_server_keeps_to_the_engine_that_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def serves(_self: object) -> None:
        seen.append(engine_of(os.environ))
        docker("context", "use", "default" if seen[0] else "away")
        seen.append(engine_of(os.environ))
        assert docker("context", "show") == ("away" if seen[0] else "default"), "what it starts is asked elsewhere"

    monkeypatch.setattr(WebServer, "run", serves)
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    mask = os.umask(0o022)
    try:
        for used in ("default", "away"):
            seen.clear()
            monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
            docker("context", "use", used)
            serve.run(None)
            assert seen == ([AWAY] * 2 if used == "away" else ["", ""])
    finally:
        os.umask(mask)


@pytest.mark.usefixtures("contexts")
def test_a_switched_context_gives_one_line_and_nothing_is_looked_for_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FUELCTL_SSH_CONFIG", "none")
    repo = repository(tmp_path / "shop")
    with stage_module.stage():
        assert run(["up", str(repo), "--yes"]) == 0
        docker("context", "use", "away")
        for command in (["ssh", "shop"], ["exec", "shop", "--", "true"], ["up", str(repo), "--yes"]):
            capsys.readouterr()
            assert run(command) == 1
            told = capsys.readouterr().err.splitlines()
            assert len(told) == 2, told
            assert told[0].startswith("error: docker context: ")
            assert AWAY in told[0]
            assert told[1].startswith("  hint: ")
        # With what the hint says, it is found again; listing and ending never depended on the shell.
        monkeypatch.setenv("DOCKER_CONTEXT", "default")
        assert run(["up", str(repo), "--yes"]) == 0
        monkeypatch.delenv("DOCKER_CONTEXT")
        assert run(["down", "--all", "--yes"]) == 0
