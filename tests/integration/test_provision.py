# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane with the real playbooks on a real Docker engine: provision, refuse, end, and what is left."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuelctl import paths, source
from fuelctl.client import Client
from fuelctl.serve_start import ensure_running, stop_running
from tests.e2e.harness import files_below

pytestmark = pytest.mark.docker

IMAGE = "debian:bookworm"
CANARY = "sk-canary-6f1d0c-never-at-rest"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A server of this test's own; what it made is ended afterwards, whatever happened."""
    monkeypatch.setenv("FUELCTL_HOME", str(tmp_path / "home"))
    client = Client(socket_path=str(ensure_running()))
    yield client
    try:
        for item in client.environments()["environments"]:
            client.terminate(item["id"], discard=True)
        for item in client.environments()["environments"]:
            wait(client, item["id"], {"terminated", "error"})
    finally:
        stop_running(0)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository with one commit and a dirty tree, that is deployed to Fly.io."""
    folder = tmp_path / "my app"
    folder.mkdir()
    (folder / "README").write_text("hello\n")
    (folder / "fly.toml").write_text('app = "my-app"\nprimary_region = "fra"\n')
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    (folder / "README").write_text("hello, changed\n")
    return folder


def up(client: Client, repository: Path, tmp_path: Path, **fields: Any) -> dict[str, Any]:
    """Create and upload; the environment object."""
    blueprint = {"image": IMAGE, "agent": {"version": "latest"}, **fields.pop("blueprint", {})}
    packed = source.pack(source.inspect(repository), tmp_path / f"source-{time.monotonic_ns()}.tar")
    body = {
        "provider": {"name": "local"},
        "blueprint": blueprint,
        "repository": {"name": "my-app"},
        "ttl_seconds": 3600,
        "source": {"sha256": packed.sha256, "size": packed.size},
        **fields,
    }
    made = client.create(body, key=f"{time.monotonic_ns()}")
    with Path(packed.path).open("rb") as stream:
        client.upload(made["id"], stream, packed.size)
    return made


def wait(client: Client, ref: str, statuses: set[str], seconds: float = 240) -> dict[str, Any]:
    """The environment once it has one of these statuses."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        item = client.environment(ref)
        if item["status"] in statuses and item["operation"] is None:
            return item
        time.sleep(0.2)
    raise AssertionError(json.dumps(client.environment(ref), indent=1))


def labelled(environment_id: str) -> list[str]:
    """Everything on the engine that carries this environment's label."""
    found = []
    for kind in ("container", "volume", "network", "image"):
        command = ["docker", kind, "ls", "-q", "--filter", f"label=fuel-code:environment={environment_id}"]
        command += ["-a"] if kind in ("container", "image") else []
        found += [f"{kind} {line}" for line in subprocess.check_output(command, text=True).split()]
    return found


def test_up_refused_down_and_nothing_left(client: Client, repository: Path, tmp_path: Path) -> None:
    made = up(client, repository, tmp_path, secrets={"MY_KEY": CANARY}, blueprint={"secrets": ["MY_KEY"]})
    item = wait(client, made["id"], {"ready", "error"})
    assert item["status"] == "ready", item["error"]
    assert {stage["stage"] for stage in item["stages"]} >= {"container", "workspace", "agent"}
    assert all(stage["state"] in ("ok", "reused") for stage in item["stages"]), item["stages"]
    connection = item["connection"]

    def inside(*command: str) -> str:
        user = ["-u", connection["user"], "-w", connection["workspace"]]
        return subprocess.check_output(["docker", "exec", *user, connection["container"], *command], text=True)

    assert inside("cat", "README") == "hello, changed\n"
    # What the agent is taught follows from what the repository is deployed to.
    assert inside("sh", "-c", "ls ~/.claude/skills") == "flyio\n"
    assert "Fly.io" in inside("sh", "-c", "cat ~/.claude/skills/flyio/SKILL.md")
    key = client.ssh_key(made["id"], key="handed-over-once")
    assert "PRIVATE KEY" in key["private_key"]

    kept = [path for path, content in files_below(paths.state_folder()) if CANARY.encode() in content]
    assert kept == []
    assert CANARY not in subprocess.check_output(["docker", "inspect", connection["container"]], text=True)
    told = client.events(made["id"], after=0)["events"]
    assert CANARY not in json.dumps(told)

    inside("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "work inside")
    client.terminate(made["id"], discard=False)
    end = time.monotonic() + 60
    while not any(
        event["type"] == "remote.terminate.refused" for event in client.events(made["id"], after=0)["events"]
    ):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert wait(client, made["id"], {"ready"})["status"] == "ready"

    client.terminate(made["id"], discard=True)
    item = wait(client, made["id"], {"terminated"})
    assert item["receipt"]["complete"], item["receipt"]
    assert {resource["state"] for resource in item["receipt"]["resources"]} == {"gone"}
    assert labelled(made["id"]) == []


def test_an_image_that_does_not_exist_is_one_clear_error_and_leaves_nothing(
    client: Client, repository: Path, tmp_path: Path
) -> None:
    made = up(client, repository, tmp_path, blueprint={"image": "no-such-image-anywhere:1"})
    item = wait(client, made["id"], {"ready", "error"})
    assert item["status"] == "error"
    assert "no-such-image-anywhere" in item["error"]["message"] + str(item["error"]["where"])
    assert item["error"]["stage"] == "container"
    assert item["receipt"]["complete"]
    assert labelled(made["id"]) == []
