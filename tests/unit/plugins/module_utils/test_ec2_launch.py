# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions of launch and end that need exact timing, against a scripted AWS and a clock of their own."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import _launch, _terminate
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._api import Api
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._request import Candidate, Plan, token
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._view import read
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress

ENVIRONMENT = "01JD0000000000000000000000"


class ClientError(Exception):
    def __init__(self, code, message="said"):
        super().__init__(code)
        self.response = {"Error": {"Code": code, "Message": message}}


class HTTPClientError(Exception):
    """An answer that did not come."""


def instance(name, state, attempt=1, reason="", managed=True):
    tags = [{"Key": "fuel-code:environment", "Value": ENVIRONMENT}]
    tags += [{"Key": "fuel-code:managed", "Value": "true"}] if managed else []
    return {
        "InstanceId": name,
        "State": {"Name": state},
        "ClientToken": token(ENVIRONMENT, attempt),
        "PublicIpAddress": "192.0.2.1",
        "StateReason": {"Code": reason, "Message": reason},
        "Tags": tags,
    }


class Aws:
    """`describe` gives instances for the time that it is now; `run` is the list of answers to RunInstances."""

    def __init__(self, describe, run=(), previous="running"):
        self.now = 0.0
        self._describe = describe
        self._run = list(run)
        self._previous = previous
        self.launches = []
        self.terminated = []

    def describe_instances(self, **_):
        shown = self._describe(self.now)
        return {"Reservations": [{"Instances": [each]} for each in shown]}

    def describe_volumes(self, **_):
        return {"Volumes": []}

    def describe_network_interfaces(self, **_):
        return {"NetworkInterfaces": []}

    def run_instances(self, **asked):
        self.launches.append(asked["ClientToken"])
        answer = self._run.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"Instances": [answer]}

    def terminate_instances(self, **asked):
        self.terminated.append((self.now, asked["InstanceIds"]))
        names = asked["InstanceIds"]
        return {
            "TerminatingInstances": [{"InstanceId": each, "PreviousState": {"Name": self._previous}} for each in names]
        }

    def sleep(self, seconds):
        self.now += seconds

    def api(self):
        return Api(self, clock=lambda: self.now, sleep=self.sleep, chance=lambda: 0.5)

    def up(self, **more):
        wanted = Plan(ENVIRONMENT, "alice", "ami-1", "/dev/xvda", [Candidate("a"), Candidate("b")])
        waiting = _launch.Waiting(clock=lambda: self.now, sleep=self.sleep, port=0, **more)
        return _launch.ensure(self.api(), wanted, 1, waiting, Progress("provider"))

    def down(self, **more):
        defaults = {"environment_ids": [ENVIRONMENT], "settle": 30.0, "wall": lambda: 1000.0 + self.now}
        ending = _terminate.Ending(clock=lambda: self.now, sleep=self.sleep, **{**defaults, **more})
        return _terminate.ensure_gone(self.api(), ending, Progress("destroy"))


def test_ended_under_a_lost_reply_is_not_answered_with_another_machine():
    """The first try launched it and somebody took it down at once: a second machine would be an orphan."""
    aws = Aws(lambda now: [], [HTTPClientError("reset"), ClientError("IdempotentInstanceTerminated")])
    with pytest.raises(FuelError) as raised:
        aws.up()
    assert raised.value.code == "ec2_ended"
    assert set(aws.launches) == {token(ENVIRONMENT, 1)}


def test_dead_token_of_an_earlier_run_moves_the_attempt():
    aws = Aws(
        lambda now: [instance("i-2", "running", 2)] if now else [],
        [ClientError("IdempotentInstanceTerminated"), instance("i-2", "pending", 2)],
    )
    assert aws.up().attempt == 2


def test_ended_on_request_while_it_starts_is_not_launched_again():
    ended = instance("i-1", "terminated", reason="Client.UserInitiatedShutdown")
    aws = Aws(lambda now: [ended] if now else [], [instance("i-1", "pending")])
    with pytest.raises(FuelError) as raised:
        aws.up()
    assert raised.value.code == "ec2_ended"
    assert len(aws.launches) == 1


def test_two_live_machines_are_nobodys_choice():
    aws = Aws(lambda now: [instance("i-1", "running"), instance("i-2", "running", 2)])
    with pytest.raises(FuelError, match="2 machines: i-1, i-2"):
        aws.up()


def test_stopped_machine_is_one_line():
    aws = Aws(lambda now: [instance("i-1", "stopped")])
    with pytest.raises(FuelError) as raised:
        aws.up()
    assert raised.value.code == "ec2_stopped"


def test_capacity_nowhere_names_all_that_was_tried():
    aws = Aws(lambda now: [], [ClientError("InsufficientInstanceCapacity"), ClientError("VcpuLimitExceeded")])
    with pytest.raises(FuelError) as raised:
        aws.up()
    assert raised.value.code == "ec2_quota"
    assert raised.value.where == "a, b"


def test_silence_is_believed_only_after_the_lag():
    aws = Aws(lambda now: [])
    ended = aws.down()
    assert (ended.changed, ended.resources) == (False, [])
    assert aws.now >= 30


@pytest.mark.parametrize(("launched_at", "seconds"), [(0.0, 0), (990.0, 20), (1000.0, 30), (5000.0, 30)])
def test_silence_long_after_the_launch_needs_no_wait(launched_at, seconds):
    aws = Aws(lambda now: [])
    aws.down(launched_at=launched_at)
    assert seconds <= aws.now <= seconds + 1


def test_instance_that_shows_late_is_ended():
    states = {"i-1": "running"}

    def shown(now):
        if aws.terminated and now > aws.terminated[0][0] + 3:
            states["i-1"] = "terminated"
        return [instance("i-1", states["i-1"])] if now >= 20 else []

    aws = Aws(shown)
    ended = aws.down()
    assert ended.changed
    assert ended.complete
    assert [names for _at, names in aws.terminated] == [["i-1"]]


def test_live_instance_needs_no_settling():
    def shown(now):
        return [instance("i-1", "terminated" if aws.terminated and now > 2 else "running")]

    aws = Aws(shown)
    assert aws.down().complete
    assert aws.now < 5


def test_stale_sight_of_a_dead_instance_settles_nothing():
    """AWS says that it was dead before: a later attempt may have been launched and not be shown yet."""

    def shown(now):
        first = instance("i-1", "terminated" if now > 2 else "running")
        late = [instance("i-2", "terminated" if len(aws.terminated) > 1 and now > 15 else "running", 2)]
        return [first, *(late if now > 10 else [])]

    aws = Aws(shown, previous="terminated")
    assert aws.down().complete
    assert ["i-2"] in [names for _at, names in aws.terminated]


def test_stale_running_is_asked_again_and_then_reported():
    aws = Aws(lambda now: [instance("i-1", "running")])
    ended = aws.down(timeout=25.0, settle=1.0)
    assert not ended.complete
    assert ended.resources[0]["state"] == "present"
    assert len(aws.terminated) >= 2


def test_foreign_instance_is_refused():
    aws = Aws(lambda now: [instance("i-9", "running", managed=False)])
    with pytest.raises(FuelError) as raised:
        aws.down(environment_ids=[], instance_ids=["i-9"])
    assert raised.value.code == "ec2_foreign"
    assert not aws.terminated


def test_read_takes_what_aws_leaves_out():
    bare = read({"InstanceId": "i-1"})
    assert (bare.state, bare.public_address, bare.volumes, bare.launched_at) == ("unknown", "", (), None)


SPOT, OURS = "Server.SpotInstanceTermination", "Client.UserInitiatedShutdown"


@pytest.mark.parametrize(
    ("shown_at_first", "previous", "reason", "told"),
    [
        ("terminated", "terminated", SPOT, True),
        ("shutting-down", "shutting-down", SPOT, True),
        # Describe lags: AWS itself says that it was on its way already.
        ("running", "shutting-down", SPOT, True),
        ("running", "running", OURS, False),
        # An earlier try of our own call may have ended it, and its answer was lost.
        ("running", "shutting-down", OURS, False),
    ],
)
def test_what_had_ended_before_is_told_with_its_reason(shown_at_first, previous, reason, told):
    aws = Aws(
        lambda now: [instance("i-1", shown_at_first if now < 3 else "terminated", reason=reason)], previous=previous
    )
    expected = [{"environment_id": ENVIRONMENT, "name": "i-1", "reason": reason}] if told else []
    assert aws.down().lost == expected


def test_a_machine_that_died_before_the_last_one_explains_nothing():
    def shown(now):
        return [
            instance("i-1", "terminated", reason=SPOT),
            instance("i-2", "terminated" if aws.terminated and now > 2 else "running", 2, reason=OURS),
        ]

    aws = Aws(shown)
    assert aws.down().lost == []
