# SPDX-License-Identifier: GPL-3.0-or-later
"""What a region shows that carries our tag, put together by environment."""

from __future__ import annotations

from datetime import datetime

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import _audit
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._api import Api, ApiError
from ansible_collections.fuel_code.remote.plugins.module_utils._identity import environment_id_for

ONE = "01JD3Z5Q8W6S9X4V7T2R1P0N8M"
TWO = "01JD3Z5Q8W6S9X4V7T2R1P0N8N"
MADE = datetime.fromisoformat("2026-01-31T12:00:00+00:00")


def tags(environment=None, owner="ada", **more):
    given = {"fuel-code:managed": "true", "fuel-code:owner": owner, **more}
    if environment is not None:
        given["fuel-code:environment"] = environment
    return [{"Key": name, "Value": value} for name, value in given.items()]


def instance(name, environment, state="running", **more):
    return {"InstanceId": name, "State": {"Name": state}, "LaunchTime": MADE, "Tags": tags(environment, **more)}


class Region(Api):
    """A client's answers; asked with anything but our tag, it has nothing to say."""

    def __init__(self, instances=(), volumes=(), interfaces=(), groups=(), denied=""):
        super().__init__(client=None)
        self._answers = {
            "describe_instances": [{"Instances": list(instances)}],
            "describe_volumes": list(volumes),
            "describe_network_interfaces": list(interfaces),
            "describe_security_groups": list(groups),
        }
        self._denied = denied

    def pages(self, method, key, **asked):
        assert asked["Filters"] == [{"Name": "tag:fuel-code:managed", "Values": ["true"]}]
        if method == self._denied:
            raise ApiError("DescribeVolumes", "UnauthorizedOperation", "You are not authorized")
        return iter(self._answers[method])


def audit(**answers):
    return _audit.audit_region(Region(**answers), "eu-central-1", "123456789012")


def test_nothing_is_nothing():
    assert audit() == []


def test_an_environment_with_all_that_it_has():
    expires = {"fuel-code:expires-at": "2026-01-31T20:00:00Z", "Name": "fuel-code-shop"}
    volume = {"VolumeId": "vol-1", "State": "in-use", "CreateTime": MADE, "Tags": tags(ONE)}
    interface = {"NetworkInterfaceId": "eni-1", "Status": "in-use", "TagSet": tags(ONE)}
    group = {"GroupId": "sg-1", "Tags": tags()}
    found = audit(instances=[instance("i-1", ONE, **expires)], volumes=[volume], interfaces=[interface], groups=[group])
    [one] = found
    assert {key: one[key] for key in ("environment_id", "owner", "name", "region", "account", "shared")} == {
        "environment_id": ONE,
        "owner": "ada",
        "name": "shop",
        "region": "eu-central-1",
        "account": "123456789012",
        "shared": False,
    }
    assert (one["since"], one["expires_at"]) == (MADE.timestamp(), MADE.timestamp() + 8 * 3600)
    assert [(line["kind"], line["name"]) for line in one["resources"]] == [
        ("instance", "i-1"),
        ("volume", "vol-1"),
        ("network interface", "eni-1"),
        ("security_group", "sg-1"),
    ]
    assert one["machines"][0]["instance_id"] == "i-1"


def test_what_an_ended_machine_has_left():
    volume = {"VolumeId": "vol-1", "State": "available", "CreateTime": MADE, "Tags": tags(ONE)}
    gone = {"VolumeId": "vol-2", "State": "deleted", "CreateTime": MADE, "Tags": tags(TWO)}
    found = audit(instances=[instance("i-1", ONE, state="terminated")], volumes=[volume, gone])
    assert [(one["environment_id"], [line["name"] for line in one["resources"]]) for one in found] == [(ONE, ["vol-1"])]


def test_a_group_without_machines_stands_for_itself():
    groups = [{"GroupId": "sg-1", "Tags": tags()}, {"GroupId": "sg-2", "Tags": tags(owner="bob")}]
    found = {one["owner"]: one for one in audit(instances=[instance("i-1", ONE, owner="bob")], groups=groups)}
    assert (found["ada"]["shared"], found["ada"]["since"]) == (True, None)
    assert found["ada"]["environment_id"] == environment_id_for("ada", "access/eu-central-1")
    assert [line["name"] for line in found["bob"]["resources"]] == ["i-1", "sg-2"]


@pytest.mark.parametrize("strange", ["", "x", "../../etc", "01JD3Z5Q8W6S9X4V7T2R1P0N8MM", "{{ 7 * 7 }}"])
def test_an_id_that_is_none_of_ours_ends_nothing(strange):
    [one] = audit(instances=[instance("i-1", strange)])
    assert (one["environment_id"], one["name"]) == ("", strange)


def test_a_region_that_refuses_is_told_beside_the_others():
    well, ill = Region(instances=[instance("i-1", ONE)]), Region(denied="describe_volumes")
    found, problems = _audit.audit({"eu-central-1": well, "us-east-1": ill}, "123456789012")
    assert [one["environment_id"] for one in found] == [ONE]
    assert [(each["region"], each["code"]) for each in problems] == [("us-east-1", "ec2_permission")]
    assert "ec2:DescribeVolumes" in problems[0]["hint"]


KEYS = {TWO: {"s3://keys/ssh-keys/2": MADE.timestamp(), "s3://keys/ssh-keys/2.pub": MADE.timestamp() + 1}}
PLACE = {"region": "eu-central-1", "account": "123456789012"}


def test_keys_are_told_with_what_else_there_is():
    found = audit(instances=[instance("i-2", TWO)])
    [one] = _audit.add_keys(found, KEYS, PLACE, everywhere=False)
    assert [line["kind"] for line in one["resources"]] == ["instance", "key_object", "key_object"]


@pytest.mark.parametrize("everywhere", [False, True])
def test_keys_alone_are_told_only_when_every_region_was_asked(everywhere):
    found = audit(instances=[instance("i-1", ONE)])
    told = _audit.add_keys(found, KEYS, PLACE, everywhere=everywhere)
    alone = [one for one in told if one["environment_id"] == TWO]
    assert len(alone) == everywhere
    for one in alone:
        assert (one["since"], one["machines"], one["shared"]) == (MADE.timestamp(), [], False)
        assert [line["name"] for line in one["resources"]] == sorted(KEYS[TWO])
