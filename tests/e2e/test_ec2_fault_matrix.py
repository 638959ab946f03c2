# SPDX-License-Identifier: GPL-3.0-or-later
"""Each thing that AWS does to its callers: it ends well by itself, or in one clear line with nothing left.

`test_ec2_faults.py` has the refusals of a launch; here is what is waited out, what ends half-way, and S3.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .ec2_plays import Plays
from .harness import BASE_IMAGE, Completed, Fuelctl, make_repository, write_blueprint

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

#: Nothing is behind the instances of a lab without machines, so that every up ends here.
END_OF_UP = "nothing answers as SSH"


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(machines=False, boot_delay=0, shutdown_delay=0) as started:
        yield started


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_repository(tmp_path_factory.mktemp("source") / "sample")
    write_blueprint(path, f"version: 1\nimage: {BASE_IMAGE}\n")
    return path


@pytest.fixture(scope="module")
def somebody(lab: Ec2Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuelctl]:
    person = ec2.person(lab, tmp_path_factory.mktemp("home"), wait_timeout=1)
    yield person
    person.run("server", "stop", ok=None)
    person.kill_everything()


@pytest.fixture
def user(lab: Ec2Lab, somebody: Fuelctl) -> Iterator[Fuelctl]:
    yield somebody
    lab.heal()
    lab.configure(describe_lag_min=0, describe_lag_max=0, stale=0, boot_delay=0)
    assert ec2.left(lab, somebody) == []


def up(user: Fuelctl, repository: Path, name: str, *options: str) -> Completed:
    command = ("up", str(repository), "--provider=ec2", f"--name={name}", "--yes", *options)
    return user.run(*command, ok=False, timeout=900)


def told(done: Completed) -> str:
    """The one line that says what is wrong."""
    [line] = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1, str(done)
    return line


def everything_once(lab: Ec2Lab, service: str = "*") -> None:
    """Every call is throttled once, broken once, and its answer lost twice: before and after it took effect."""
    lab.fault("*", "error", service=service, each=True, code="RequestLimitExceeded" if service != "s3" else "SlowDown")
    lab.fault("*", "error", service=service, each=True, code="InternalError")
    lab.fault("*", "reset", service=service, each=True)
    lab.fault("*", "lost-reset", service=service, each=True)


def test_every_call_throttled_broken_and_lost(lab: Ec2Lab, user: Fuelctl, repository: Path) -> None:
    """While Describe lags besides: one machine all the same, and nothing of it afterwards."""
    lab.configure(describe_lag_min=0.3, describe_lag_max=1.5, stale=1)
    everything_once(lab)
    before = len(lab.instances())
    assert END_OF_UP in told(up(user, repository, "flaky", "--keep-on-error"))
    [machine] = lab.alive()
    assert len(lab.instances()) == before + 1
    assert machine["tags"]["fuel-code:environment"] == user.show("flaky")["id"]
    [group] = ec2.groups(lab)
    assert ec2.ingress(group) == ec2.ONLY_THE_CALLER
    met = {call["action"] for call in lab.calls() if call["status"] in (500, 503)}
    assert met >= {"RunInstances", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "GetCallerIdentity"}
    lab.heal()
    everything_once(lab)
    user.run("down", "flaky", "--yes", "--discard")
    ended = user.show("flaky")
    assert (ended["status"], ended["receipt"]["complete"]) == ("terminated", True)


@pytest.mark.parametrize(
    ("kind", "launches", "seconds", "expected"),
    [("pending", 1, 1, "is still pending"), ("dies", 2, 20, "ended while it started")],
)
def test_a_machine_that_never_comes(
    lab: Ec2Lab, user: Fuelctl, repository: Path, kind: str, launches: int, seconds: int, expected: str
) -> None:
    """It is launched a second time when it dies, and not a third time."""
    lab.configure(boot_delay=1)
    lab.boots(kind, count=launches, seconds=0.2)
    before = len(lab.instances())
    assert expected in told(up(user, repository, f"never-{kind}", "--option", f"wait_timeout={seconds}"))
    assert len(lab.instances()) == before + launches
    ended = user.show(f"never-{kind}")
    assert (ended["status"], ended["receipt"]["complete"]) == ("error", True)


@pytest.mark.parametrize("action", ["TerminateInstances", "DeleteSecurityGroup", "DescribeVolumes"])
def test_an_ending_that_stops_half_way_is_kept_until_it_is_done(
    lab: Ec2Lab, user: Fuelctl, repository: Path, action: str
) -> None:
    """The machine, or only its group, or the proof remains: the row stays, and the ending is made again by itself."""
    name = f"half-{action.lower()}"
    told(up(user, repository, name, "--keep-on-error"))
    lab.fault(action, code="UnauthorizedOperation")
    refused = user.run("down", name, "--yes", "--discard", ok=False)
    assert refused.returncode == 1
    assert f"AWS does not allow this identity to call {action}" in refused.text, str(refused)
    kept = user.show(name)
    assert kept["status"] == "terminating"
    assert bool(lab.alive()) is (action == "TerminateInstances")
    lab.heal()
    ended = user.wait_for(name, "terminated", seconds=120)
    assert ended["receipt"]["complete"] is True


def test_a_group_that_somebody_else_uses_is_told_and_kept(lab: Ec2Lab, user: Fuelctl, repository: Path) -> None:
    """Half-deleted the other way round: the machine was ended by hand, the group and the key remain."""
    told(up(user, repository, "by-hand", "--keep-on-error"))
    [machine] = lab.alive()
    ec2.client(lab).terminate_instances(InstanceIds=[machine["id"]])
    lab.wait_for(lambda: not lab.alive())
    assert ec2.groups(lab)
    user.run("down", "by-hand", "--yes", "--discard")
    assert user.show("by-hand")["receipt"]["complete"] is True


@pytest.mark.soak
def test_throttled_for_ever(lab: Ec2Lab, user: Fuelctl, repository: Path) -> None:
    lab.fault("RunInstances", code="RequestLimitExceeded")
    begun = time.monotonic()
    assert "RunInstances" in told(up(user, repository, "busy"))
    assert time.monotonic() - begun > 30


# S3, where playbooks keep keys that many people and CI can reach


@pytest.fixture
def plays(lab: Ec2Lab, tmp_path: Path) -> Iterator[Plays]:
    yield Plays(lab, tmp_path, wait_timeout=1)
    lab.heal()


def refused(plays: Plays, verb: str) -> str:
    done = plays.play(verb)
    assert done.returncode == 2, str(done)
    return done.stdout


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("NoSuchBucket", 404)])
def test_no_machine_without_a_place_for_its_key(lab: Ec2Lab, plays: Plays, code: str, status: int) -> None:
    before = len(lab.calls("RunInstances"))
    lab.fault("*", service="s3", code=code, status=status)
    said = refused(plays, "up")
    assert plays.bucket in said
    assert len(lab.calls("RunInstances")) == before
    lab.heal()
    assert plays.left() == []


def test_s3_in_trouble_at_every_call_and_down_at_the_end(lab: Ec2Lab, plays: Plays) -> None:
    """What remains is said, and goes with the next `down`, when the machine is long gone."""
    everything_once(lab, "s3")
    assert END_OF_UP in refused(plays, "up")
    assert len(plays.objects()) == 2
    lab.heal()
    lab.fault("*", service="s3", code="AccessDenied", status=403)
    assert plays.bucket in refused(plays, "down")
    assert lab.alive() == []
    lab.heal()
    assert len(plays.objects()) == 2
    done = plays.play("down")
    assert done.returncode == 0, str(done)
    assert plays.left() == []


# On real machines


@pytest.fixture(scope="module")
def machines() -> Iterator[Ec2Lab]:
    with Ec2Lab(images=[BASE_IMAGE], describe_lag_min=0.3, describe_lag_max=2, stale=1) as started:
        yield started


@pytest.fixture
def owner(machines: Ec2Lab, tmp_path: Path) -> Iterator[Fuelctl]:
    person = ec2.person(machines, tmp_path / "home", settle=4)
    try:
        yield person
        machines.heal()
        left: Any = ec2.left(machines, person)
    finally:
        person.run("down", "--all", "--yes", "--discard", ok=None)
        person.run("server", "stop", ok=None)
        person.kill_everything()
    assert left == []


def test_a_spot_machine_through_all_of_it_until_aws_takes_it_back(
    machines: Ec2Lab, owner: Fuelctl, repository: Path
) -> None:
    """No spot for the first type, and everything throttled, broken and lost once: ready. Then it is interrupted."""
    machines.fault("RunInstances", code="InsufficientInstanceCapacity", when={"type": "m7i.large"})
    everything_once(machines)
    types = ["--instance-type", "m7i.large", "--instance-type", "t3.medium", "--spot"]
    started = owner.run("up", str(repository), "--provider=ec2", "--name=spot", "--yes", *types, ok=None, timeout=900)
    assert started.returncode == 0, str(started)
    [machine] = machines.instances()
    assert (machine["type"], machine["market"]) == ("t3.medium", "spot")
    machines.ask("POST", f"instances/{machine['id']}/interrupt", {"seconds": 1})
    begun = time.monotonic()
    machines.wait_for(lambda: not machines.alive(), seconds=120)
    ended = owner.wait_for("spot", "terminated", seconds=120)
    print(f"\nknown after {time.monotonic() - begun:.0f} s")
    assert ended["ended_by"] == "machine"
    [line] = [each for each in ended["receipt"]["resources"] if each["kind"] == "instance"]
    assert "Spot instance termination" in line["detail"]


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
        one_line(owner, "taken", running.result(), begun)
