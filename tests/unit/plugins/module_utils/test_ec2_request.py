# SPDX-License-Identifier: GPL-3.0-or-later
"""What RunInstances is asked: candidates in order, the same bytes for the same plan, one token per attempt."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._request import (
    Candidate,
    Plan,
    candidates,
    parameters,
    tags,
    token,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError

ENVIRONMENT = "01JD0000000000000000000000"


def plan(**more):
    defaults = {
        "environment_id": ENVIRONMENT,
        "owner": "alice",
        "image_id": "ami-1",
        "root_device": "/dev/xvda",
        "candidates": [Candidate("t3.micro")],
    }
    return Plan(**{**defaults, **more})


@pytest.mark.parametrize(
    ("types", "subnets", "zones", "spot", "expected"),
    [
        (["a"], [], [], False, ["a"]),
        (["a", "b"], [], [], False, ["a", "b"]),
        (["a"], [], ["z1", "z2"], False, ["a in z1", "a in z2"]),
        (["a"], ["s1", "s2"], ["z1"], False, ["a in s1", "a in s2"]),
        (["a", "b"], ["s1"], [], True, ["a in s1 (spot)", "b in s1 (spot)", "a in s1", "b in s1"]),
        (["a"], [], [], True, ["a (spot)", "a"]),
    ],
)
def test_candidates(types, subnets, zones, spot, expected):
    assert [str(each) for each in candidates(types, subnets, zones, spot)] == expected


def test_token_belongs_to_environment_and_attempt():
    assert token(ENVIRONMENT, 1) == token(ENVIRONMENT, 1)
    assert len({token(ENVIRONMENT, 1), token(ENVIRONMENT, 2), token(ENVIRONMENT[:-1] + "1", 1)}) == 3
    assert len(token(ENVIRONMENT, 1)) <= 64  # AWS takes no more


def test_all_candidates_of_an_attempt_share_the_token():
    """Otherwise a repeat that finds capacity for an earlier candidate makes a second machine."""
    wanted = plan(candidates=candidates(["a", "b"], [], ["z1", "z2"], True))
    assert len({parameters(wanted, each, 1)["ClientToken"] for each in wanted.candidates}) == 1


def test_same_plan_gives_the_same_parameters():
    assert parameters(plan(), Candidate("a"), 1) == parameters(plan(), Candidate("a"), 1)


def test_power_off_terminates_and_the_disk_goes_too():
    asked = parameters(plan(disk_gb=50), Candidate("a"), 1)
    assert asked["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert asked["BlockDeviceMappings"] == [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {"VolumeType": "gp3", "VolumeSize": 50, "Encrypted": True, "DeleteOnTermination": True},
        }
    ]


def test_metadata_needs_a_token_and_goes_one_hop():
    asked = parameters(plan(), Candidate("a"), 1)["MetadataOptions"]
    assert (asked["HttpTokens"], asked["HttpPutResponseHopLimit"]) == ("required", 1)


def test_no_credentials_on_the_machine_unless_asked_for():
    assert "IamInstanceProfile" not in parameters(plan(), Candidate("a"), 1)
    assert parameters(plan(instance_profile="p"), Candidate("a"), 1)["IamInstanceProfile"] == {"Name": "p"}
    arn = "arn:aws:iam::123456789012:instance-profile/p"
    assert parameters(plan(instance_profile=arn), Candidate("a"), 1)["IamInstanceProfile"] == {"Arn": arn}


def test_everything_is_tagged_from_the_start():
    asked = parameters(plan(), Candidate("a", market="spot"), 1)
    kinds = {each["ResourceType"] for each in asked["TagSpecifications"]}
    assert kinds == {"instance", "volume", "network-interface", "spot-instances-request"}
    assert "spot-instances-request" not in str(parameters(plan(), Candidate("a"), 1)["TagSpecifications"])


def test_tags():
    assert tags(plan(name="shop", expires_at=1798761600)) == {
        "fuel-code:managed": "true",
        "fuel-code:environment": ENVIRONMENT,
        "fuel-code:owner": "alice",
        "fuel-code:expires-at": "2027-01-01T00:00:00Z",
        "Name": "fuel-code-shop",
    }


def test_spot_ends_with_the_interruption():
    market = parameters(plan(), Candidate("a", market="spot"), 1)["InstanceMarketOptions"]
    assert market["SpotOptions"] == {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    assert "InstanceMarketOptions" not in parameters(plan(), Candidate("a"), 1)


@pytest.mark.parametrize(
    ("candidate", "more", "expected"),
    [
        (Candidate("a"), {}, {}),
        (Candidate("a", subnet="s"), {"security_groups": ["g"]}, {"SubnetId": "s", "SecurityGroupIds": ["g"]}),
        (Candidate("a", zone="z"), {}, {"Placement": {"AvailabilityZone": "z"}}),
        (
            Candidate("a", subnet="s"),
            {"security_groups": ["g"], "public_address": False},
            {
                "NetworkInterfaces": [
                    {
                        "DeviceIndex": 0,
                        "AssociatePublicIpAddress": False,
                        "DeleteOnTermination": True,
                        "SubnetId": "s",
                        "Groups": ["g"],
                    }
                ]
            },
        ),
    ],
)
def test_network(candidate, more, expected):
    asked = parameters(plan(**more), candidate, 1)
    names = ("SubnetId", "SecurityGroupIds", "Placement", "NetworkInterfaces")
    assert {name: asked[name] for name in names if name in asked} == expected


@pytest.mark.parametrize("more", [{"user_data": "x" * 16385}, {"user_data": "ü" * 8193}, {"owner": "x" * 257}])
def test_what_aws_would_refuse_is_refused_before(more):
    with pytest.raises(UsageError):
        parameters(plan(**more), Candidate("a"), 1)
