# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may connect: the caller's address, and the owner's security group."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import _access, _let_in
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._api import Api
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._caller import caller_network, check_network
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError


class RefusedError(Exception):
    """As botocore's ClientError."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code, "Message": code}}


class Cloud:
    """Security groups and instances of one region; `refuse` maps a call to the codes that it answers with first."""

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, Any]] = {}
        self.alive: list[str] = []
        self.refuse: dict[str, list[str]] = {}

    def _maybe(self, call: str) -> None:
        if self.refuse.get(call):
            raise RefusedError(self.refuse[call].pop(0))

    def describe_security_groups(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        wanted = {each["Name"]: each["Values"][0] for each in Filters}
        return {
            "SecurityGroups": [
                group
                for group in self.groups.values()
                if wanted.get("group-name", group["GroupName"]) == group["GroupName"]
                and wanted.get("group-id", group["GroupId"]) == group["GroupId"]
                and wanted.get("vpc-id", group["VpcId"]) == group["VpcId"]
            ]
        }

    def create_security_group(self, **asked: Any) -> dict[str, Any]:
        self._maybe("create")
        group_id = f"sg-{len(self.groups) + 1}"
        self.groups[group_id] = {"GroupId": group_id, "IpPermissions": [], **asked}
        return {"GroupId": group_id}

    def authorize_security_group_ingress(self, **asked: Any) -> dict[str, Any]:
        self._maybe("authorize")
        self.groups[asked["GroupId"]]["IpPermissions"] += asked["IpPermissions"]
        return {}

    def delete_security_group(self, **asked: Any) -> dict[str, Any]:
        self._maybe("delete")
        del self.groups[asked["GroupId"]]
        return {}

    def describe_instances(self, **_asked: Any) -> dict[str, Any]:
        shown = [{"InstanceId": each, "State": {"Name": "running"}} for each in self.alive]
        return {"Reservations": [{"Instances": shown}]}


def quiet(cloud: Cloud) -> Api:
    return Api(cloud, patience=0)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_access.time, "sleep", lambda _seconds: None)


def test_made_once_and_then_kept() -> None:
    cloud = Cloud()
    first = _access.ensure(quiet(cloud), "alice", "vpc-1", ["198.51.100.7/32"])
    again = _access.ensure(quiet(cloud), "alice", "vpc-1", ["198.51.100.7/32"])
    assert (first.changed, again.changed) == (True, False)
    assert first.group_id == again.group_id
    moved = _access.ensure(quiet(cloud), "alice", "vpc-1", ["198.51.100.8/32"])
    assert (moved.changed, moved.networks) == (True, ["198.51.100.7/32", "198.51.100.8/32"])
    assert len(cloud.groups) == 1
    assert {"Key": "fuel-code:managed", "Value": "true"} in cloud.groups["sg-1"]["TagSpecifications"][0]["Tags"]


def test_owners_and_networks_have_groups_of_their_own() -> None:
    cloud = Cloud()
    made = {
        _access.ensure(quiet(cloud), owner, vpc, ["198.51.100.7/32"]).group_id
        for owner in ("alice", "bob")
        for vpc in ("vpc-1", "vpc-2")
    }
    assert len(made) == 4


def test_check_changes_nothing() -> None:
    cloud = Cloud()
    foreseen = _access.ensure(quiet(cloud), "alice", "vpc-1", ["198.51.100.7/32"], check=True)
    assert (foreseen.changed, foreseen.group_id, cloud.groups) == (True, "", {})


def test_a_fresh_group_may_not_be_known_everywhere_yet() -> None:
    cloud = Cloud()
    cloud.refuse["authorize"] = ["InvalidGroup.NotFound"] * 3
    assert _access.ensure(quiet(cloud), "alice", "vpc-1", ["198.51.100.7/32"]).changed


def test_whoever_was_faster_made_it() -> None:
    cloud = Cloud()
    _access.ensure(quiet(cloud), "alice", "vpc-1", [])
    hidden, cloud.groups = cloud.groups, {}
    cloud.refuse["create"] = ["InvalidGroup.Duplicate"]
    create = cloud.create_security_group

    def appears(**asked: Any) -> dict[str, Any]:
        cloud.groups = hidden
        return create(**asked)

    cloud.create_security_group = appears  # type: ignore[method-assign]  # a test's own stand-in
    assert _access.ensure(quiet(cloud), "alice", "vpc-1", ["198.51.100.7/32"]).group_id == "sg-1"


def test_it_stays_while_a_machine_needs_it_and_goes_with_the_last() -> None:
    cloud = Cloud()
    _access.ensure(quiet(cloud), "alice", "vpc-1", ["198.51.100.7/32"])
    cloud.alive = ["i-1"]
    assert _let_in.release(quiet(cloud), "alice") == (False, [])
    cloud.alive = []
    cloud.refuse["delete"] = ["DependencyViolation"] * 2
    changed, lines = _let_in.release(quiet(cloud), "alice", sleep=lambda _seconds: None)
    assert changed
    assert [(line["kind"], line["state"]) for line in lines] == [("ingress_rule", "gone"), ("security_group", "gone")]
    assert _let_in.release(quiet(cloud), "alice") == (False, [])


def test_one_that_cannot_be_removed_is_told_of() -> None:
    cloud = Cloud()
    _access.ensure(quiet(cloud), "alice", "vpc-1", ["198.51.100.7/32"])
    cloud.refuse["delete"] = ["DependencyViolation"] * 1000
    times = iter(range(0, 10_000, 10))
    _changed, lines = _let_in.release(
        quiet(cloud), "alice", clock=lambda: float(next(times)), sleep=lambda _seconds: None
    )
    assert {line["state"] for line in lines} == {"present"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["198.51.100.7\n"], "198.51.100.7/32"),
        ([OSError("refused"), "198.51.100.7"], "198.51.100.7/32"),
        (["<html>", "198.51.100.7"], "198.51.100.7/32"),
        (["127.0.0.1", "198.51.100.7"], "198.51.100.7/32"),
    ],
)
def test_the_callers_address(said: list[Any], expected: str) -> None:
    answers = iter(said)

    def read(_url: str) -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return str(answer)

    assert caller_network([f"https://{number}.example" for number in range(len(said))], read) == expected


@pytest.mark.parametrize("said", ["", "0.0.0.0", "127.0.0.1", "224.0.0.1", "169.254.1.1", "::1", "1.2.3.4/8", "1.2.3"])
def test_an_address_that_is_not_usable_lets_nobody_in(said: str) -> None:
    with pytest.raises(FuelError, match="nobody is let in"):
        caller_network(["https://one.example"], lambda _url: said)


def test_services_are_http_only() -> None:
    with pytest.raises(UsageError, match="no http"):
        caller_network(["file:///etc/hostname"], lambda _url: "198.51.100.7")


@pytest.mark.parametrize(
    ("text", "expected"), [("198.51.100.7", "198.51.100.7/32"), ("198.51.100.9/24", "198.51.100.0/24")]
)
def test_networks(text: str, expected: str) -> None:
    assert check_network(text) == expected


@pytest.mark.parametrize("text", ["0.0.0.0/0", "10.0.0.0/8", "::/0", "2001:db8::1", "everybody", "1.2.3.4/33", ""])
def test_networks_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        check_network(text)
