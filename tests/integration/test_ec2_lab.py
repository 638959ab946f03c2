# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself, as any AWS client sees it: what it adds to moto, and what its control endpoint does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.lab.ec2.client import Ec2Lab

from .ec2 import AMI

LAUNCH = {"ImageId": AMI, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(machines=False, boot_delay=0, shutdown_delay=0) as started:
        yield started


@pytest.fixture(autouse=True)
def healed(lab: Ec2Lab) -> Iterator[None]:
    yield
    lab.heal()
    lab.configure(describe_lag_min=0, describe_lag_max=0, stale=0, boot_delay=0, shutdown_delay=0, remembered=3600)


def client(lab: Ec2Lab, service: str = "ec2", region: str = "us-east-1") -> Any:
    from botocore.config import Config

    return boto3.client(
        service,
        region_name=region,
        endpoint_url=lab.endpoint,
        aws_access_key_id="AKIALABLABLABLABLAB1",
        aws_secret_access_key="lab",
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
    )


def launch(lab: Ec2Lab, region: str = "us-east-1", **more: Any) -> str:
    return str(client(lab, region=region).run_instances(**{**LAUNCH, **more})["Instances"][0]["InstanceId"])


def refusal(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return str(raised.value.response["Error"]["Code"])


def state(lab: Ec2Lab, instance: str) -> str:
    described = client(lab).describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return str(described["State"]["Name"])


def test_token_is_one_instance_per_region(lab: Ec2Lab) -> None:
    first = launch(lab, ClientToken="a")
    assert launch(lab, ClientToken="a") == first
    assert launch(lab, ClientToken="b") != first
    assert launch(lab, region="eu-central-1", ClientToken="a") != first
    ec2 = client(lab)
    again = {**LAUNCH, "ClientToken": "a"}
    assert refusal(ec2.run_instances, **{**again, "InstanceType": "t3.small"}) == "IdempotentParameterMismatch"
    ec2.terminate_instances(InstanceIds=[first])
    assert refusal(ec2.run_instances, **again) == "IdempotentInstanceTerminated"


def test_dry_run_uses_no_token(lab: Ec2Lab) -> None:
    assert refusal(client(lab).run_instances, **LAUNCH, ClientToken="dry", DryRun=True) == "DryRunOperation"
    assert launch(lab, ClientToken="dry")


def test_describe_and_terminate_do_not_know_a_fresh_instance(lab: Ec2Lab) -> None:
    lab.configure(describe_lag_min=3600, describe_lag_max=3600)
    instance, ec2 = launch(lab), client(lab)
    assert refusal(ec2.describe_instances, InstanceIds=[instance]) == "InvalidInstanceID.NotFound"
    assert refusal(ec2.terminate_instances, InstanceIds=[instance]) == "InvalidInstanceID.NotFound"
    lab.configure(describe_lag_min=1, describe_lag_max=1)
    instance = launch(lab)

    def is_known() -> bool:
        found = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
        return instance in {each["InstanceId"] for one in found["Reservations"] for each in one["Instances"]}

    lab.wait_for(is_known)
    assert state(lab, instance) == "running"


def test_states_take_their_time(lab: Ec2Lab) -> None:
    lab.configure(boot_delay=3600)
    assert state(lab, launch(lab)) == "pending"
    lab.configure(boot_delay=1, shutdown_delay=3600, stale=3600)
    ec2, instance, other, last = client(lab), launch(lab), launch(lab), launch(lab)
    lab.wait_for(lambda: {state(lab, each) for each in (instance, other, last)} == {"running"})
    ec2.terminate_instances(InstanceIds=[instance])
    assert state(lab, instance) == "running"  # stale
    assert next(each["state"] for each in lab.instances() if each["id"] == instance) == "shutting-down"
    lab.configure(stale=1)
    ec2.terminate_instances(InstanceIds=[other])
    lab.wait_for(lambda: state(lab, other) == "shutting-down")
    lab.configure(shutdown_delay=2)
    ec2.terminate_instances(InstanceIds=[last])
    lab.wait_for(lambda: state(lab, last) == "terminated")
    lab.configure(remembered=0)
    assert refusal(ec2.describe_instances, InstanceIds=[last]) == "InvalidInstanceID.NotFound"


def test_spot_interruption(lab: Ec2Lab) -> None:
    instance = launch(lab, InstanceMarketOptions={"MarketType": "spot"})
    lab.ask("POST", f"instances/{instance}/interrupt", {"seconds": 0.2})
    lab.wait_for(lambda: state(lab, instance) == "terminated", 60)
    described = client(lab).describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert described["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_faults_hit_what_they_name_and_as_often_as_they_say(lab: Ec2Lab) -> None:
    lab.fault("RunInstances", code="InsufficientInstanceCapacity", times=1, when={"zone": "us-east-1b"})
    ec2 = client(lab)
    assert launch(lab)
    there = {**LAUNCH, "Placement": {"AvailabilityZone": "us-east-1b"}}
    assert refusal(ec2.run_instances, **there) == "InsufficientInstanceCapacity"
    assert ec2.run_instances(**there)["Instances"]
    with pytest.raises(ValueError, match="effect is one of"):
        lab.fault("RunInstances", "no such effect")
    with pytest.raises(ValueError, match="no setting"):
        lab.configure(no_such_setting=1)


def test_s3_answers_and_is_down_on_demand(lab: Ec2Lab) -> None:
    s3 = client(lab, "s3")
    s3.create_bucket(Bucket="fuel-code-lab")
    s3.put_object(Bucket="fuel-code-lab", Key="ssh-keys/1", Body=b"key", ServerSideEncryption="aws:kms")
    assert s3.get_object(Bucket="fuel-code-lab", Key="ssh-keys/1")["ServerSideEncryption"] == "aws:kms"
    lab.ask("POST", "faults", {"service": "s3", "code": "SlowDown"})
    assert refusal(s3.get_object, Bucket="fuel-code-lab", Key="ssh-keys/1") == "SlowDown"
    assert launch(lab)
    lab.heal()
    assert s3.get_object(Bucket="fuel-code-lab", Key="ssh-keys/1")["Body"].read() == b"key"


def test_security_group_rules_can_be_read_back(lab: Ec2Lab) -> None:
    ec2 = client(lab)
    group = ec2.create_security_group(GroupName="fuel-code-remote-lab", Description="lab")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.7/32"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    assert refusal(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[rule]) == (
        "InvalidPermission.Duplicate"
    )
    shown = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert [each["CidrIp"] for each in shown[0]["IpRanges"]] == ["192.0.2.7/32"]


def test_every_call_is_recorded(lab: Ec2Lab) -> None:
    lab.ask("DELETE", "calls")
    launch(lab, region="eu-west-1")
    [call] = lab.calls()
    assert (call["service"], call["region"], call["action"], call["status"]) == (
        "ec2",
        "eu-west-1",
        "RunInstances",
        200,
    )
    assert call["parameters"]["InstanceType"] == "t3.micro"


def test_two_labs_run_beside_each_other(lab: Ec2Lab) -> None:
    with Ec2Lab(machines=False) as other:
        assert other.endpoint != lab.endpoint
        assert other.instances() == []
