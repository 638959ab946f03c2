# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the control plane at every named point of up and of down: it is taken up again, and nothing is left.

The points come from the code, so that a new step is tested by itself. One life dies at every third of them here, and
`test_ec2_killed_at_points.py` at each, because that takes the longest way; the other two lives are the soak's.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import pytest

from fuelctl import _crashpoints

from .deaths import kill_playbooks
from .harness import BASE_IMAGE, Fuelctl, docker, leftovers, make_repository, write_blueprint

pytestmark = [pytest.mark.docker, pytest.mark.once]

#: Reached only by a provisioning that fails.
_OF_FAILURE = ("provision.undo.", "provision.report.")
#: Not on the way up or down: tests/fuelctl/test_server_api_lease.py breaks an extension off there.
_OF_EXTEND = ("extend.",)
#: Reached only where there is something to save: tests/e2e/test_rescue.py dies there.
_OF_RESCUE = ("stage.rescue.",)
#: Survey and destroy are stages of down; the others belong to up.
_OF_DOWN = ("terminate.", "stage.survey.", "stage.destroy.")


def _points(*prefixes: str, of: tuple[str, ...] | None = None) -> list[str]:
    return [name for name in (of or _crashpoints.names()) if name.startswith(prefixes)]


DOWN = _points(*_OF_DOWN)
FAILING = _points(*_OF_FAILURE)
UP = [
    name
    for name in _crashpoints.names()
    if name not in {*DOWN, *FAILING} and not name.startswith(_OF_EXTEND + _OF_RESCUE)
]


def spread(points: list[str], groups: int) -> list[list[str]]:
    """In groups, neighbours apart: one environment survives several deaths, and every point is one of them."""
    return [points[start::groups] for start in range(groups)]


@pytest.fixture
def person(tmp_path: Path) -> Fuelctl:
    return Fuelctl(tmp_path / "home")


def crash_at(person: Fuelctl, points: list[str], reached: Path) -> None:
    """The next control plane dies at each of these points, once."""
    person.run("server", "stop", ok=None)
    person.environment.update(FUELCTL_CRASH_AT=",".join(points), FUELCTL_CRASH_ONCE=str(reached))


def died_at(points: list[str], file: Path) -> bool:
    """Whether it died at all of them; what follows the end of the work may take a moment."""
    deadline = time.monotonic() + 300
    while not (file.exists() and set(points) <= set(file.read_text().split())):
        if time.monotonic() > deadline:
            print(sorted(set(points) - set(file.read_text().split() if file.exists() else [])), "were never reached")
            return False
        time.sleep(0.2)
    return True


def put_away(person: Fuelctl) -> None:
    person.run("down", "--all", "--yes", "--discard", ok=None)
    person.run("server", "stop", ok=None)
    person.kill_everything()


def live_and_die(person: Fuelctl, tmp_path: Path, at_up: list[str], at_down: list[str]) -> None:
    """Up and down with the control plane dying at these points; whatever happens, one container, then none."""
    repository = make_repository(tmp_path / "repo")
    write_blueprint(repository, f"version: 1\nimage: {BASE_IMAGE}\nsetup: ['true']\n")
    try:
        crash_at(person, at_up, tmp_path / "up")
        person.run("up", str(repository), "--name=killed", "--yes", ok=None)
        environment = person.wait_for("killed", "ready", "error", "terminated")
        assert died_at(at_up, tmp_path / "up")
        assert environment["status"] == "ready"
        running = docker("ps", "-q", "--filter", f"name={environment['connection']['container']}$").split()
        assert len(running) == 1
        assert person.run("exec", "killed", "--", "true").returncode == 0

        crash_at(person, at_down, tmp_path / "down")
        person.run("down", "killed", "--yes", ok=None)
        environment = person.wait_for("killed", "terminated")
        assert died_at(at_down, tmp_path / "down")
        assert environment["receipt"]["complete"] is True
        assert leftovers(environment["id"]) == []
    finally:
        put_away(person)


LIVES = [
    pytest.param(*points, marks=[pytest.mark.soak] if number else [], id=str(number))
    for number, points in enumerate(zip(spread(UP, 3), spread(DOWN, 3), strict=True))
]


@pytest.mark.parametrize(("at_up", "at_down"), LIVES)
def test_killed_on_the_way_up_and_on_the_way_down(
    person: Fuelctl, tmp_path: Path, at_up: list[str], at_down: list[str]
) -> None:
    live_and_die(person, tmp_path, at_up, at_down)


@pytest.mark.soak
@pytest.mark.parametrize(("at_up", "at_down"), list(itertools.zip_longest(UP, DOWN)))
def test_killed_at_one_point_alone(person: Fuelctl, tmp_path: Path, at_up: str | None, at_down: str | None) -> None:
    live_and_die(person, tmp_path, [at_up] if at_up else [], [at_down] if at_down else [])


@pytest.mark.parametrize("points", spread(FAILING, 2), ids=range(2))
def test_killed_while_undoing_a_failure(person: Fuelctl, tmp_path: Path, points: list[str]) -> None:
    repository = make_repository(tmp_path / "repo")
    write_blueprint(repository, "version: 1\nimage: 127.0.0.1:9/none:1\n")
    try:
        crash_at(person, points, tmp_path / "reached")
        person.run("up", str(repository), "--name=failing", "--yes", ok=None)
        environment = person.wait_for("failing", "error")
        assert died_at(points, tmp_path / "reached")
        assert environment["receipt"]["complete"] is True
        assert leftovers(environment["id"]) == []
        assert not list((tmp_path / "home").rglob("sources/*/*")), "the uploaded source stayed"
    finally:
        put_away(person)


@pytest.mark.parametrize("victim", ["cli", "everything", "playbook", "container"])
def test_killed_from_outside_while_it_works(person: Fuelctl, tmp_path: Path, victim: str) -> None:
    repository = make_repository(tmp_path / "repo")
    write_blueprint(repository, f"version: 1\nimage: {BASE_IMAGE}\nsetup: ['sleep 8; date > done.txt']\n")
    try:
        up = person.start("up", str(repository), "--name=outside", "--yes")
        deadline = time.monotonic() + 480
        while True:
            time.sleep(1)
            assert time.monotonic() < deadline
            listed = person.run("ls", "--all", "--json").json["environments"]
            stages = {stage["stage"] for environment in listed for stage in environment["stages"]}
            if "setup" in stages or "workspace" in stages:
                break
        identity = listed[0]["id"]
        if victim == "cli":
            os.killpg(up.pid, signal.SIGKILL)
        elif victim == "everything":
            person.kill_everything()
        elif victim == "playbook":
            kill_playbooks(person)
        else:
            docker("kill", *docker("ps", "-q", "--filter", f"label=fuel-code:environment={identity}").split())
        up.communicate(timeout=480)
        environment = person.wait_for("outside", "ready", "error")
        assert environment["id"] == identity
        if environment["status"] == "error":
            assert environment["receipt"]["complete"] is True
            assert environment["error"]["message"]
        else:
            assert person.run("exec", "outside", "--", "true", ok=None).returncode == 0
            person.run("down", "outside", "--yes", "--discard")
        assert leftovers(identity) == []
    finally:
        put_away(person)


def test_down_while_it_is_being_made(person: Fuelctl, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repo")
    write_blueprint(repository, f"version: 1\nimage: {BASE_IMAGE}\nsetup: ['sleep 900']\n")
    try:
        up = person.start("up", str(repository), "--name=cancelled", "--yes")
        deadline = time.monotonic() + 480
        while not (found := person.run("ls", "--json").json["environments"]) or not found[0]["stages"]:
            time.sleep(0.5)
            assert time.monotonic() < deadline
        person.run("down", "cancelled", "--yes", "--discard")
        up.communicate(timeout=480)
        assert up.returncode == 1
        assert person.show("cancelled")["status"] == "terminated"
        assert leftovers(found[0]["id"]) == []
    finally:
        put_away(person)
