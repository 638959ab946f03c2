# SPDX-License-Identifier: GPL-3.0-or-later
"""A person who moves to another network: the lab's machine is closed to them, and opened, and the rule follows them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._ec2 import _tags
from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .harness import BASE_IMAGE, Fuelctl, make_repository, write_blueprint

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

NAME = "mover"
CAFE, TRAIN, HOTEL = "198.51.100.8", "203.0.113.9", "203.0.113.10"


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(images=[BASE_IMAGE], filter=1) as started:
        yield started


@pytest.fixture
def user(lab: Ec2Lab, tmp_path: Path) -> Iterator[Fuelctl]:
    person = ec2.person(lab, tmp_path / "home")
    try:
        yield person
        left = ec2.left(lab, person)
    finally:
        person.run("down", "--all", "--yes", "--discard", ok=None)
        person.run("server", "stop", ok=None)
        person.kill_everything()
    assert left == []


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


def test_the_rule_follows_its_owner(lab: Ec2Lab, user: Fuelctl, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "source" / "sample")
    write_blueprint(repository, f"version: 1\nimage: {BASE_IMAGE}\n")
    up = user.run("up", str(repository), "--provider=ec2", f"--name={NAME}", "--yes", "--json", timeout=480).json
    assert let_in(lab) == ec2.ONLY_THE_CALLER
    first = ec2.ONLY_THE_CALLER[0][3][0]
    assert (up["provider"]["let_in"]["networks"], tags(lab)[_tags.LET_IN]) == ([first], first)
    assert user.run("exec", NAME, "--", "echo", "in").stdout == "in\n"
    calls = len(lab.calls())
    begun = time.monotonic()
    user.run("exec", NAME, "--", "true")
    print(f"\nentered in {time.monotonic() - begun:.2f} s")
    assert len(lab.calls()) == calls, "nothing is asked of AWS as long as the door is open"

    move_to(lab, user, up, CAFE)
    config = Path(user.base["HOME"]) / ".ssh" / "config"
    plain = ["ssh", "-F", str(config), "-o", "ConnectTimeout=4", f"fuel-{NAME}", "true"]
    assert subprocess.run(plain, capture_output=True, check=False, timeout=60).returncode == 255, "it is closed"
    begun = time.monotonic()
    entered = user.run("exec", NAME, "--", "echo", "in again")
    print(f"let in and entered in {time.monotonic() - begun:.2f} s")
    assert entered.stdout == "in again\n"
    assert CAFE in entered.stderr
    assert let_in(lab) == [("tcp", 22, 22, [f"{CAFE}/32"])], "the address of before is let in no more"
    assert (user.show(NAME)["provider"]["let_in"]["networks"], tags(lab)[_tags.LET_IN]) == (
        [f"{CAFE}/32"],
        f"{CAFE}/32",
    )
    assert subprocess.run(plain, capture_output=True, check=False, timeout=60).returncode == 0

    # The door is opened for an extension too, and with it moves what the machine's tags say.
    move_to(lab, user, up, TRAIN)
    lease = user.run("extend", NAME, "20h", "--json").json["lease"]
    assert let_in(lab) == [("tcp", 22, 22, [f"{TRAIN}/32"])]
    said = _tags.moment(tags(lab)[_tags.EXPIRES_AT])
    assert said is not None
    assert 0 <= said - datetime.fromisoformat(lease["expires_at"]).timestamp() < 2
    volumes = ec2.client(lab).describe_volumes()["Volumes"]
    assert tags(lab)[_tags.EXPIRES_AT] in [tag["Value"] for each in volumes for tag in each.get("Tags", [])]
    user.run("extend", NAME, "1h")
    assert _tags.moment(tags(lab)[_tags.EXPIRES_AT]) == said, "a later time is kept"

    # And for the last look at what would be lost.
    move_to(lab, user, up, HOTEL)
    done = user.run("down", NAME, "--yes", "--json").json
    [ended] = done["environments"]
    rules = [each["name"] for each in ended["receipt"]["resources"] if each["kind"] == "ingress_rule"]
    assert [name.rpartition(" ")[2] for name in rules] == [f"{HOTEL}/32"]
    assert ended["receipt"]["complete"] is True
