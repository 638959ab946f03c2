# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that never come, hear nothing, or are taken away by AWS: one clear line, or an ending with its reason."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .ec2 import told, trouble_at_every_call, up
from .harness import BASE_IMAGE, Completed, Fuelctl

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ec2.sample(tmp_path_factory)


@pytest.mark.parametrize(
    ("kind", "launches", "seconds", "expected"),
    [
        ("dies", 2, 20, "ended while it started"),
        # As the module tells it: tests/integration/test_ec2_launch.py.
        pytest.param("pending", 1, 1, "is still pending", marks=pytest.mark.soak),
    ],
)
def test_a_machine_that_never_comes(
    tmp_path: Path, repository: Path, kind: str, launches: int, seconds: int, expected: str
) -> None:
    """It is launched a second time when it dies, and not a third time."""
    with (
        Ec2Lab(machines=False, boot_delay=1, shutdown_delay=0) as lab,
        ec2.guest(lab, tmp_path / "home", wait_timeout=seconds) as user,
    ):
        lab.boots(kind, count=launches, seconds=0.2)
        assert expected in told(up(user, repository, "never"))
        assert len(lab.instances()) == launches
        ended = user.show("never")
        assert (ended["status"], ended["receipt"]["complete"]) == ("error", True)


@pytest.fixture(scope="module")
def machines() -> Iterator[Ec2Lab]:
    with Ec2Lab(images=[BASE_IMAGE], describe_lag_min=0.3, describe_lag_max=2, stale=1) as started:
        yield started


@pytest.fixture
def owner(machines: Ec2Lab, tmp_path: Path) -> Iterator[Fuelctl]:
    with ec2.guest(machines, tmp_path / "home", settle=4) as person:
        yield person


@pytest.mark.parametrize("troubled", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["calm", "troubled"])
def test_a_spot_machine_until_aws_takes_it_back(
    machines: Ec2Lab, owner: Fuelctl, repository: Path, troubled: bool
) -> None:
    """No spot for the first type: ready on the second, even when everything is throttled, broken and lost once."""
    machines.fault("RunInstances", code="InsufficientInstanceCapacity", when={"type": "m7i.large"})
    if troubled:
        trouble_at_every_call(machines)
    types = ["--instance-type", "m7i.large", "--instance-type", "t3.medium", "--spot"]
    started = owner.run("up", str(repository), "--provider=ec2", "--name=spot", "--yes", *types, ok=None, timeout=900)
    assert started.returncode == 0, str(started)
    [machine] = machines.alive()
    assert (machine["type"], machine["market"]) == ("t3.medium", "spot")
    machines.ask("POST", f"instances/{machine['id']}/interrupt", {"seconds": 1})
    begun = time.monotonic()
    machines.wait_for(lambda: not machines.alive(), seconds=480)
    ended = owner.wait_for("spot", "terminated")
    print(f"\nknown after {time.monotonic() - begun:.0f} s")
    assert ended["ended_by"] == "spot"
    [line] = [each for each in ended["receipt"]["resources"] if each["kind"] == "instance"]
    assert "Spot instance termination" in line["detail"]


@pytest.mark.soak
def test_a_notice_ends_it_before_aws_does(machines: Ec2Lab, owner: Fuelctl, repository: Path) -> None:
    """From the machine's metadata service by the look at it to an ending of ours, with what it saves."""
    asked = ["--provider=ec2", "--name=noticed", "--yes", "--spot", "--option", "wait_timeout=400"]
    owner.run("up", str(repository), *asked, timeout=900)
    [machine] = machines.alive()
    assert machine["market"] == "spot"
    owner.run("exec", "noticed", "--", "sh", "-c", "echo unsaved > draft.txt", timeout=300)
    machines.ask("POST", f"instances/{machine['id']}/interrupt", {"seconds": 900})
    begun = time.monotonic()
    ended = owner.wait_for("noticed", "terminated", seconds=600)
    print(f"\nended {time.monotonic() - begun:.0f} s after the notice")
    assert ended["ended_by"] == "spot"
    [line] = [each for each in ended["receipt"]["resources"] if each["kind"] == "instance"]
    assert "Spot" not in line["detail"], "it was ours to end"
    assert (ended["rescued"]["state"], ended["rescued"]["complete"]) == ("saved", True)
    told = json.loads(owner.run("logs", "noticed", "--json").stdout)["events"]
    [notice] = [each["data"] for each in told if each["type"] == "remote.machine.notice"]
    assert notice["action"] == "terminate"


def one_line(owner: Fuelctl, name: str, refused: Completed, begun: float) -> None:
    """An error in one line, and nothing of it."""
    print(f"\n{told(refused)} after {time.monotonic() - begun:.0f} s")
    ended = owner.show(name)
    assert (ended["status"], ended["receipt"]["complete"]) == ("error", True)


def test_a_machine_that_hears_nothing(machines: Ec2Lab, owner: Fuelctl, repository: Path) -> None:
    machines.boots("no-network")
    begun = time.monotonic()
    one_line(owner, "deaf", up(owner, repository, "deaf", "--option", "wait_timeout=6"), begun)


def test_a_machine_that_is_taken_away_while_it_is_set_up(machines: Ec2Lab, owner: Fuelctl, repository: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(up, owner, repository, "taken")
        while "container" not in [
            stage["stage"] for each in owner.run("ls", "--json").json["environments"] for stage in each["stages"]
        ]:
            assert not running.done(), running.result()
            time.sleep(1)
        [machine] = machines.alive()
        begun = time.monotonic()
        machines.ask("POST", f"instances/{machine['id']}/interrupt", {"seconds": 0})
        refused = running.result()
    one_line(owner, "taken", refused, begun)
    assert "its machine is gone: Server.SpotInstanceTermination" in told(refused)
