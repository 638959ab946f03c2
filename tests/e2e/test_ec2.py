# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on EC2: a real machine behind the lab's API, entered through it, ended with proof, nothing left.

Its owner moves to other networks meanwhile: the machine is closed to them, and opened, and the rule follows them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._ec2 import _tags
from fuelctl._shared._ec2._user_data import TIMER_PATH
from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .harness import BASE_IMAGE, Fuelctl, docker, files_below, make_repository, write_blueprint

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

CANARY = "sk-canary-ec2-7d1b3a-nowhere-at-rest"
NAME = "cloudy"
CAFE, TRAIN, HOTEL = "198.51.100.8", "203.0.113.9", "203.0.113.10"
#: From inside the container: the answer to a token request has to be lost, because it is one hop too far.
METADATA = """\
exec 3<>/dev/tcp/169.254.169.254/80 || exit 9
printf 'PUT /latest/api/token HTTP/1.0\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 60\\r\\n\\r\\n' >&3
timeout 4 cat <&3
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(images=[BASE_IMAGE]) as started:
        yield started


@pytest.fixture(scope="module")
def user(lab: Ec2Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuelctl]:
    person = ec2.person(lab, tmp_path_factory.mktemp("home"))
    try:
        yield person
        left = ec2.left(lab, person)
    finally:
        person.run("server", "stop", ok=None)
        person.kill_everything()
    assert left == []


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_repository(tmp_path_factory.mktemp("with space") / "sample", __gitignore="prepared.txt\n")
    write_blueprint(
        path, f"version: 1\nimage: {BASE_IMAGE}\nsetup: ['echo prepared > prepared.txt']\nsecrets: [API_KEY]\n"
    )
    subprocess.run(["git", "add", "-A"], cwd=path, check=True)
    identity = ["-c", "user.name=E", "-c", "user.email=e@example.invalid"]
    subprocess.run(["git", *identity, "commit", "-qm", "Add a blueprint"], cwd=path, check=True)
    (path / "README.md").write_text("# sample, changed at home\n")
    return path


@pytest.fixture(scope="module")
def up(user: Fuelctl, repository: Path) -> Iterator[dict[str, Any]]:
    """The environment as `up --json` describes it; ended afterwards, whatever happened."""
    started = user.run(
        *("up", str(repository), "--provider", "ec2", "--name", NAME, "--secret", "API_KEY", "--yes", "--json"),
        ok=None,
        timeout=900,
        extra_env={"API_KEY": CANARY},
    )
    try:
        assert started.returncode == 0, str(started)
        document: dict[str, Any] = started.json
        yield document
    finally:
        user.run("down", "--all", "--yes", "--discard", ok=None)


def machine_of(lab: Ec2Lab, environment: dict[str, Any]) -> str:
    """The container that is the environment's machine."""
    [instance] = lab.alive(environment["id"])
    return str(instance["machine"])


def move_to(lab: Ec2Lab, user: Fuelctl, environment: dict[str, Any], address: str) -> None:
    """Another network, an hour after the machine last answered."""
    lab.come_from(address)
    answered = Path(user.base["FUELCTL_HOME"]) / "data" / "ssh" / "keys" / f"{environment['id']}.answered"
    os.utime(answered, (0, 0))


def let_in(lab: Ec2Lab) -> list[tuple[Any, ...]]:
    [group] = ec2.groups(lab)
    return ec2.ingress(group)


def tags(lab: Ec2Lab) -> dict[str, str]:
    [instance] = lab.alive()
    return dict(instance["tags"])


def test_up_ends_ready_on_a_machine_of_its_own(lab: Ec2Lab, up: dict[str, Any]) -> None:
    assert up["status"] == "ready"
    assert up["conditions"] == []
    [instance] = lab.alive()
    assert instance["tags"]["fuel-code:environment"] == up["id"]
    assert instance["tags"]["Name"] == f"fuel-code-{NAME}"
    assert up["provider"] | {"name": "ec2", "type": "t3.medium", "region": "us-east-1"} == up["provider"]
    assert up["provider"]["address"] == instance["address"] == up["connection"]["machine"]["address"]
    [stage] = [each for each in up["stages"] if each["stage"] == "provider"]
    assert stage["state"] == "ok"


def test_only_the_caller_is_let_in_and_only_to_port_22(lab: Ec2Lab, up: dict[str, Any]) -> None:
    [group] = ec2.groups(lab)
    assert ec2.ingress(group) == ec2.ONLY_THE_CALLER
    described = ec2.client(lab).describe_instances()["Reservations"][-1]["Instances"][0]
    assert [each["GroupId"] for each in described["SecurityGroups"]] == [group["GroupId"]]
    assert described["MetadataOptions"]["HttpTokens"] == "required"
    assert described["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert "IamInstanceProfile" not in described


def test_enter_through_the_machine(user: Fuelctl, up: dict[str, Any]) -> None:
    assert user.run("exec", NAME, "--", "sh", "-c", "pwd; cat README.md; cat prepared.txt").stdout.splitlines() == [
        "/workspaces/sample",
        "# sample, changed at home",
        "prepared",
    ]
    assert user.run("exec", NAME, "--", "sh", "-c", "exit 37", ok=False).returncode == 37
    assert user.run("exec", NAME, "--", "cat", stdin="through and through").stdout == "through and through"
    assert "Claude Code" in user.run("exec", NAME, "--", "claude", "--version").stdout
    config = Path(user.base["HOME"]) / ".ssh" / "config"
    plain = ["ssh", "-F", str(config), f"fuel-{NAME}", "id -un"]
    assert subprocess.run(plain, capture_output=True, text=True, check=True).stdout == "dev\n"


def test_another_host_key_of_the_machine_is_refused(user: Fuelctl, up: dict[str, Any], tmp_path: Path) -> None:
    known = Path(user.base["FUELCTL_HOME"]) / "data" / "ssh" / "known_hosts"
    before = known.read_text()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    config = Path(user.base["HOME"]) / ".ssh" / "config"
    try:
        known.write_text(before.replace(up["connection"]["machine"]["host_key"], other))
        tried = subprocess.run(
            ["ssh", "-F", str(config), f"fuel-{NAME}", "true"], capture_output=True, text=True, check=False
        )
    finally:
        known.write_text(before)
    assert tried.returncode == 255
    assert "verification failed" in tried.stderr


def test_secrets_are_in_the_environment_and_nowhere_else(
    user: Fuelctl, lab: Ec2Lab, up: dict[str, Any], repository: Path
) -> None:
    assert user.run("exec", NAME, "--", "printenv", "API_KEY").stdout == f"{CANARY}\n"
    assert CANARY not in json.dumps(lab.calls())
    machine = machine_of(lab, up)
    container = up["connection"]["container"]
    inside = docker("exec", machine, "docker", "inspect", container)
    assert CANARY not in inside
    # The login's own file is in the container's layer, and that is below /var/lib/docker.
    searched = ["grep", "-rlsF", "--exclude-dir=docker", CANARY, "/tmp", "/root", "/home", "/var", "/etc", "/run"]
    assert docker("exec", machine, *searched, check=False) == ""
    state = Path(user.base["FUELCTL_HOME"])
    kept = [path for path, content in files_below(state) if CANARY.encode() in content]
    assert kept == []


def test_nothing_of_the_way_in_is_left_on_the_machine(lab: Ec2Lab, up: dict[str, Any]) -> None:
    machine = machine_of(lab, up)
    assert (
        docker("exec", machine, "sh", "-c", "ls -A /tmp/.ansible-fuel /dev/shm 2>/dev/null | grep -v :", check=False)
        == ""
    )
    shown = docker("exec", machine, "cat", "/var/lib/cloud/instance/user-data.txt")
    first = shown.split("ed25519_public")[1].split('"')[2]
    assert up["connection"]["machine"]["host_key"] not in shown, "the key that user-data showed was replaced"
    assert first.startswith("ssh-ed25519 ")


def test_the_container_gets_nothing_from_the_metadata_service(user: Fuelctl, up: dict[str, Any]) -> None:
    asked = user.run("exec", NAME, "--", "bash", "-c", METADATA, ok=None)
    assert asked.returncode == 124, str(asked)
    assert asked.stdout == ""


def test_down_refuses_what_nobody_can_look_into(user: Fuelctl, lab: Ec2Lab, up: dict[str, Any]) -> None:
    machine = machine_of(lab, up)
    docker("exec", machine, "systemctl", "stop", "ssh")
    try:
        refused = user.run("down", NAME, "--yes", ok=False)
    finally:
        docker("exec", machine, "systemctl", "start", "ssh")
    assert "its machine does not answer" in refused.text
    assert user.show(NAME)["status"] in {"ready", "active", "idle"}
    assert machine_of(lab, up) == machine


def test_down_refuses_one_that_was_stopped_in_the_console(user: Fuelctl, lab: Ec2Lab, up: dict[str, Any]) -> None:
    [instance] = lab.alive(up["id"])
    ec2.client(lab).stop_instances(InstanceIds=[instance["id"]])
    try:
        refused = user.run("down", NAME, "--yes", ok=False)
    finally:
        ec2.client(lab).start_instances(InstanceIds=[instance["id"]])
    assert "its machine is stopped" in refused.text
    assert user.show(NAME)["status"] in {"ready", "active", "idle"}
    assert "main" in user.run("exec", NAME, "--", "git", "branch").stdout


def test_down_refuses_to_lose_work_until_it_is_home(user: Fuelctl, up: dict[str, Any], repository: Path) -> None:
    user.run("exec", NAME, "--", "git", "-c", "user.name=A", "-c", "user.email=a@x.invalid", "commit", "-qam", "Work")
    refused = user.run("down", NAME, "--yes", ok=False)
    assert "Work" in refused.text
    assert user.show(NAME)["status"] in {"ready", "active", "idle"}
    user.run("pull", NAME, cwd=repository)
    log = ["git", "log", "-1", "--format=%s", f"refs/fuel/{NAME}/main"]
    assert subprocess.run(log, cwd=repository, capture_output=True, text=True, check=True).stdout == "Work\n"


def test_whoever_moves_to_another_network_is_let_in_there(user: Fuelctl, lab: Ec2Lab, up: dict[str, Any]) -> None:
    lab.configure(filter=1)
    first = ec2.ONLY_THE_CALLER[0][3][0]
    assert (up["provider"]["let_in"]["networks"], tags(lab)[_tags.LET_IN]) == ([first], first)
    assert user.run("exec", NAME, "--", "echo", "in").stdout == "in\n"
    # Only of this one: the server may be looking at the machine by itself.
    calls = len(lab.calls("AuthorizeSecurityGroupIngress"))
    user.run("exec", NAME, "--", "true")
    assert len(lab.calls("AuthorizeSecurityGroupIngress")) == calls, "the door is open"

    move_to(lab, user, up, CAFE)
    config = Path(user.base["HOME"]) / ".ssh" / "config"
    plain = ["ssh", "-F", str(config), f"fuel-{NAME}", "true"]
    shut = [*plain[:3], "-o", "ConnectTimeout=4", *plain[3:]]
    assert subprocess.run(shut, capture_output=True, check=False, timeout=120).returncode == 255, "it is closed"
    entered = user.run("exec", NAME, "--", "echo", "in again")
    assert entered.stdout == "in again\n"
    assert CAFE in entered.stderr
    assert let_in(lab) == [("tcp", 22, 22, [f"{CAFE}/32"])], "the address of before is let in no more"
    known = user.show(NAME)["provider"]["let_in"]["networks"]
    assert (known, tags(lab)[_tags.LET_IN]) == ([f"{CAFE}/32"], f"{CAFE}/32")
    assert subprocess.run(plain, capture_output=True, check=False, timeout=120).returncode == 0


def test_extend_moves_the_timer_of_the_machine(user: Fuelctl, lab: Ec2Lab, up: dict[str, Any]) -> None:
    """The door is opened for it too, and with it moves what the machine's tags say."""
    machine = machine_of(lab, up)
    before = docker("exec", machine, "grep", "OnCalendar", TIMER_PATH)
    move_to(lab, user, up, TRAIN)
    expires_at = datetime.fromisoformat(user.run("extend", NAME, "20h", "--json").json["lease"]["expires_at"])
    assert let_in(lab) == [("tcp", 22, 22, [f"{TRAIN}/32"])]
    after = docker("exec", machine, "grep", "OnCalendar", TIMER_PATH)
    assert after > before
    assert expires_at.strftime("%Y-%m-%d %H") in after
    assert docker("exec", machine, "systemctl", "is-active", Path(TIMER_PATH).name) == "active"
    said = _tags.moment(tags(lab)[_tags.EXPIRES_AT])
    assert said is not None
    assert 0 <= said - expires_at.timestamp() < 2
    volumes = ec2.client(lab).describe_volumes()["Volumes"]
    assert tags(lab)[_tags.EXPIRES_AT] in [tag["Value"] for each in volumes for tag in each.get("Tags", [])]
    user.run("extend", NAME, "1h")
    assert _tags.moment(tags(lab)[_tags.EXPIRES_AT]) == said, "a later time is kept"


def test_down_proves_that_everything_is_gone(user: Fuelctl, lab: Ec2Lab, up: dict[str, Any]) -> None:
    """From one more network, for the last look at what would be lost."""
    move_to(lab, user, up, HOTEL)
    done = user.run("down", NAME, "--yes", "--json").json
    [ended] = done["environments"]
    assert ended["status"] == "terminated"
    resources = ended["receipt"]["resources"]
    assert ended["receipt"]["complete"] is True
    assert {each["state"] for each in resources} == {"gone"}
    assert {"instance", "volume", "network interface", "ingress_rule", "security_group"} <= {
        each["kind"] for each in resources
    }
    rules = [each["name"] for each in resources if each["kind"] == "ingress_rule"]
    assert [name.rpartition(" ")[2] for name in rules] == [f"{HOTEL}/32"]
    assert ec2.left(lab, user) == []
    again = user.run("down", up["id"], "--yes", ok=None)
    assert again.returncode == 0
    assert "Traceback" not in again.text
