# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on Fly.io: a machine that is the environment, stopped and started, ended with proof, nothing left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import dev_image
from tests.lab.fly.client import FlyLab

from . import mcp_tools
from .harness import BASE_IMAGE, Fuelctl, files_below, make_repository, write_blueprint

pytestmark = pytest.mark.docker

CANARY = "sk-canary-fly-51c0de-nowhere-at-rest"
NAME = "winged"


@pytest.fixture(scope="module")
def lab() -> Iterator[FlyLab]:
    with FlyLab() as started:
        yield started


@pytest.fixture(scope="module")
def user(lab: FlyLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuelctl]:
    person = Fuelctl(tmp_path_factory.mktemp("home"), environment=lab.environment())
    folder = Path(person.base["FUELCTL_HOME"]) / "config"
    folder.mkdir(parents=True, exist_ok=True)
    image = json.dumps(dev_image.ensure("remote"))
    (folder / "config.toml").write_text(f'[providers.fly]\nimage = {image}\nregion = "fra"\n')
    try:
        yield person
    finally:
        person.run("server", "stop", ok=None)
        person.kill_everything()
    assert (lab.machines(), lab.volumes(), lab.truth()["apps"]) == ([], [], [])


@pytest.fixture(scope="module")
def up(user: Fuelctl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The environment as `up --json` describes it; ended afterwards, whatever happened."""
    path = make_repository(
        tmp_path_factory.mktemp("with space") / "sample", __gitignore="prepared.txt\n" + mcp_tools.IGNORED
    )
    for name, text in mcp_tools.FILES.items():
        (path / name).write_text(text)
    setup = f"setup: ['echo prepared > prepared.txt', '{mcp_tools.SETUP}']"
    write_blueprint(path, f"version: 1\nimage: {BASE_IMAGE}\n{setup}\nsecrets: [API_KEY]\n{mcp_tools.AGENT}")
    (path / "README.md").write_text("# sample, changed at home\n")
    started = user.run(
        *("up", str(path), "--provider", "fly", "--name", NAME, "--secret", "API_KEY", "--yes", "--json"),
        ok=None,
        timeout=480,
        extra_env={"API_KEY": CANARY},
    )
    try:
        assert started.returncode == 0, str(started)
        document: dict[str, Any] = started.json
        yield document
    finally:
        user.run("down", "--all", "--yes", "--discard", ok=None)


def inside(user: Fuelctl, script: str) -> list[str]:
    return user.run("exec", NAME, "--", "sh", "-c", script).stdout.splitlines()


def settled(user: Fuelctl, seconds: float = 180) -> None:
    """Return once nothing is said of its condition."""
    deadline = time.monotonic() + seconds
    while conditions := user.run("status", NAME, "--json").json["conditions"]:
        assert time.monotonic() < deadline, conditions
        time.sleep(1)


def test_up_ends_ready_on_a_machine_that_is_the_environment(lab: FlyLab, up: dict[str, Any]) -> None:
    assert up["status"] == "ready"
    assert up["conditions"] == []
    assert up["connection"]["container"] is None
    assert up["connection"]["machine"]["port"] == 10022
    assert up["provider"] | {"name": "fly", "region": "fra"} == up["provider"]
    [machine] = lab.machines()
    assert machine["state"] == "started"
    assert up["cost"]["hourly"] == pytest.approx(0.0493, abs=0.003)


def test_it_is_entered_and_has_what_every_environment_has(user: Fuelctl, up: dict[str, Any]) -> None:
    assert inside(user, "pwd; cat README.md; cat prepared.txt; id -un; printenv API_KEY") == [
        "/workspaces/sample",
        "# sample, changed at home",
        "prepared",
        "dev",
        CANARY,
    ]
    assert "Claude Code" in user.run("exec", NAME, "--", "claude", "--version").stdout
    assert inside(user, "git log --oneline | wc -l")[0].strip() == "1"
    config = Path(user.base["HOME"]) / ".ssh" / "config"
    assert config.exists()
    assert up["name"] == NAME


def test_an_mcp_server_of_the_blueprint_answers_over_ssh(user: Fuelctl, up: dict[str, Any]) -> None:
    answer = mcp_tools.speak(user, up["name"], "API_KEY")
    assert answer == mcp_tools.Answer("tools", ["digest"], f"{mcp_tools.digest(CANARY)} /workspaces/sample")
    mcp_tools.the_agent_reaches_it(user, up["name"], CANARY)


def test_it_is_stopped_and_goes_on_where_it_was(user: Fuelctl, lab: FlyLab, up: dict[str, Any]) -> None:
    inside(user, "echo work > work; git add work; git -c user.name=E -c user.email=e@x commit -qm work")
    awake = user.run("status", NAME, "--json").json["cost"]["hourly"]
    user.run("stop", NAME)
    assert [each["state"] for each in lab.machines()] == ["stopped"]
    stopped = user.run("status", NAME, "--json").json
    assert [each["type"] for each in stopped["conditions"]] == ["stopped"]
    assert 0 < stopped["cost"]["hourly"] < awake
    # Whoever comes has it started.
    entered = user.run("exec", NAME, "--", "true")
    assert entered.stderr == f"{NAME} is stopped: starting it\n"
    # Who looked while it was stopped may say so still; the next look takes it back.
    settled(user)
    assert inside(user, "cat work; cat prepared.txt; printenv API_KEY; ls ~/.claude/settings.json") == [
        "work",
        "prepared",
        CANARY,
        "/home/dev/.claude/settings.json",
    ]
    # What was installed beside the image is there again.
    assert "Claude Code" in user.run("exec", NAME, "--", "claude", "--version").stdout
    assert inside(user, "test -x /usr/local/lib/fuel-code/hook && echo hooked") == ["hooked"]
    assert up["id"] == stopped["id"]


def test_it_ends_by_itself_later_when_it_is_extended(user: Fuelctl, up: dict[str, Any]) -> None:
    [before] = inside(user, "fuel-code-deadline")
    user.run("extend", NAME, "12h")
    [after] = inside(user, "fuel-code-deadline")
    assert int(after) - int(before) > 3 * 3600
    assert up["lease"]["ttl_seconds"] < 12 * 3600


def test_its_volume_grows_and_is_snapshotted(user: Fuelctl, lab: FlyLab, up: dict[str, Any]) -> None:
    before = user.run("volume", "show", NAME, "--json").json
    assert (before["size_gb"], before["region"], before["snapshots"]) == (20, "fra", [])
    user.run("volume", "extend", NAME, "50GB")
    assert [each["size_gb"] for each in lab.volumes()] == [50]
    made = user.run("volume", "snapshot", NAME, "--json").json
    assert [each["id"] for each in made["snapshots"]] == [made["snapshot"]]
    assert (made["id"], made["size_gb"]) == (before["id"], 50)
    # Each command is a request of its own: one more.
    more_of_it = user.run("volume", "snapshot", NAME, "--json").json
    assert {each["id"] for each in more_of_it["snapshots"]} == {made["snapshot"], more_of_it["snapshot"]}
    more = user.run("status", NAME, "--json").json["cost"]["hourly"] - up["cost"]["hourly"]
    assert more == pytest.approx(30 * 0.15 / 730, abs=1e-4)


def test_nothing_secret_is_at_rest(user: Fuelctl, lab: FlyLab, up: dict[str, Any]) -> None:
    assert up["id"]
    state = Path(user.base["FUELCTL_HOME"])
    for secret in (CANARY, lab.token):
        kept = [path for path, content in files_below(state) if secret.encode() in content]
        assert kept == [], secret
    assert CANARY not in json.dumps(lab.truth())


def test_what_would_be_lost_is_looked_for_in_a_stopped_machine_too(
    user: Fuelctl, lab: FlyLab, up: dict[str, Any]
) -> None:
    user.run("stop", NAME)
    assert user.run("volume", "show", NAME).text.startswith(f"{NAME}: 50 GB in fra (vol_"), "whether it runs or not"
    refused = user.run("down", NAME, "--yes", ok=False)
    assert "unpushed" in refused.text
    assert len(lab.volumes()) == 1
    assert [each["state"] for each in lab.machines()] == ["stopped"], "as it was found"
    done = user.run("down", NAME, "--yes", "--discard")
    assert "fly volume" in done.text
    assert lab.volumes() == []
    receipt = user.show(up["id"])["receipt"]
    assert receipt["complete"] is True
    kinds = {each["kind"] for each in receipt["resources"]}
    assert {"fly machine", "fly volume", "fly app"} <= kinds
    [volume] = [each["detail"] for each in receipt["resources"] if each["kind"] == "fly volume"]
    assert "Fly.io keeps its snapshots for up to 5 days: vs_" in volume
