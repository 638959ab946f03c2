# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit as a whole: fuelctl, its server, the playbook, and the lab's EC2 among many machines of others."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._identity import environment_id_for
from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .harness import Fuelctl

AMI = "ami-12c6146b"
OWNER = "integration"
HOME_REGION, FAR_REGION = "us-east-1", "eu-north-1"


def tags(environment: str, owner: str = OWNER, name: str = "lost") -> dict[str, str]:
    """As the product tags what it makes."""
    ours = {"fuel-code:managed": "true", "fuel-code:environment": environment, "fuel-code:owner": owner}
    return {**ours, "Name": f"fuel-code-{name}", "fuel-code:expires-at": "2030-01-01T00:00:00Z"}


#: What somebody else's machine may bear that looks like ours.
NEARLY: tuple[dict[str, str], ...] = (
    {},
    {"Name": "fuel-code-shop"},
    {"fuel-code:managed": "false", "fuel-code:environment": environment_id_for("x", "y")},
    {"fuel-code:managed": "TRUE"},
    {"Fuel-Code:Managed": "true"},
    {"fuel-code:environment": environment_id_for("x", "y"), "fuel-code:owner": OWNER},
    {"fuel-code:owner": OWNER},
    {"managed": "true", "environment": "prod"},
    {"fuel-code:managed": "true ", "Name": "fuel-code-shop"},
    {"xfuel-code:managed": "true"},
)


def launch(lab: Ec2Lab, region: str, count: int, given: dict[str, str]) -> list[str]:
    listed = [{"Key": name, "Value": value} for name, value in given.items()]
    kinds = ("instance", "volume", "network-interface")
    tagged = {"TagSpecifications": [{"ResourceType": kind, "Tags": listed} for kind in kinds]} if listed else {}
    answer = ec2.client(lab, region=region).run_instances(
        ImageId=AMI, InstanceType="t3.medium", MinCount=count, MaxCount=count, **tagged
    )
    return [each["InstanceId"] for each in answer["Instances"]]


@pytest.fixture
def lab() -> Iterator[Ec2Lab]:
    """One for each: a thousand instances make every answer slow."""
    with Ec2Lab(machines=False, boot_delay=0.1, shutdown_delay=0.1) as started:
        yield started


@pytest.fixture
def user(lab: Ec2Lab, tmp_path: Path) -> Iterator[Fuelctl]:
    """Somebody whose database knows nothing."""
    person = ec2.person(lab, tmp_path / "home")
    try:
        yield person
    finally:
        person.run("server", "stop", ok=None)
        person.kill_everything()


def states(document: dict[str, Any]) -> dict[str, str]:
    return {each["id"]: each["state"] for each in document["environments"]}


@pytest.mark.parametrize("others", [100, pytest.param(1000, marks=pytest.mark.soak)])
def test_among_machines_of_others_none_is_touched(lab: Ec2Lab, user: Fuelctl, others: int) -> None:
    """Everything of ours, in two regions, is found by its tags and ended; nothing else is so much as named."""
    foreign = [one for given in NEARLY for one in launch(lab, HOME_REGION, others // len(NEARLY), given)]
    assert len(foreign) == others
    owned = {environment_id_for(OWNER, f"lost-{where}"): where for where in (HOME_REGION, FAR_REGION)}
    ours = {one: launch(lab, where, 1, tags(one))[0] for one, where in owned.items()}
    alive = {each["id"]: each for each in lab.instances()}
    before = {name: alive[name] for name in foreign}
    lab.ask("DELETE", "calls")

    seen = user.run("audit", "--provider", "ec2", "--all-regions", "--json", ok=False)
    assert states(seen.json) == dict.fromkeys(owned, "unowned")
    assert {each["region"] for each in seen.json["environments"]} == {HOME_REGION, FAR_REGION}
    kinds = {each["id"]: sorted(line["kind"] for line in each["resources"]) for each in seen.json["environments"]}
    assert all(found == ["instance", "network interface", "volume"] for found in kinds.values()), kinds

    # Seconds old, so it may be in the making: only whoever says so ends it.
    stays = user.run("audit", "--provider", "ec2", "--sweep", "--yes", "--owner", OWNER, ok=False)
    assert "a shorter --grace includes it" in stays.stderr
    assert not lab.calls("TerminateInstances")

    swept = user.run(
        *(
            "audit",
            "--provider",
            "ec2",
            "--all-regions",
            "--sweep",
            "--yes",
            "--grace",
            "0s",
            "--owner",
            OWNER,
            "--json",
        ),
        timeout=400,
    )
    receipts = {each["id"]: each["receipt"] for each in swept.json["swept"]}
    assert set(receipts) == set(owned)
    for one, receipt in receipts.items():
        assert receipt["complete"]
        lines = {(line["kind"], line["name"], line["state"]) for line in receipt["resources"]}
        assert ("instance", ours[one], "gone") in lines
    changes = [call for call in lab.calls() if not call["action"].startswith(("Describe", "GetCaller"))]
    named = {value for call in changes for value in call["parameters"].values()}
    touched = named & set(foreign)
    assert touched == set()
    after = {each["id"]: each for each in lab.instances()}
    assert {name: after[name] for name in foreign} == before
    assert not [each for each in after.values() if each["id"] in ours.values() and each["state"] != "terminated"]


def test_what_an_end_has_left_half_done_is_found_and_ended(lab: Ec2Lab, user: Fuelctl) -> None:
    """Machine gone, disk and group still there, of somebody whose database is gone too."""
    lost = environment_id_for(OWNER, f"half-{secrets.token_hex(4)}")
    api = ec2.client(lab)
    listed = [{"Key": name, "Value": value} for name, value in tags(lost, owner="half").items()]
    volume = api.create_volume(
        AvailabilityZone=f"{HOME_REGION}a", Size=1, TagSpecifications=[{"ResourceType": "volume", "Tags": listed}]
    )["VolumeId"]
    of_owner = [each for each in listed if each["Key"] != "fuel-code:environment"]
    from fuelctl._shared._ec2._access import group_name

    group = api.create_security_group(
        GroupName=group_name("half"),
        Description="x",
        TagSpecifications=[{"ResourceType": "security-group", "Tags": of_owner}],
    )["GroupId"]
    seen = user.run("audit", "--provider", "ec2", "--owner", "half", "--json", ok=False).json["environments"]
    assert sorted((line["kind"], line["name"]) for each in seen for line in each["resources"]) == [
        ("security_group", group),
        ("volume", volume),
    ]
    swept = user.run(
        *("audit", "--provider", "ec2", "--sweep", "--yes", "--grace", "0s", "--owner", "half", "--json"), timeout=400
    )
    lines = {(line["name"], line["state"]) for each in swept.json["swept"] for line in each["receipt"]["resources"]}
    assert {(volume, "gone"), (group, "gone")} <= lines
    assert volume not in lab.ask("GET", "leftovers")["volumes"]
    assert ec2.groups(lab) == []


def test_a_region_that_refuses_does_not_hide_the_others(lab: Ec2Lab, user: Fuelctl) -> None:
    lost = environment_id_for(OWNER, f"dark-{secrets.token_hex(4)}")
    launch(lab, FAR_REGION, 1, tags(lost))
    lab.fault("DescribeVolumes", code="UnauthorizedOperation", times=1)
    try:
        seen = user.run("audit", "--provider", "ec2", "--all-regions", "--json", ok=False).json
        assert not seen["complete"]
        [problem] = seen["problems"]
        assert (problem["provider"], problem["code"]) == ("ec2", "ec2_permission")
        assert states(seen) == {lost: "unowned"} or problem["region"] == FAR_REGION
    finally:
        lab.heal()


def test_without_credentials_it_says_so(user: Fuelctl) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        user.environment.pop(name)
        user.base.pop(name, None)
    done = user.run("audit", "--provider", "ec2", ok=False)
    assert "ec2 could not be asked: no AWS credentials were found" in done.stderr
    assert "hint: set AWS_PROFILE" in done.stderr
