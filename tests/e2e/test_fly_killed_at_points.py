# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the control plane at every named point of up and of down on the Fly lab, whose lists are late.

The points come from the code, so that a new step is tested by itself. `test_fly_killed_at_calls.py` kills at every call
to Fly.io that changes something.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import dev_image
from tests.lab.fly.client import FlyLab

from . import fly
from .harness import BASE_IMAGE, make_repository, write_blueprint
from .test_kill_matrix import DOWN, UP, crash_at, died_at, put_away, spread

# Some thirty deaths each, and as many control planes that have to start again.
pytestmark = [pytest.mark.docker, pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def lab() -> Iterator[FlyLab]:
    dev_image.ensure("remote")
    with FlyLab(list_lag=1) as started:
        yield started


def halves() -> list[list[str]]:
    """The points of up for two environments: who dies when the workspace is done finds the set-up done as well."""
    late = "stage.setup.ok"
    first, second = ([point for point in half if point != late] for half in spread(UP, 2))
    return [[*first, late], second] if "stage.workspace.ok" in second else [first, [*second, late]]


def live_and_die(lab: FlyLab, folder: Path, at_up: list[str], at_down: list[str]) -> None:
    """Up and down with the control plane dying at these points: one machine, then none, and nothing of it."""
    person = fly.person(lab, folder / "home")
    repository = make_repository(folder / "repo")
    write_blueprint(repository, f"version: 1\nimage: {BASE_IMAGE}\nsetup: ['sleep 8']\n")
    try:
        crash_at(person, at_up, folder / "up")
        person.run("up", str(repository), "--provider=fly", "--name=killed", "--yes", ok=None, timeout=1200)
        environment = person.wait_for("killed", "ready", "error", "terminated", seconds=1200)
        assert died_at(at_up, folder / "up")
        assert environment["status"] == "ready", environment["error"]
        app = f"fuel-code-{environment['id'].lower()}"
        assert len([each for each in lab.truth()["machines"] if each["app"] == app]) == 1, "a second one was made"
        assert len(lab.volumes(app)) == 1
        assert person.run("exec", "killed", "--", "true").returncode == 0

        crash_at(person, at_down, folder / "down")
        person.run("down", "killed", "--yes", ok=None, timeout=1200)
        environment = person.wait_for("killed", "terminated", seconds=1200)
        assert died_at(at_down, folder / "down")
        assert environment["receipt"]["complete"] is True
    finally:
        put_away(person)
    assert fly.left(lab, person) == []
    print(f"\n{len(at_up)} deaths on the way up, {len(at_down)} on the way down")


@pytest.mark.parametrize(("at_up", "at_down"), list(zip(halves(), spread(DOWN, 2), strict=True)), ids=range(2))
def test_killed_on_the_way_up_and_on_the_way_down(
    lab: FlyLab, tmp_path: Path, at_up: list[str], at_down: list[str]
) -> None:
    live_and_die(lab, tmp_path, at_up, at_down)


@pytest.mark.parametrize(("at_up", "at_down"), list(itertools.zip_longest(UP, DOWN)))
def test_killed_at_one_point_alone(lab: FlyLab, tmp_path: Path, at_up: str | None, at_down: str | None) -> None:
    live_and_die(lab, tmp_path, [at_up] if at_up else [], [at_down] if at_down else [])
