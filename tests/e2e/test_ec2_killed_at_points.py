# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the control plane at every named point of up and of down on EC2, with a cloud that lags: nothing is left.

The points come from the code, so that a new step is tested by itself. `test_ec2_killed_at_calls.py`
kills at every call to AWS, `tests/integration/test_ec2_module_killed.py` the launching module alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .harness import BASE_IMAGE, make_repository, write_blueprint
from .test_kill_matrix import DOWN, UP, crash_at, died_at, put_away, spread

# Some twenty deaths each, and as many control planes that have to start again.
pytestmark = [pytest.mark.docker, pytest.mark.once, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(images=[BASE_IMAGE], describe_lag_min=0.3, describe_lag_max=2, stale=1) as started:
        yield started


def halves() -> list[list[str]]:
    """The points of up for two environments: who dies when the workspace is done finds the set-up done as well."""
    late = "stage.setup.ok"
    first, second = ([point for point in half if point != late] for half in spread(UP, 2))
    return [[*first, late], second] if "stage.workspace.ok" in second else [first, [*second, late]]


def live_and_die(lab: Ec2Lab, folder: Path, at_up: list[str], at_down: list[str]) -> None:
    """Up and down with the control plane dying at these points: one machine, then none, and nothing of it."""
    person = ec2.person(lab, folder / "home", settle=4)
    repository = make_repository(folder / "repo")
    write_blueprint(repository, f"version: 1\nimage: {BASE_IMAGE}\nsetup: ['sleep 8']\n")
    try:
        crash_at(person, at_up, folder / "up")
        person.run("up", str(repository), "--provider=ec2", "--name=killed", "--yes", ok=None, timeout=1200)
        environment = person.wait_for("killed", "ready", "error", "terminated", seconds=600)
        assert died_at(at_up, folder / "up")
        assert environment["status"] == "ready", environment["error"]
        assert len(lab.alive(environment["id"])) == 1
        assert len(lab.instances(environment["id"])) == 1, "a second machine was made"
        assert person.run("exec", "killed", "--", "true").returncode == 0

        crash_at(person, at_down, folder / "down")
        person.run("down", "killed", "--yes", ok=None, timeout=1200)
        environment = person.wait_for("killed", "terminated", seconds=600)
        assert died_at(at_down, folder / "down")
        assert environment["receipt"]["complete"] is True
    finally:
        put_away(person)
    assert ec2.left(lab, person) == []


@pytest.mark.parametrize(("at_up", "at_down"), list(zip(halves(), spread(DOWN, 2), strict=True)), ids=range(2))
def test_killed_on_the_way_up_and_on_the_way_down(
    lab: Ec2Lab, tmp_path: Path, at_up: list[str], at_down: list[str]
) -> None:
    live_and_die(lab, tmp_path, at_up, at_down)


@pytest.mark.soak
@pytest.mark.parametrize(("at_up", "at_down"), list(itertools.zip_longest(UP, DOWN)))
def test_killed_at_one_point_alone(lab: Ec2Lab, tmp_path: Path, at_up: str | None, at_down: str | None) -> None:
    live_and_die(lab, tmp_path, [at_up] if at_up else [], [at_down] if at_down else [])
