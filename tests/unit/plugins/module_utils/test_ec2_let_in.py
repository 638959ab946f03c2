# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that follow a machine's owner from network to network, and go when no machine needs them any more."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _identity
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import _access, _describe, _let_in, _tags
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._api import Api
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError

HOME, CAFE, OFFICE = "198.51.100.7/32", "198.51.100.8/32", "203.0.113.9/32"
ONE, OTHER = "01JD3Z5Q8W6S9X4V7T2R1P0N8M", "01JD3Z5Q8W6S9X4V7T2R1P0N8N"


class KilledError(BaseException):
    """Nothing of ours catches it."""


class Cloud:
    """One owner's group and machines. `calls`: changes in their order; `fatal`: before which one we die."""

    def __init__(self, rules: list[str], machines: dict[str, str | None]) -> None:
        self.rules = list(rules)
        self.machines = dict(machines)
        self.ended: set[str] = set()
        self.calls: list[str] = []
        self.fatal = -1

    def _change(self, name: str) -> None:
        if len(self.calls) == self.fatal:
            raise KilledError
        self.calls.append(name)

    def describe_security_groups(self, **_asked: Any) -> dict[str, Any]:
        ranges = [{"CidrIp": each} for each in self.rules]
        permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": ranges}
        return {"SecurityGroups": [{"GroupId": "sg-1", "VpcId": "vpc-1", "IpPermissions": [permission]}]}

    def describe_instances(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        asked = {each["Name"]: each["Values"] for each in Filters}
        wanted = asked.get(f"tag:{_identity.TAG_ENVIRONMENT}")
        only_alive = "instance-state-name" in asked
        shown = []
        for environment_id, said in self.machines.items():
            gone = environment_id in self.ended
            if (wanted and environment_id not in wanted) or (only_alive and gone):
                continue
            tags = {**_identity.labels(environment_id, "alice"), **({_tags.LET_IN: said} if said is not None else {})}
            one = {
                "InstanceId": f"i-{environment_id[-1]}",
                "State": {"Name": "terminated" if gone else "running"},
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
            if gone:
                one["StateReason"] = {"Code": "Server.SpotInstanceTermination", "Message": "Spot interruption"}
            shown.append(one if gone else {**one, "VpcId": "vpc-1"})
        return {"Reservations": [{"Instances": shown}]}

    def authorize_security_group_ingress(self, **asked: Any) -> dict[str, Any]:
        network = asked["IpPermissions"][0]["IpRanges"][0]["CidrIp"]
        self._change(f"let in {network}")
        self.rules.append(network)
        return {}

    def revoke_security_group_ingress(self, **asked: Any) -> dict[str, Any]:
        network = asked["IpPermissions"][0]["IpRanges"][0]["CidrIp"]
        self._change(f"close to {network}")
        self.rules.remove(network)
        return {}

    def create_tags(self, **asked: Any) -> dict[str, Any]:
        [tag] = asked["Tags"]
        assert tag["Key"] == _tags.LET_IN
        for name in asked["Resources"]:
            [environment_id] = [each for each in self.machines if name == f"i-{each[-1]}"]
            self._change(f"tag {name}: {tag['Value']}")
            self.machines[environment_id] = tag["Value"]
        return {}


def quiet(cloud: Cloud) -> Api:
    return Api(cloud, patience=0)


def test_another_address_takes_the_place_of_the_old_one() -> None:
    cloud = Cloud([HOME], {ONE: HOME})
    moved = _let_in.move(quiet(cloud), ONE, [CAFE], keep=False)
    assert (moved.changed, moved.networks, moved.all_networks) == (True, [CAFE], [CAFE])
    assert (cloud.rules, cloud.machines[ONE]) == ([CAFE], CAFE)
    assert cloud.calls[0] == f"tag i-M: {HOME} {CAFE}", "known before it is let in"
    assert not _let_in.move(quiet(cloud), ONE, [CAFE], keep=False).changed


def test_what_another_machine_needs_stays() -> None:
    cloud = Cloud([HOME], {ONE: HOME, OTHER: f"{HOME} {OFFICE}"})
    assert _let_in.move(quiet(cloud), ONE, [CAFE], keep=False).all_networks == [HOME, CAFE]
    assert cloud.rules == [HOME, CAFE]


@pytest.mark.parametrize("said", [None, _tags.ANY])
def test_one_that_does_not_say_what_it_needs_may_need_all(said: str | None) -> None:
    cloud = Cloud([HOME], {ONE: HOME, OTHER: said})
    _let_in.move(quiet(cloud), ONE, [CAFE], keep=False)
    assert cloud.rules == [HOME, CAFE]
    cloud.ended = {ONE}
    assert _let_in.release(quiet(cloud), "alice", ended(cloud, ONE)) == (False, [])


def test_where_our_own_address_is_not_known_nothing_is_closed() -> None:
    cloud = Cloud([HOME], {ONE: HOME})
    assert _let_in.move(quiet(cloud), ONE, [CAFE], keep=True).networks == [HOME, CAFE]
    assert cloud.rules == [HOME, CAFE]


def test_of_two_that_move_at_once_the_last_one_closes_the_door() -> None:
    cloud = Cloud([HOME], {ONE: HOME, OTHER: HOME})
    tag = cloud.create_tags

    def other_moves(**asked: Any) -> dict[str, Any]:
        # The other one has let itself in and says so last, between our look at it and our own last word.
        if asked["Tags"][0]["Value"] == CAFE:
            cloud.machines[OTHER] = CAFE
        return tag(**asked)

    cloud.create_tags = other_moves  # type: ignore[method-assign]  # a test's own stand-in
    assert _let_in.move(quiet(cloud), ONE, [CAFE], keep=False).all_networks == [CAFE]
    assert cloud.rules == [CAFE]


def test_check_changes_nothing() -> None:
    cloud = Cloud([HOME], {ONE: HOME})
    assert _let_in.move(quiet(cloud), ONE, [CAFE], keep=False, check=True).changed
    assert cloud.calls == []


@pytest.mark.parametrize("fatal", range(4))
def test_killed_at_any_change_no_rule_is_without_a_machine_that_says_so(fatal: int) -> None:
    cloud = Cloud([HOME], {ONE: HOME, OTHER: OFFICE})
    cloud.fatal = fatal
    with pytest.raises(KilledError):
        _let_in.move(quiet(cloud), ONE, [CAFE], keep=False)
    assert set(cloud.rules) <= _tags.needs({_tags.LET_IN: str(cloud.machines[ONE])})
    cloud.fatal = -1
    _let_in.move(quiet(cloud), ONE, [CAFE], keep=False)
    assert (cloud.rules, cloud.machines[ONE]) == ([CAFE], CAFE)


def ended(cloud: Cloud, environment_id: str) -> list[Any]:
    return _describe.instances_of(quiet(cloud), [environment_id])


def test_an_end_closes_what_was_for_that_machine_alone() -> None:
    cloud = Cloud([HOME, CAFE, OFFICE], {ONE: f"{HOME} {CAFE}", OTHER: HOME})
    cloud.ended = {ONE}
    changed, lines = _let_in.release(quiet(cloud), "alice", ended(cloud, ONE))
    assert changed
    # The office's is a rule that no machine tells of any more: a launch failed, or AWS has forgotten the machine.
    closed = [_access.rule("sg-1", each) for each in sorted([CAFE, OFFICE])]
    assert lines == [{"kind": "ingress_rule", "name": each, "state": "gone", "detail": ""} for each in closed]
    assert cloud.rules == [HOME]
    again, lines = _let_in.release(quiet(cloud), "alice", ended(cloud, ONE))
    assert (again, [each["state"] for each in lines]) == (False, ["gone"])


def test_a_machine_that_has_ended_says_why() -> None:
    cloud = Cloud([HOME], {ONE: HOME})
    cloud.ended = {ONE}
    with pytest.raises(FuelError, match="has ended: Spot interruption") as failure:
        _let_in.move(quiet(cloud), ONE, [CAFE], keep=False)
    assert failure.value.code == "ec2_ended"
    with pytest.raises(FuelError, match="shows no machine"):
        _let_in.move(quiet(cloud), "01JD3Z5Q8W6S9X4V7T2R1P0N8Z", [CAFE], keep=False)


def test_networks_that_do_not_fit_a_tag() -> None:
    many = [f"10.{number}.0.0/16" for number in range(30)]
    assert _tags.let_in(many) == _tags.ANY
    assert _tags.needs({_tags.LET_IN: _tags.let_in([CAFE, HOME])}) == {CAFE, HOME}
