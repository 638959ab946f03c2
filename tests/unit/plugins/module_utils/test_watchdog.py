# SPDX-License-Identifier: GPL-3.0-or-later
"""How the watchdog is armed: with which rights, on which socket, and what it may not be given."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _watchdog
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Completed, Docker
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._identity import labels

LABELS = labels("01JD3Z5Q8W6S9X4V7T2R1P0N8M", "ada")


def recorder(answer=b""):
    calls = []

    def run(args, _stdin, _timeout):
        calls.append(args)
        return Completed(args, 0, answer, b"")

    return calls, Docker(run)


def test_armed_without_network_or_capabilities_and_kept_alive():
    calls, docker = recorder()
    _watchdog.arm(
        docker, container="c", image="i", labels=LABELS, expires_at=12.7, environ={"DOCKER_HOST": "unix:///r/d.sock"}
    )
    (args,) = calls
    for option, value in (
        ("--network", "none"),
        ("--cap-drop", "ALL"),
        ("--restart", "always"),
        ("--name", "c.watchdog"),
    ):
        assert args[args.index(option) + 1] == value
    assert "type=bind,source=/r/d.sock,target=/run/engine.sock" in args
    assert args[-3:] == ["01JD3Z5Q8W6S9X4V7T2R1P0N8M", "c.watchdog", "12"]


@pytest.mark.parametrize(
    ("environ", "context", "platform", "socket"),
    [
        ({"DOCKER_HOST": "unix:///run/user/1000/docker.sock"}, b"", "linux", "/run/user/1000/docker.sock"),
        ({"DOCKER_HOST": "ssh://me@far"}, b"", "linux", "/var/run/docker.sock"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:2375"}, b"", "linux", "/var/run/docker.sock"),
        ({}, b"unix:///var/run/docker.sock\n", "linux", "/var/run/docker.sock"),
        ({}, b"unix:///home/ada/.docker/desktop/docker.sock\n", "linux", "/var/run/docker.sock"),
        ({}, b"", "darwin", "/var/run/docker.sock"),
    ],
)
def test_the_engine_s_own_socket_is_found(environ, context, platform, socket):
    _calls, docker = recorder(context)
    assert _watchdog.engine_socket(docker, environ, platform) == socket


def test_a_watchdog_that_cannot_reach_the_engine_is_an_error():
    _calls, docker = recorder(b"the engine does not answer\n")
    with pytest.raises(FuelError, match="cannot reach"):
        _watchdog.wait_until_armed(docker, "c", seconds=0)
    _calls, docker = recorder(b"armed\n")
    _watchdog.wait_until_armed(docker, "c", seconds=0)


@pytest.mark.parametrize(
    ("state", "running"),
    [
        ({"Running": True}, True),
        ({"Running": True, "Paused": True}, False),
        ({"Running": True, "Restarting": True}, False),
        ({"Running": False}, False),
        ({}, False),
    ],
)
def test_running_means_at_work(state, running):
    assert _watchdog.is_running({"State": state}) is running
