# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS's refusals as one line each, and which calls are made again."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._api import Api, ApiError
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._refusals import NEXT, TABLE, explain, one_line

ENCODED = "You are not authorized to perform this operation. Encoded authorization failure message: " + "x" * 900


class ClientError(Exception):
    """As botocore's: known by its shape."""

    def __init__(self, code, message="said"):
        super().__init__(code)
        self.response = {"Error": {"Code": code, "Message": message}}


class HTTPClientError(Exception):
    """The name that botocore gives to an answer that did not come."""


class EndpointConnectionError(HTTPClientError):
    """Nobody there."""


class Client:
    """Answers with what it is given, one after the other; an exception is raised."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.asked = 0

    def run_instances(self, **_):
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Time:
    """A clock that only waiting moves."""

    def __init__(self):
        self.now = 0.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def api(client, **more):
    time = Time()
    return Api(client, clock=time.clock, sleep=time.sleep, chance=lambda: 0.5, **more), time


@pytest.mark.parametrize("code", sorted(TABLE))
def test_every_line_says_what_to_do_in_one_line(code):
    error = explain(ApiError("RunInstances", code, "first line\nsecond " + "x" * 1000), "eu-central-1")
    assert "\n" not in str(error)
    assert error.hint
    assert len(str(error)) < 600
    assert error.code.startswith("ec2_")
    assert error.details["aws_code"] == code


@pytest.mark.parametrize(
    ("code", "message", "ours", "part"),
    [
        ("UnauthorizedOperation", ENCODED, "ec2_permission", "ec2:RunInstances"),
        ("VcpuLimitExceeded", "", "ec2_quota", "Service Quotas"),
        ("ExpiredToken", "", "ec2_credentials", "renew"),
        ("NoCredentialsError", "Unable to locate credentials", "ec2_credentials", "AWS_PROFILE"),
        ("EndpointConnectionError", "Could not connect", "ec2_unreachable", "region's name"),
        ("ReadTimeoutError", "Read timeout on endpoint URL", "ec2_no_answer", "in time"),
        ("ConnectionClosedError", "Connection was closed", "ec2_no_answer", "run again"),
        ("RequestLimitExceeded", "Request limit exceeded.", "ec2_busy", "some minutes"),
        ("SomethingNew", "nobody knew this", "ec2_refused", "SomethingNew: nobody knew this"),
    ],
)
def test_refusals(code, message, ours, part):
    error = explain(ApiError("RunInstances", code, message))
    assert error.code == ours
    assert part in str(error)


def test_encoded_blob_is_left_out():
    assert one_line(ENCODED) == "You are not authorized to perform this operation"


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "Throttling", "InternalError", "Unavailable"])
def test_busy_is_asked_again(code):
    client = Client(ClientError(code), ClientError(code), {"Instances": []})
    door, time = api(client)
    assert door.call("run_instances") == {"Instances": []}
    assert client.asked == 3
    assert 0 < time.now < 4


def test_lost_answer_is_asked_again():
    client = Client(HTTPClientError("reset"), {"Instances": []})
    assert api(client)[0].call("run_instances") == {"Instances": []}
    assert client.asked == 2


@pytest.mark.parametrize("code", [*sorted(NEXT), "UnauthorizedOperation", "IdempotentInstanceTerminated"])
def test_refusal_is_not_asked_again(code):
    client = Client(ClientError(code))
    with pytest.raises(ApiError) as raised:
        api(client)[0].call("run_instances")
    assert client.asked == 1
    assert (raised.value.operation, raised.value.code, raised.value.tries) == ("RunInstances", code, 1)


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [(ClientError("RequestLimitExceeded"), 50, 60), (EndpointConnectionError("nobody"), 5, 15)],
)
def test_patience_ends(error, least, most):
    door, time = api(Client(error))
    with pytest.raises(ApiError) as raised:
        door.call("run_instances")
    assert least <= time.now <= most
    assert raised.value.tries > 3


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError):
        api(Client(ZeroDivisionError()))[0].call("run_instances")
