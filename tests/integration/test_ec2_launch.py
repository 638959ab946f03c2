# SPDX-License-Identifier: GPL-3.0-or-later
"""ec2_machine against the lab's API, without machines: one instance per attempt, honest ends, one line per refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from .ec2 import AMI, Ec2Lab, Modules, environment_id


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modules]:
    with (
        Ec2Lab(machines=False, boot_delay=0.1, shutdown_delay=0.1) as lab,
        Modules(lab, tmp_path_factory.mktemp("ec2")) as modules,
    ):
        yield modules


@pytest.fixture
def modules(shared: Modules) -> Iterator[Modules]:
    yield shared
    shared.lab.heal()
    shared.lab.configure(describe_lag_min=0, describe_lag_max=0, stale=0, boot_delay=0.1, shutdown_delay=0.1)


def test_launch_is_what_was_asked_for(modules: Modules) -> None:
    environment = environment_id()
    done = modules.up(environment, name="shop", expires_at=1798761600, disk_gb=50).result()
    assert done["changed"]
    [instance] = modules.lab.alive(environment)
    assert instance["id"] == done["machine"]["instance_id"]
    assert instance["tags"] == {
        "Name": "fuel-code-shop",
        "fuel-code:managed": "true",
        "fuel-code:environment": environment,
        "fuel-code:owner": "alice",
        "fuel-code:expires-at": "2027-01-01T00:00:00Z",
    }
    asked = next(
        call["parameters"] for call in modules.lab.calls("RunInstances") if environment in call["parameters"].values()
    )
    expected = {
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions.HttpTokens": "required",
        "MetadataOptions.HttpPutResponseHopLimit": "1",
        "BlockDeviceMapping.1.Ebs.VolumeType": "gp3",
        "BlockDeviceMapping.1.Ebs.VolumeSize": "50",
        "BlockDeviceMapping.1.Ebs.Encrypted": "true",
        "BlockDeviceMapping.1.Ebs.DeleteOnTermination": "true",
    }
    assert {name: asked.get(name) for name in expected} == expected
    assert not any(name.startswith("IamInstanceProfile") for name in asked)


def test_check_mode_run_check_mode_run(modules: Modules) -> None:
    environment = environment_id()
    changes = []
    for check in (True, False, True, False):
        done = modules.up(environment, _ansible_check_mode=check).result()
        changes.append(done["changed"])
        assert len(modules.lab.instances(environment)) == (0 if changes == [True] else 1)
    assert changes == [True, True, False, False]
    ends = [modules.down(environment, _ansible_check_mode=check).result() for check in (True, False, True, False)]
    assert [done["changed"] for done in ends] == [True, True, False, False]
    assert not modules.lab.alive(environment)


def test_receipt_names_all_that_the_instance_had(modules: Modules) -> None:
    environment = environment_id()
    made = modules.up(environment).result()["machine"]
    receipt = modules.down(environment).result()["receipt"]
    assert receipt["complete"]
    assert {(each["kind"], each["name"], each["state"]) for each in receipt["resources"]} == {
        ("instance", made["instance_id"], "gone"),
        ("volume", made["volumes"][0], "gone"),
        ("network interface", made["interfaces"][0], "gone"),
    }
    left = modules.lab.ask("GET", "leftovers")
    assert made["volumes"][0] not in left["volumes"]
    assert made["interfaces"][0] not in left["interfaces"]


def test_ten_at_once_make_one_machine(modules: Modules) -> None:
    modules.lab.configure(describe_lag_min=0.5, describe_lag_max=1.5)
    environment = environment_id()
    runs = [modules.up(environment) for _each in range(10)]
    assert len({run.result()["machine"]["instance_id"] for run in runs}) == 1
    assert len(modules.lab.instances(environment)) == 1


def test_other_parameters_and_order_find_the_same_machine(modules: Modules) -> None:
    """A repeat knows a new expiry and other types: the token is used up, so it finds what is there, lag or not."""
    modules.lab.configure(describe_lag_min=1.5, describe_lag_max=1.5)
    environment = environment_id()
    first = modules.up(environment, wait_timeout=0, expires_at=1798761600).result()
    assert first["error"]["code"] == "ec2_not_reachable"
    again = modules.up(environment, instance_types=["t3.large", "t3.micro"], expires_at=1798761700).result()
    assert again["machine"]["instance_type"] == "t3.micro"
    assert len(modules.lab.instances(environment)) == 1


def test_dead_token_moves_the_attempt(modules: Modules) -> None:
    environment = environment_id()
    attempts = []
    for _each in range(3):
        attempts.append(modules.up(environment).result()["machine"]["attempt"])
        assert modules.down(environment).result()["receipt"]["complete"]
    assert attempts == [1, 2, 3]


def test_dead_token_that_describe_has_forgotten(modules: Modules) -> None:
    environment = environment_id()
    modules.up(environment).result()
    modules.down(environment).result()
    modules.lab.configure(remembered=0)
    try:
        assert modules.up(environment).result()["machine"]["attempt"] == 2
    finally:
        modules.lab.configure(remembered=3600)


@pytest.mark.parametrize("effect", ["lost-reset", "lost-stall", "lost-error"])
def test_lost_reply_makes_one_machine(modules: Modules, effect: str) -> None:
    environment = environment_id()
    modules.lab.fault("RunInstances", effect, times=2, seconds=0.5)
    done = modules.up(environment).result()
    assert done["machine"]["instance_id"]
    assert len(modules.lab.instances(environment)) == 1


def test_throttling_is_waited_out(modules: Modules) -> None:
    environment = environment_id()
    modules.lab.fault("RunInstances", code="RequestLimitExceeded", times=3)
    modules.lab.fault("DescribeInstances", code="RequestLimitExceeded", times=2)
    assert modules.up(environment).result()["changed"]
    modules.lab.fault("TerminateInstances", code="RequestLimitExceeded", times=2)
    assert modules.down(environment).result()["receipt"]["complete"]


def test_throttling_without_end_is_one_line(modules: Modules) -> None:
    modules.lab.fault("RunInstances", code="RequestLimitExceeded")
    failed = modules.up(environment_id(), patience=1).result()
    assert failed["error"]["code"] == "ec2_busy"
    assert "RunInstances" in failed["msg"]
    assert "\n" not in failed["msg"]


def test_capacity_takes_the_next_zone_and_type(modules: Modules) -> None:
    environment = environment_id()
    modules.lab.fault("RunInstances", code="InsufficientInstanceCapacity", when={"type": "m7i.large"})
    modules.lab.fault(
        "RunInstances", code="InsufficientInstanceCapacity", when={"type": "m6i.large", "zone": "us-east-1a"}
    )
    done = modules.up(
        environment, instance_types=["m7i.large", "m6i.large"], zones=["us-east-1a", "us-east-1b"]
    ).result()
    assert (done["machine"]["instance_type"], done["machine"]["zone"]) == ("m6i.large", "us-east-1b")
    assert len(modules.lab.instances(environment)) == 1


def test_spot_falls_back_to_on_demand(modules: Modules) -> None:
    with_spot, without = environment_id(), environment_id()
    assert modules.up(with_spot, spot=True).result()["machine"]["market"] == "spot"
    modules.lab.fault("RunInstances", code="InsufficientInstanceCapacity", when={"market": "spot"})
    assert modules.up(without, spot=True).result()["machine"]["market"] == "on-demand"


@pytest.mark.parametrize(
    ("aws_code", "code", "says"),
    [
        ("InsufficientInstanceCapacity", "ec2_capacity", "name more types or zones"),
        ("VcpuLimitExceeded", "ec2_quota", "raise the quota"),
        ("InstanceLimitExceeded", "ec2_quota", "raise the quota"),
        ("UnauthorizedOperation", "ec2_permission", "add ec2:RunInstances to its IAM policy"),
        ("AuthFailure", "ec2_credentials", "aws sts get-caller-identity"),
        ("OptInRequired", "ec2_region", "enable the region"),
    ],
)
def test_each_refusal_is_one_line_and_leaves_nothing(modules: Modules, aws_code: str, code: str, says: str) -> None:
    environment = environment_id()
    modules.lab.fault("RunInstances", code=aws_code)
    failed = modules.up(environment, instance_types=["t3.micro", "t3.small"]).result()
    assert failed["failed"]
    assert failed["error"]["code"] == code
    assert says in failed["msg"]
    assert "\n" not in failed["msg"]
    assert not modules.lab.instances(environment)
    # The same is said before anything is changed.
    if aws_code == "UnauthorizedOperation":
        checked = modules.up(environment, _ansible_check_mode=True).result()
        assert checked["error"]["code"] == code


def test_wrong_image_is_one_line(modules: Modules) -> None:
    failed = modules.up(environment_id(), image_id="ami-00000000000000000").result()
    assert failed["error"]["code"] == "ec2_image"


def test_instance_that_dies_while_it_starts_is_replaced_once(modules: Modules) -> None:
    environment = environment_id()
    modules.lab.configure(boot_delay=1.0)
    modules.lab.ask("POST", "boots", {"kind": "dies", "seconds": 0.3})
    assert modules.up(environment).result()["machine"]["attempt"] == 2
    assert len(modules.lab.alive(environment)) == 1


def test_instances_that_all_die_end_in_one_line(modules: Modules) -> None:
    environment = environment_id()
    modules.lab.configure(boot_delay=1.0)
    modules.lab.boots("dies", count=2, seconds=0.3)
    failed = modules.up(environment).result()
    assert failed["error"]["code"] == "ec2_ended"
    assert "Server.InternalError" in failed["msg"]
    assert not modules.lab.alive(environment)


def test_instance_that_never_leaves_pending(modules: Modules) -> None:
    environment = environment_id()
    modules.lab.boots("pending")
    failed = modules.up(environment, wait_timeout=1).result()
    assert failed["error"]["code"] == "ec2_not_reachable"
    assert "still pending" in failed["msg"]
    assert modules.down(environment).result()["receipt"]["complete"]


def test_not_found_is_believed_neither_after_launch_nor_after_termination(modules: Modules) -> None:
    modules.lab.configure(describe_lag_min=1.5, describe_lag_max=1.5, stale=1.5)
    environment = environment_id()
    assert modules.up(environment).result()["machine"]["state"] == "running"
    receipt = modules.down(environment).result()["receipt"]
    assert receipt["complete"]
    assert receipt["resources"][0]["detail"].startswith("terminated")
    assert len(modules.lab.instances(environment)) == 1


def test_down_right_after_a_launch_that_describe_does_not_show(modules: Modules) -> None:
    modules.lab.configure(describe_lag_min=5, describe_lag_max=5)
    environment = environment_id()
    modules.up(environment, wait_timeout=0).result()
    done = modules.down(environment, settle=8).result()
    assert done["receipt"]["complete"]
    assert len(modules.lab.instances(environment)) == 1
    assert not modules.lab.alive(environment)


def test_many_end_in_one_call(modules: Modules) -> None:
    environments = [environment_id() for _each in range(12)]
    for run in [modules.up(each) for each in environments]:
        run.result()
    modules.lab.ask("DELETE", "calls")
    done = modules.down(*environments).result()
    assert done["receipt"]["complete"]
    assert len(modules.lab.calls("TerminateInstances")) == 1
    assert not [each for each in modules.lab.alive() if each["tags"]["fuel-code:environment"] in environments]


def test_foreign_instance_is_not_ended(modules: Modules) -> None:
    import boto3

    client = boto3.client("ec2", region_name="us-east-1", endpoint_url=modules.lab.endpoint, **KEYS)
    answer = client.run_instances(ImageId=AMI, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    foreign = answer["Instances"][0]["InstanceId"]
    failed = modules.down(instance_ids=[foreign]).result()
    assert failed["error"]["code"] == "ec2_foreign"
    assert foreign in {each["id"] for each in modules.lab.alive()}
    assert modules.lab.calls("TerminateInstances") == [
        call for call in modules.lab.calls("TerminateInstances") if foreign not in call["parameters"].values()
    ]


def test_id_that_nobody_knows_is_gone_after_a_while_only(modules: Modules) -> None:
    done = modules.down(instance_ids=["i-0123456789abcdef0"], settle=0.5).result()
    assert not done["changed"]
    assert done["receipt"]["resources"][0]["state"] == "gone"
    assert "unknown to AWS" in done["receipt"]["resources"][0]["detail"]


def test_volume_that_was_left_behind_goes(modules: Modules) -> None:
    import boto3

    environment = environment_id()
    client = boto3.client("ec2", region_name="us-east-1", endpoint_url=modules.lab.endpoint, **KEYS)
    tags = [
        {"Key": "fuel-code:managed", "Value": "true"},
        {"Key": "fuel-code:environment", "Value": environment},
    ]
    volume = client.create_volume(
        AvailabilityZone="us-east-1a", Size=1, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
    )["VolumeId"]
    done = modules.down(environment, settle=0).result()
    assert {"kind": "volume", "name": volume, "state": "gone", "detail": ""} in done["receipt"]["resources"]
    assert volume not in modules.lab.ask("GET", "leftovers")["volumes"]


def test_in_a_playbook(modules: Modules, tmp_path: Path) -> None:
    """As people use it: packed by Ansible, its region given by the module's defaults, its result registered."""
    environment = environment_id()
    playbook = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": {"fuel_code.remote.ec2_machine": {"region": "us-east-1", "poll_interval": 0.1}},
            "tasks": [
                {
                    "fuel_code.remote.ec2_machine": {
                        "environment_id": environment,
                        "owner": "alice",
                        "image_id": AMI,
                        "instance_types": ["t3.micro"],
                        "port": 0,
                    }
                },
                {
                    "fuel_code.remote.ec2_machine": {"state": "absent", "environment_id": environment},
                    "register": "ended",
                },
                {
                    "ansible.builtin.assert": {
                        "that": ["ended.receipt.complete", "ended.receipt.resources | length == 3"]
                    }
                },
            ],
        }
    ]
    (tmp_path / "play.json").write_text(json.dumps(playbook))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local", "play.json"],
        cwd=tmp_path,
        env={
            **os.environ,
            **modules.lab.environment(),
            "ANSIBLE_COLLECTIONS_PATH": str(modules.collections),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert not modules.lab.alive(environment)


def test_nobody_answers(modules: Modules) -> None:
    failed = modules.up(environment_id(), endpoint_url="http://127.0.63.1:9", patience=1).result()
    assert failed["error"]["code"] == "ec2_unreachable"
    assert "\n" not in failed["msg"]


def test_no_credentials(modules: Modules) -> None:
    unset = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    failed = modules.up(environment_id(), unset=unset).result()
    assert failed["error"]["code"] == "ec2_credentials"
    assert "set AWS_PROFILE" in failed["msg"]


def test_profile_that_there_is_not(modules: Modules) -> None:
    unset = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    failed = modules.up(environment_id(), profile="nobody", unset=unset).result()
    assert "nobody" in failed["msg"]
    assert "\n" not in failed["msg"]


KEYS = {"aws_access_key_id": "AKIALABLABLABLABLAB1", "aws_secret_access_key": "lab"}


def test_a_group_that_another_machines_end_took_away_is_made_anew(modules: Modules) -> None:
    environment = environment_id()
    gone = {"security_group_ids": ["sg-0123456789abcdef0"]}
    refused = modules.up(environment, **gone).result()
    assert refused["error"]["code"] == "ec2_network"
    assert not modules.lab.instances(environment)
    made = modules.up(environment, **gone, open_to=["198.51.100.7/32"]).result()
    assert made["changed"], made
    assert len(modules.lab.alive(environment)) == 1
    assert modules.down(environment).result()["receipt"]["complete"]


def test_an_address_that_another_machines_end_closed_is_let_in_again(modules: Modules) -> None:
    """Whoever ended that one looked who needs the rule before AWS showed this one."""
    aws = boto3.client("ec2", endpoint_url=modules.lab.endpoint, region_name="us-east-1", **KEYS)

    def let_in() -> set[str]:
        [group] = aws.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
        return {each["CidrIp"] for rule in group["IpPermissions"] for each in rule["IpRanges"]}

    first, environment, mine, other = environment_id(), environment_id(), "198.51.100.8/32", "203.0.113.9/32"
    gone = {"owner": "erin", "security_group_ids": ["sg-0123456789abcdef0"]}
    assert modules.up(first, **gone, open_to=[other]).result()["changed"]
    [instance] = aws.describe_instances(Filters=[{"Name": "tag:fuel-code:environment", "Values": [first]}])[
        "Reservations"
    ][0]["Instances"]
    group_id = instance["SecurityGroups"][0]["GroupId"]
    # Nothing listens there: these machines are answers of an API only. And its rule is gone since it was looked for.
    wanted = {"owner": "erin", "security_group_ids": [group_id], "open_to": [mine]}
    launch = modules.up(environment, **wanted, port=9, wait_timeout=300)
    modules.lab.wait_for(lambda: modules.lab.alive(environment))
    assert let_in() == {other}
    modules.lab.wait_for(lambda: let_in() == {mine, other}, seconds=240)
    launch.kill()
    assert modules.down(first, environment).result()["receipt"]["complete"]
