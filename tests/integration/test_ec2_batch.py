# SPDX-License-Identifier: GPL-3.0-or-later
"""A hundred environments end as one does: in the same number of calls, in not much more time, each with its receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from fuelctl._shared._ec2 import _request
from tests.lab.ec2.client import Ec2Lab

from .ec2 import AMI, Modules, environment_id

REGION, MANY = "us-east-1", 100
KEYS = {"aws_access_key_id": "AKIALABLABLABLABLAB2", "aws_secret_access_key": "lab"}
#: Longer than everything that is computed, so that the times compare what somebody waits for.
SHUTDOWN = 2.0


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modules]:
    with (
        Ec2Lab(machines=False, boot_delay=0, shutdown_delay=SHUTDOWN) as lab,
        Modules(lab, tmp_path_factory.mktemp("batch")) as started,
    ):
        yield started


def launched(lab: Ec2Lab, count: int) -> dict[str, str]:
    """Instances as ec2_machine asks for them, by environment, without starting a module for each."""
    client = boto3.client("ec2", endpoint_url=lab.endpoint, region_name=REGION, **KEYS)
    made = {}
    for environment in [environment_id() for _each in range(count)]:
        plan = _request.Plan(environment, "alice", AMI, "/dev/xvda", [_request.Candidate("t3.micro")])
        answer = client.run_instances(**_request.parameters(plan, plan.candidates[0], 1))
        made[environment] = answer["Instances"][0]["InstanceId"]
    return made


def end(modules: Modules, environments: list[str], **arguments: Any) -> tuple[dict[str, Any], list[str]]:
    """(result, actions in their order) of one run that ends these."""
    modules.lab.ask("DELETE", "calls")
    # A poll that is longer than the shutdown: what is left are the calls that nobody can do without.
    done = modules.down(*environments, poll_interval=SHUTDOWN + 0.5, **arguments).result()
    return done, [call["action"] for call in modules.lab.calls()]


def test_a_hundred_end_in_the_calls_of_one(modules: Modules) -> None:
    one, many = launched(modules.lab, 1), launched(modules.lab, MANY)
    _done, calls_of_one = end(modules, list(one))
    done, calls_of_many = end(modules, list(many))
    assert calls_of_many == calls_of_one
    # Find, end, and be told that it has ended.
    assert calls_of_many[:3] == ["DescribeInstances", "TerminateInstances", "DescribeInstances"]
    # What an instance had is asked for by its tag and by its id: two calls for each kind, whatever their number.
    assert Counter(calls_of_many[3:]) == {"DescribeVolumes": 2, "DescribeNetworkInterfaces": 2}
    assert done["receipt"]["complete"]
    assert modules.lab.alive() == []


def test_each_environment_has_its_own_receipt(modules: Modules) -> None:
    made = launched(modules.lab, 4)
    empty = environment_id()
    done, _calls = end(modules, [*made, empty], settle=0.5)
    assert set(done["receipts"]) == {*made, empty}
    assert done["receipts"][empty] == {**done["receipts"][empty], "complete": True, "resources": []}
    for environment, instance in made.items():
        lines = done["receipts"][environment]["resources"]
        assert done["receipts"][environment]["complete"]
        assert [each["name"] for each in lines if each["kind"] == "instance"] == [instance]
        assert Counter(each["kind"] for each in lines) == {"instance": 1, "volume": 1, "network interface": 1}
    together = [each for one in done["receipts"].values() for each in one["resources"]]
    assert sorted(map(str, together)) == sorted(map(str, done["receipt"]["resources"]))


def test_what_does_not_end_is_told_of_its_environment_only(modules: Modules) -> None:
    """Its shutdown takes longer than anybody waits: the others are done with all the same."""
    slow = launched(modules.lab, 1)
    modules.lab.configure(shutdown_delay=0.1)
    quick = launched(modules.lab, 3)
    client = boto3.client("ec2", endpoint_url=modules.lab.endpoint, region_name=REGION, **KEYS)
    try:
        modules.lab.configure(shutdown_delay=3600)
        client.terminate_instances(InstanceIds=list(slow.values()))
        modules.lab.configure(shutdown_delay=0.1)
        failed = modules.down(*slow, *quick, wait_timeout=10).result()
    finally:
        modules.lab.configure(shutdown_delay=SHUTDOWN)
    assert failed["error"]["code"] == "ec2_not_gone"
    assert not failed["receipts"][next(iter(slow))]["complete"]
    assert all(failed["receipts"][each]["complete"] for each in quick)
    assert next(iter(slow.values())) in failed["msg"]
    assert not any(each in failed["msg"] for each in quick.values())
