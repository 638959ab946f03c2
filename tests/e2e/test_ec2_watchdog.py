# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that end by themselves, and machines that are not what they were: what the control plane makes of it.

One is left alone first, on a lab of its own, so that its time passes while the others are looked at.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._ec2._user_data import TIMER_PATH
from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .harness import BASE_IMAGE, Fuelctl, docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

CANARY = "sk-canary-ps-51c0de-in-no-command-line"
#: Seconds by which a machine may outlive its time.
LATE = 60
#: Every command line on the machine, containers' included, twice a second.
COMMAND_LINES = "while :; do cat /proc/[0-9]*/cmdline 2>/dev/null; sleep 0.5; done"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


@dataclass(frozen=True)
class Alone:
    """A machine whose control plane was killed, and whose network is cut."""

    lab: Ec2Lab
    user: Fuelctl
    environment: dict[str, Any]


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(images=[BASE_IMAGE]) as started:
        yield started


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ec2.sample(tmp_path_factory, blueprint="secrets: [API_KEY]\n")


@pytest.fixture(scope="module", autouse=True)
def alone(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """Left alone before anything else is tried: nobody waits for what happens then."""
    home = tmp_path_factory.mktemp("alone") / "home"
    with Ec2Lab(images=[BASE_IMAGE]) as lab, ec2.guest(lab, home) as user:
        user.environment["API_KEY"] = CANARY
        started = user.start(*up(repository, "alone", "--ttl=4m"))
        machine = armed(lab)
        environment = user.show("alone")
        user.kill_everything()
        started.communicate(timeout=480)
        docker("network", "disconnect", "--force", machine.rpartition("-i-")[0], machine)
        # Its own engine's bridge may be there by now; nothing of it leads anywhere.
        assert set(docker("exec", machine, "ls", "/sys/class/net").split()) <= {"lo", "docker0"}
        yield Alone(lab, user, environment)


@pytest.fixture
def user(lab: Ec2Lab, tmp_path: Path) -> Iterator[Fuelctl]:
    with ec2.guest(lab, tmp_path / "home") as person:
        person.environment["API_KEY"] = CANARY
        yield person


def up(repository: Path, name: str, *options: str) -> list[str]:
    return ["up", str(repository), "--provider=ec2", f"--name={name}", "--secret=API_KEY", "--yes", *options]


def armed(lab: Ec2Lab) -> str:
    """The machine's container, as soon as its watchdog is armed."""

    def look() -> str:
        for each in lab.alive():
            timer = Path(TIMER_PATH).name
            if docker("exec", each["machine"], "systemctl", "is-active", timer, check=False) == "active":
                return str(each["machine"])
        time.sleep(0.5)
        return ""

    return str(lab.wait_for(look, seconds=400))


def instance_line(environment: dict[str, Any]) -> str:
    """What the receipt says of the machine."""
    assert environment["receipt"]["complete"] is True
    [line] = [each for each in environment["receipt"]["resources"] if each["kind"] == "instance"]
    return str(line["detail"])


def test_a_machine_that_is_another_and_one_that_switches_itself_off(
    lab: Ec2Lab, user: Fuelctl, repository: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "command lines"
    started = user.start(*up(repository, "off"))
    machine = armed(lab)
    with seen.open("wb") as opened:
        watch = subprocess.Popen(["docker", "exec", machine, "sh", "-c", COMMAND_LINES], stdout=opened)
    reading = threading.Thread(target=started.communicate)
    reading.start()
    reading.join(600)
    assert started.returncode == 0, "up failed"
    assert user.run("exec", "off", "--", "printenv", "API_KEY").stdout == f"{CANARY}\n"
    watch.kill()
    watch.wait()

    # A secret is in no command line, and in nothing that is told.
    lines = seen.read_bytes()
    assert b"dockerd" in lines, "the command lines were read"
    assert CANARY.encode() not in lines
    assert CANARY not in user.run("logs", "off").text
    assert CANARY not in docker("exec", machine, "cat", "/var/lib/cloud/instance/user-data.txt")

    # Whoever answers in its place is not believed, and is not told anything.
    change = f"cp -a {HOST_KEY} /root/kept && rm {HOST_KEY} && ssh-keygen -q -t ed25519 -N '' -f {HOST_KEY}"
    docker("exec", machine, "sh", "-c", f"{change} && systemctl restart ssh")
    before = user.show("off")["lease"]
    refused = user.run("exec", "off", "--", "true", ok=False)
    assert "verification failed" in refused.stderr, str(refused)
    refused = user.run("extend", "off", "20h", ok=False)
    assert refused.returncode == 1
    assert "was not extended" in refused.stderr, str(refused)
    assert user.show("off")["lease"] == before
    docker("exec", machine, "sh", "-c", f"mv -f /root/kept {HOST_KEY} && systemctl restart ssh")
    user.run("exec", "off", "--", "true")

    docker("exec", machine, "systemctl", "poweroff")
    begun = time.monotonic()
    lab.wait_for(lambda: not lab.alive(), seconds=480)
    ended = user.wait_for("off", "terminated")
    print(f"\nknown after {time.monotonic() - begun:.0f} s")
    assert ended["ended_by"] == "machine"
    assert "Instance initiated shutdown" in instance_line(ended)


def test_nobody_and_nothing_is_there_at_the_deadline(alone: Alone) -> None:
    """The control plane is killed, the machine's network cut: it ends itself at its time. Later, that is found out."""
    lab, identity = alone.lab, alone.environment["id"]
    expires = datetime.fromisoformat(alone.environment["lease"]["expires_at"]).timestamp()
    lab.wait_for(lambda: not lab.alive(), seconds=max(0.0, expires - time.time()) + LATE)
    [ended] = lab.instances(identity)
    late = time.time() - ended["ended"] - expires
    print(f"\ngone {late:.1f} s after its time")
    assert 0 <= late <= LATE
    assert ended["reason"] == "Client.InstanceInitiatedShutdown"
    known = alone.user.wait_for("alone", "terminated", "error")
    assert known["status"] == "terminated"
    assert known["ended_by"] == "ttl"
    assert known["receipt"]["complete"] is True
    assert len(lab.instances(identity)) == 1, "what was taken up again launched another one"
