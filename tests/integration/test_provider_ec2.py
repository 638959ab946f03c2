# SPDX-License-Identifier: GPL-3.0-or-later
"""Role provider_ec2 by plain ansible-playbook, without fuelctl and without a server, on a machine without Docker."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._ec2 import _tags
from fuelctl._shared._identity import environment_id_for
from tests.e2e import ec2
from tests.e2e.harness import Fuelctl
from tests.lab.ec2.amis import ami_id
from tests.lab.ec2.client import Ec2Lab

from .machine import CHECKOUT, IMAGE, ansible, docker

pytestmark = pytest.mark.docker

NAME, OWNER = "plain", "integration"
ENVIRONMENT = environment_id_for(OWNER, NAME)


class Plays:
    """One user's plays against one lab."""

    def __init__(self, lab: Ec2Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.keys = folder / "keys"
        self.progress = folder / "progress.jsonl"
        self._variables = {
            "remote_provider": "ec2",
            "remote_provider_options": lab.options(image="debian-12", region=ec2.REGION),
            "remote_keys_path": str(self.keys),
        }

    def __call__(self, verb: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        file = self.folder / f"{verb}.json"
        file.write_text(json.dumps({**self._variables, **variables}))
        return ansible(
            *("ansible-playbook", f"fuel_code.remote.remote_{verb}", "-e", f"@{file}", *options),
            collections=self.folder / "collections",
            home=self.folder,
            **self.lab.environment(ec2.REGION),
        )

    def left(self) -> list[str]:
        return ec2.left(self.lab, Fuelctl(self.folder / "nobody")) + [
            str(path) for path in self.keys.rglob("*") if path.is_file()
        ]


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """How many tasks changed something."""
    recap = done.stdout.rpartition("PLAY RECAP")[2]
    return sum(int(word.partition("=")[2]) for word in recap.split() if word.startswith("changed="))


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(images=[IMAGE]) as started:
        yield started


@pytest.fixture(scope="module")
def play(lab: Ec2Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plays]:
    plays = Plays(lab, tmp_path_factory.mktemp("plain home"))
    yield plays
    plays("down", remote_environment_id=ENVIRONMENT, remote_discard=True)
    assert plays.left() == []


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "it's mine"
    path.mkdir()
    (path / "README").write_text("hello\n")
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], cwd=path, check=True)
    return path


@pytest.fixture(scope="module")
def up(play: Plays, repository: Path) -> dict[str, Any]:
    """What `remote_up` is given, once it has been played."""
    given = {
        "remote_name": NAME,
        "remote_owner": OWNER,
        "remote_source": str(repository),
        "remote_blueprint": {"image": IMAGE, "setup": ["echo prepared > prepared.txt"]},
        "remote_progress_path": str(play.progress),
    }
    done = play("up", **given)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return given


def test_up_from_an_image_without_docker(play: Plays, up: dict[str, Any]) -> None:
    [instance] = play.lab.alive(ENVIRONMENT)
    described = ec2.client(play.lab).describe_instances(InstanceIds=[instance["id"]])
    newest = ami_id("debian-12-amd64-20260914-2")
    assert described["Reservations"][0]["Instances"][0]["ImageId"] == newest
    told = [json.loads(line) for line in play.progress.read_text().splitlines()]
    done = {(each["stage"], each["step"]) for each in told if each["state"] == "ok"}
    assert {
        ("container", "install"),
        ("container", "image"),
        ("workspace", "repository"),
        ("agent", "configure"),
    } <= done
    # Progress comes while the modules work, not at their end: the build's own output is between the steps.
    assert any(each["state"] == "output" for each in told)
    assert [each["at"] for each in told] == sorted(each["at"] for each in told)
    inside = docker("exec", instance["machine"], "docker", "ps", "--format", "{{.Names}}")
    assert f"fuel-code-{ENVIRONMENT.lower()}-1" in inside.split()
    settings = json.loads(docker("exec", instance["machine"], "cat", "/etc/docker/daemon.json"))
    assert settings["registry-mirrors"] == [play.lab.registry]
    assert settings["log-opts"]["max-size"] == "10m"


def test_a_second_up_keeps_everything(play: Plays, up: dict[str, Any]) -> None:
    [before] = play.lab.alive()
    # Without a file for the progress it says by itself how to enter.
    done = play("up", **{**up, "remote_progress_path": ""})
    assert done.returncode == 0, done.stdout[-4000:]
    [after] = play.lab.alive()
    assert after["id"] == before["id"]
    # The file that pins the container's host key: whoever follows the progress has no need of it.
    assert changed(done) == 1, done.stdout
    assert "changed: [fuel-" in done.stdout.partition("Pin its host key")[2].partition("TASK [")[0]
    enter = json.loads(re.findall(r'^\s*("enter: .*"),$', done.stdout, re.MULTILINE)[0]).removeprefix("enter: ")
    inside = subprocess.run([*shlex.split(enter), "id -un"], capture_output=True, text=True, check=False)
    assert inside.stdout == "dev\n", inside.stderr
    # Another host key than the pinned one is not entered.
    known = play.keys / ENVIRONMENT / "known_hosts"
    pinned = known.read_text()
    known.write_text(pinned.split()[0] + " " + (play.keys / ENVIRONMENT / "machine_host_ed25519.pub").read_text())
    refused = subprocess.run([*shlex.split(enter), "id -un"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (255, "")
    assert "Host key verification failed" in refused.stderr
    known.write_text(pinned)
    [group] = ec2.groups(play.lab)
    assert ec2.ingress(group) == ec2.ONLY_THE_CALLER


def test_another_address_and_another_time(play: Plays, up: dict[str, Any]) -> None:
    """Who plays it has moved: the rule follows, and what the machine's tags say follows its time."""
    play.lab.come_from("198.51.100.9")
    try:
        for changes in (1, 0):
            done = play("access", remote_environment_id=ENVIRONMENT)
            assert (done.returncode, changed(done)) == (0, changes), done.stdout[-4000:]
    finally:
        play.lab.come_from()
    [group] = ec2.groups(play.lab)
    assert ec2.ingress(group) == [("tcp", 22, 22, ["198.51.100.9/32"])]
    assert play("access", remote_environment_id=ENVIRONMENT).returncode == 0
    [group] = ec2.groups(play.lab)
    assert ec2.ingress(group) == ec2.ONLY_THE_CALLER
    options = play.lab.options(region=ec2.REGION, allow_from=["198.51.100.0/24"])
    refused = play("access", remote_environment_id=ENVIRONMENT, remote_provider_options=options)
    assert refused.returncode != 0
    assert "Who may connect was named" in refused.stdout
    expires_at = int(time.time()) + 20 * 3600
    done = play("extend", remote_environment_id=ENVIRONMENT, remote_expires_at=expires_at)
    assert done.returncode == 0, done.stdout[-4000:]
    [instance] = play.lab.alive()
    assert _tags.moment(instance["tags"][_tags.EXPIRES_AT]) == expires_at
    # As does another `up` that says a later time.
    done = play("up", **{**up, "remote_expires_at": expires_at + 3600})
    assert done.returncode == 0, done.stdout[-4000:]
    [instance] = play.lab.alive()
    assert _tags.moment(instance["tags"][_tags.EXPIRES_AT]) == expires_at + 3600


def test_down_refuses_to_lose_work(play: Plays, up: dict[str, Any]) -> None:
    [instance] = play.lab.alive()
    container = f"fuel-code-{ENVIRONMENT.lower()}-1"
    docker("exec", instance["machine"], "docker", "exec", container, "sh", "-c", "echo x > /workspaces/it-s-mine/new")
    done = play("down", remote_name=NAME, remote_owner=OWNER)
    assert done.returncode != 0
    assert "Work would be lost" in done.stdout
    assert play.lab.alive()


def test_credentials_of_another_account_end_nothing(play: Plays, up: dict[str, Any]) -> None:
    options = play.lab.options(region=ec2.REGION, account="999999999999")
    done = play("down", remote_environment_id=ENVIRONMENT, remote_provider_options=options, remote_discard=True)
    assert done.returncode != 0
    assert "it is in the AWS account 999999999999, and these credentials are of 123456789012" in done.stdout
    assert play.lab.alive()


def test_the_documented_policy_covers_every_call(play: Plays, up: dict[str, Any]) -> None:
    page = (CHECKOUT / "docs" / "user" / "ec2.md").read_text()
    allowed = set(re.findall(r'"ec2:([A-Za-z]+)"', page.split("```json")[1].split("```")[0]))
    seen = {call["action"] for call in play.lab.calls() if call["service"] == "ec2" and "fault" not in call}
    # Made by the test itself.
    assert seen - {"DescribeKeyPairs"} <= allowed


def test_down_from_the_id_alone_and_twice(play: Plays, up: dict[str, Any]) -> None:
    for _turn in range(2):
        done = play("down", remote_environment_id=ENVIRONMENT, remote_discard=True)
        assert done.returncode == 0, done.stdout[-4000:]
        assert play.left() == []
