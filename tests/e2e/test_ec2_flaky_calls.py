# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS throttles, breaks, loses an answer or refuses half-way, S3 too: waited out, or said in one line and made up for.

`test_ec2_refusals.py` has the refusals of a launch, `test_ec2_failing_machines.py` the machines that fail.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .ec2 import END_OF_UP, told, trouble_at_every_call, up
from .ec2_plays import Plays
from .harness import Fuelctl

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(machines=False, boot_delay=0, shutdown_delay=0) as started:
        yield started


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ec2.sample(tmp_path_factory)


@pytest.fixture(scope="module")
def somebody(lab: Ec2Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuelctl]:
    with ec2.present(lab, tmp_path_factory.mktemp("home"), wait_timeout=1) as person:
        yield person


@pytest.fixture
def user(lab: Ec2Lab, somebody: Fuelctl) -> Iterator[Fuelctl]:
    yield somebody
    lab.heal()
    lab.configure(describe_lag_min=0, describe_lag_max=0, stale=0)
    assert ec2.left(lab, somebody) == []


def test_every_call_throttled_broken_and_lost(lab: Ec2Lab, user: Fuelctl, repository: Path) -> None:
    """While Describe lags besides: one machine all the same, and nothing of it afterwards."""
    lab.configure(describe_lag_min=0.3, describe_lag_max=1.5, stale=1)
    trouble_at_every_call(lab)
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
    trouble_at_every_call(lab)
    user.run("down", "flaky", "--yes", "--discard")
    ended = user.show("flaky")
    assert (ended["status"], ended["receipt"]["complete"]) == ("terminated", True)


@pytest.mark.parametrize(
    "action",
    [
        "DeleteSecurityGroup",
        pytest.param("TerminateInstances", marks=pytest.mark.soak),
        pytest.param("DescribeVolumes", marks=pytest.mark.soak),
    ],
)
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
    ended = user.wait_for(name, "terminated")
    assert ended["receipt"]["complete"] is True


def test_what_is_left_of_a_machine_that_was_ended_by_hand_goes(lab: Ec2Lab, user: Fuelctl, repository: Path) -> None:
    """Half-deleted the other way round: the group and the key remain."""
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


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), pytest.param("NoSuchBucket", 404, marks=pytest.mark.soak)]
)
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
    trouble_at_every_call(lab, "s3")
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
