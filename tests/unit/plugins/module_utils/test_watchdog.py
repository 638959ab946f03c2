# SPDX-License-Identifier: GPL-3.0-or-later
"""How the watchdog is armed: with which rights, on which socket, and what it may not be given."""

from __future__ import annotations

import subprocess

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


class Machine:
    """Stands in for /proc and the wall clock of the machine that a watchdog runs on."""

    def __init__(self, folder, wall, uptime=100, boot="one"):
        self.folder, self.wall, self.uptime, self.boot = folder, wall, uptime, boot

    def left(self, deadline):
        """Seconds until `deadline`, asked by a program that was started just now, as after any restart."""
        random = self.folder / "sys" / "kernel" / "random"
        random.mkdir(parents=True, exist_ok=True)
        (random / "boot_id").write_text(f"{self.boot}\n")
        (self.folder / "uptime").write_text(f"{self.uptime}.42 7.00\n")
        clock = _watchdog.CLOCK.replace("return time", "return $ARGV[1]")
        ask = "($proc, $anchor) = ($ARGV[0], $ARGV[0] . '/anchor'); print left($ARGV[2]);"
        argv = ["perl", "-Mstrict", "-e", clock + ask, str(self.folder), str(self.wall), str(deadline)]
        return int(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)

    def passes(self, seconds):
        self.uptime += seconds
        self.wall += seconds


@pytest.mark.parametrize("jump", [7200, -7200])
def test_a_wall_clock_that_is_set_moves_no_deadline(tmp_path, jump):
    machine = Machine(tmp_path, wall=1_000_000)
    assert machine.left(1_003_600) == 3600
    machine.passes(600)
    machine.wall += jump
    assert machine.left(1_003_600) == 3000
    machine.passes(3000)
    assert machine.left(1_003_600) == 0


def test_a_deadline_that_is_moved_counts_from_the_clock_of_that_moment(tmp_path):
    machine = Machine(tmp_path, wall=1_000_000)
    machine.left(1_003_600)
    machine.wall += 7200
    assert machine.left(machine.wall + 600) == 600


def test_after_a_reboot_only_the_wall_clock_knows(tmp_path):
    machine = Machine(tmp_path, wall=1_000_000)
    machine.left(1_003_600)
    machine.boot, machine.uptime = "two", 5
    machine.wall += 900
    assert machine.left(1_003_600) == 2700


def test_where_the_time_since_boot_is_not_told_the_wall_clock_holds(tmp_path):
    machine = Machine(tmp_path, wall=1_000_000, boot="")
    assert machine.left(1_003_600) == 3600
    machine.wall += 7200
    assert machine.left(1_003_600) == -3600
