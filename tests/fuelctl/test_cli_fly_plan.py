# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl fly plan-deploy` and `fuelctl recommend` as a person and as a program see them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

TOML = 'app = "shop"\n[http_service]\ninternal_port = 8080\n[[http_service.checks]]\npath = "/up"\n'


def fuelctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fuelctl", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "fly.toml").write_text(TOML)
    (tmp_path / ".env.example").write_text("SESSION_SECRET=\n")
    return tmp_path


def test_a_plan_is_a_shell_script_with_comments(project: Path) -> None:
    done = fuelctl("fly", "plan-deploy", str(project), "--label", "v7")
    assert done.returncode == 0, done.stderr
    assert "fly deploy --image registry.fly.io/shop:v7 --strategy bluegreen" in done.stdout
    assert "SESSION_SECRET (.env.example:1): signing key" in done.stdout
    checked = subprocess.run(["bash", "-n"], input=done.stdout, text=True, capture_output=True, check=False)
    assert checked.stderr == ""
    commands = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
    assert {line.split()[0] for line in commands} == {"fly", "fuelctl", "curl"}
    assert "\x1b" not in done.stdout


def test_a_plan_as_json(project: Path) -> None:
    document = json.loads(fuelctl("fly", "plan-deploy", str(project), "--json").stdout)
    (plan,) = document["plans"]
    assert plan["strategy"]["name"] == "bluegreen"
    assert [phase["phase"] for phase in plan["phases"]] == [
        "once", "secrets", "before", "deploy", "verify", "back", "rotate",
    ]  # fmt: skip
    assert [secret["name"] for secret in plan["secrets"]] == ["SESSION_SECRET"]


def test_what_is_not_possible_is_wrong_usage_with_its_reason(project: Path) -> None:
    (project / "fly.toml").write_text(TOML + '[mounts]\nsource = "data"\ndestination = "/data"\n')
    done = fuelctl("fly", "plan-deploy", str(project), "--strategy", "canary")
    assert done.returncode == 2
    assert "attached to one Machine only" in done.stderr
    assert "rolling or immediate" in done.stderr
    (project / "fly.toml").unlink()
    done = fuelctl("fly", "plan-deploy", str(project))
    assert done.returncode == 1
    assert "fuelctl fly init" in done.stderr


def test_recommend_asks_nothing_without_a_terminal(project: Path) -> None:
    done = fuelctl("recommend", str(project))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Fly.io fits best")
    assert done.stderr == ""
    document = json.loads(fuelctl("recommend", str(project), "--scale", "large", "--team", "platform", "--json").stdout)
    assert document["answers"]["scale"] == "large"
    assert {option["option"] for option in document["options"]} == {"fly", "kubernetes", "aws", "static"}
    done = fuelctl("recommend", str(project), "--scale", "huge")
    assert done.returncode == 2
    assert "hobby, small, medium, large" in done.stderr


def test_recommend_asks_on_a_terminal_what_was_not_said(project: Path) -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "fuelctl", "recommend", str(project), "--scale", "large"]
    with subprocess.Popen(argv, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        os.write(ours, b"nobody\nplatform\n\n\n\n\n")
        assert process.stdout is not None
        said = process.stdout.read()
        process.wait(240)
    asked = ""
    # Until nobody has the terminal any more.
    with suppress(OSError):
        while content := os.read(ours, 65536):
            asked += content.decode()
    os.close(ours)
    assert "Who operates it?" in asked
    assert "Please say one of: solo, small, platform" in asked
    assert "How much traffic" not in asked
    assert "scale large, team platform, budget medium" in said
