# SPDX-License-Identifier: GPL-3.0-or-later
"""The watchdog ends its own environment at its time, by itself, and nothing else.

How long an `up` takes on a busy machine is not known: an environment gets an hour, and when it is there, seconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fuelctl._shared._docker import Docker
from fuelctl._shared._errors import FuelError
from fuelctl._shared._watchdog import container_name, deadline

from .machine import Environment, ansible, docker

pytestmark = pytest.mark.docker
HOUR = 3600


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    made = Environment(tmp_path / "environment")
    try:
        yield made
    finally:
        made.end()


def wait_until(true: Callable[[], bool], seconds: float = 240) -> bool:
    give_up = time.monotonic() + seconds
    while not true():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.2)
    return True


def time_of_end(environment: Environment, move_to: float | None = None) -> float:
    """Until when its watchdog has waited so far; with `move_to`, until then from now on."""
    engine = Docker()
    (found,) = engine.inspect([container_name(environment.names.container)], kind="container")
    return deadline(engine, found, move_to)


def ends_soon(environment: Environment) -> None:
    """It is all there, then its time comes, and nothing of it is there."""
    assert environment.left() != []
    time_of_end(environment, time.time() + 2)
    assert wait_until(lambda: environment.left() == []), environment.left()


def test_everything_of_its_own_goes_at_the_time_and_the_neighbour_stays(
    environment: Environment, tmp_path: Path
) -> None:
    neighbour = Environment(tmp_path / "neighbour", name="neighbour")
    try:
        neighbour.up()
        service = {"name": "db", "image": "debian:bookworm", "command": ["sleep", "600"]}
        environment.up(services=[service], expires_at=time.time() + HOUR)
        assert len(environment.left()) == 6
        ends_soon(environment)
        assert len(neighbour.left()) == 5
        assert neighbour.ssh("true").returncode == 0
        assert environment.end()["complete"]
    finally:
        neighbour.end()


def test_its_time_can_be_moved(environment: Environment) -> None:
    first = int(time.time()) + HOUR
    environment.up(expires_at=first)
    foreseen = environment.up(expires_at=first + HOUR, check=True)
    assert foreseen.changed
    assert time_of_end(environment) == first
    assert environment.up(expires_at=first + HOUR).changed
    assert not environment.up(expires_at=first + HOUR).changed
    # Without a time of its own, a repeat keeps the one that holds.
    assert not environment.up().changed
    assert time_of_end(environment) == first + HOUR
    assert environment.up(expires_at=first - 60).changed
    assert time_of_end(environment) == first - 60
    # Armed for an hour, it ends when it is told to, whatever it was started with.
    ends_soon(environment)


def test_it_comes_back_and_acts_when_it_was_down_at_its_time(environment: Environment, tmp_path: Path) -> None:
    environment.up(expires_at=time.time() + HOUR)
    watchdog = f"{environment.names.container}.watchdog"
    docker("stop", "-t", "0", watchdog)
    over = tmp_path / "deadline"
    over.write_text(f"{int(time.time()) - 1}\n")
    docker("cp", str(over), f"{watchdog}:/deadline")
    assert len(environment.left()) == 5
    assert docker("inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", watchdog) == "always"
    # What the engine does when it or the machine starts again.
    docker("start", watchdog)
    assert wait_until(lambda: environment.left() == []), environment.left()


def test_a_stopped_watchdog_is_noticed(environment: Environment) -> None:
    environment.up()
    watchdog = f"{environment.names.container}.watchdog"
    docker("kill", watchdog)
    assert environment.up().changed
    assert docker("inspect", "-f", "{{.State.Running}}", watchdog) == "true"


def test_a_time_in_the_past_is_refused(environment: Environment) -> None:
    with pytest.raises(FuelError) as caught:
        environment.up(expires_at=time.time() - 1)
    assert caught.value.code == "lease_over"
    assert environment.left() == []


def test_it_outlives_the_killing_of_everything_that_started_it(environment: Environment, tmp_path: Path) -> None:
    """A supervisor that adopts orphans and kills all its descendants cannot reach it."""
    parameters = {
        **environment.parameters(),
        "expires_at": time.time() + HOUR,
        "progress_path": str(environment.progress),
    }
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        command = ["ansible", "localhost", "-m", "fuel_code.remote.dev_container", "-a", json.dumps(parameters)]
        ansible(*command, collections=tmp_path / "c", home=tmp_path)
        os._exit(0)
    watchdog = ["ps", "-q", "--filter", f"name={environment.names.container}.watchdog"]
    assert wait_until(lambda: bool(docker(*watchdog)))
    for descendant in [*descendants(pid), pid]:
        try:
            os.kill(descendant, signal.SIGKILL)
        except ProcessLookupError:
            continue
    os.waitpid(pid, 0)
    assert docker(*watchdog)
    ends_soon(environment)


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, as a supervisor finds them."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {pid})
