# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at every call to Fly.io that changes something, of the control plane and of what plays: nothing is left.

The calls come from a real life on the lab, so that a new one is tested by itself. `test_fly_killed_at_points.py` does
the same at every step of the control plane; `tests/integration/test_fly_modules_killed.py` for the modules alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import dev_image
from tests.lab.fly.client import FlyLab

from . import fly
from .deaths import Death, held_or_ended, hold, kill_playbooks, settle_through_deaths
from .harness import Fuelctl

pytestmark = [pytest.mark.docker, pytest.mark.once, pytest.mark.timeout(3600)]

EFFECTS = ("hold", "hold-after")
#: A killed run's lease of 20 s has to end before the next one goes on, and each death is a control plane that starts.
SECONDS = 900.0


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fly.sample(tmp_path_factory)


def up(repository: Path, name: str, *options: str) -> list[str]:
    return ["up", str(repository), "--provider=fly", f"--name={name}", "--yes", *options]


def one_of_each(lab: FlyLab, environment: dict[str, Any]) -> None:
    """One app with one address, one machine and one volume that it has, all of this environment."""
    app = f"fuel-code-{environment['id'].lower()}"
    assert lab.truth()["apps"] == [app]
    [machine] = lab.machines()
    assert machine["metadata"]["fuel_code_environment"] == environment["id"]
    assert [each["machine"] for each in lab.volumes()] == [machine["id"]]
    assert len(lab.api("GET", f"/apps/{app}/ip_assignments")[1]["ips"]) == 1
    made = [each for each in lab.truth()["machines"] if each["app"] == app]
    assert len(made) == 1, "a second machine was made"


def ended(lab: FlyLab, person: Fuelctl, environment: dict[str, Any]) -> None:
    """It has, with a complete receipt, and nothing is left of it anywhere."""
    assert environment["status"] == "terminated", environment
    assert environment["receipt"]["complete"] is True
    kinds = {each["kind"] for each in environment["receipt"]["resources"]}
    assert {"fly machine", "fly volume", "fly app"} <= kinds
    assert fly.left(lab, person) == []


def died_through(
    lab: FlyLab, person: Fuelctl, repository: Path, name: str, at_up: set[Death], at_down: set[Death], end_of_up: str
) -> None:
    """Up and down with everything of the control plane killed there: taken up again by itself, then nothing is left."""
    hold(lab, *at_up)
    started = person.start(*up(repository, name, "--keep-on-error"))
    lab.wait_for(lambda: held_or_ended(lab, started), seconds=SECONDS)
    environment, of_up = settle_through_deaths(lab, person, name, seconds=SECONDS)
    started.communicate(timeout=480)
    assert environment["status"] == end_of_up, environment["error"]
    assert set(of_up) == at_up
    one_of_each(lab, environment)
    hold(lab, *at_down)
    ending = person.start("down", name, "--yes", "--discard")
    lab.wait_for(lambda: held_or_ended(lab, ending), seconds=SECONDS)
    environment, of_down = settle_through_deaths(lab, person, name, seconds=SECONDS)
    ending.communicate(timeout=480)
    assert set(of_down) == at_down
    lab.heal()
    ended(lab, person, environment)
    print(f"\n{len(of_up)} deaths on the way up, {len(of_down)} on the way down")


def test_the_control_plane_killed_at_a_launch_and_at_an_end(repository: Path, tmp_path: Path) -> None:
    """A machine that nobody heard of is found again; an app whose end nobody heard of is proven to be gone."""
    with FlyLab(machines=False, boot_delay=0) as lab, fly.guest(lab, tmp_path / "home") as person:
        at_up, at_down = {Death("Machines_create", "hold-after")}, {Death("Apps_delete", "hold-after")}
        died_through(lab, person, repository, "thin", at_up, at_down, "error")


# The whole, on machines


@pytest.fixture(scope="module")
def lab() -> Iterator[FlyLab]:
    dev_image.ensure("remote")
    with FlyLab() as started:
        yield started


@pytest.fixture(scope="module")
def person(lab: FlyLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuelctl]:
    with fly.guest(lab, tmp_path_factory.mktemp("home")) as made:
        yield made


def changes(lab: FlyLab) -> set[str]:
    """What changed something since the calls were forgotten."""
    return {call["action"] for call in lab.calls()} & fly.CHANGES


@pytest.fixture(scope="module")
def calls(lab: FlyLab, person: Fuelctl, repository: Path) -> tuple[set[str], set[str]]:
    """Every call that changes something, of a whole up and of a whole down."""
    lab.ask("DELETE", "calls")
    person.run(*up(repository, "whole"), timeout=600)
    of_up = changes(lab)
    lab.ask("DELETE", "calls")
    person.run("down", "whole", "--yes", "--discard", timeout=600)
    of_down = changes(lab)
    assert of_up >= {"Apps_create", "App_IPAssignments_create", "Secrets_update", "Volumes_create", "Machines_create"}
    assert of_down >= {"Machines_create_lease", "Machines_delete", "Volume_delete", "Apps_delete"}
    print(f"\nup: {sorted(of_up)}\ndown: {sorted(of_down)}")
    return of_up, of_down


@pytest.mark.soak
@pytest.mark.parametrize("effect", EFFECTS)
def test_the_control_plane_killed_at_every_change(
    lab: FlyLab, person: Fuelctl, repository: Path, calls: tuple[set[str], set[str]], effect: str
) -> None:
    at_up, at_down = ({Death(action, effect) for action in each} for each in calls)
    # A machine that was destroyed has no lease to give back: who dies there has a life of their own.
    last = {Death("Machines_release_lease", effect)} & at_down
    died_through(lab, person, repository, effect, at_up, at_down - last, "ready")
    died_through(lab, person, repository, f"lease-{effect}", set(), last, "ready")


@pytest.mark.soak
@pytest.mark.parametrize("effect", EFFECTS)
def test_only_what_plays_is_killed(
    lab: FlyLab, person: Fuelctl, repository: Path, calls: tuple[set[str], set[str]], effect: str
) -> None:
    """The control plane lives and knows that it failed: it undoes what it never heard of, and ends again what it began
    to end. The module that was under way goes on while others look already."""
    kill = functools.partial(kill_playbooks, person)
    of_up, of_down = calls
    for action in sorted(of_up):
        name = f"half-{action.replace('_', '-').lower()}-{effect}"[:40]
        hold(lab, Death(action, effect))
        started = person.start(*up(repository, name))
        lab.wait_for(lambda: lab.ask("GET", "held"), seconds=180)
        environment, died = settle_through_deaths(lab, person, name, kill, SECONDS)
        lab.heal()
        assert [each.action for each in died] == [action]
        started.communicate(timeout=480)
        assert started.returncode == 1, action
        assert environment["status"] == "error", (action, environment)
        assert environment["error"]["message"]
        assert environment["receipt"]["complete"] is True, action
        assert fly.left(lab, person) == [], action
    name = f"ended-{effect}"
    person.run(*up(repository, name), timeout=600)
    of_down = of_down - {"Machines_release_lease"}
    hold(lab, *(Death(action, effect) for action in of_down))
    ending = person.start("down", name, "--yes", "--discard")
    lab.wait_for(lambda: lab.ask("GET", "held"), seconds=120)
    environment, died = settle_through_deaths(lab, person, name, kill, SECONDS)
    ending.communicate(timeout=480)
    assert {each.action for each in died} == of_down
    lab.heal()
    ended(lab, person, environment)


@pytest.mark.soak
@pytest.mark.parametrize("effect", EFFECTS)
def test_killed_at_a_change_and_ended_at_once(
    lab: FlyLab, person: Fuelctl, repository: Path, calls: tuple[set[str], set[str]], effect: str
) -> None:
    """The change takes effect with nobody there who knows of it; `down` instead of a repeat."""
    for action in sorted(calls[0]):
        name = f"at-once-{action.replace('_', '-').lower()}-{effect}"[:40]
        hold(lab, Death(action, effect))
        started = person.start(*up(repository, name))
        lab.wait_for(lambda: lab.ask("GET", "held"), seconds=180)
        person.kill_everything()
        started.communicate(timeout=480)
        lab.heal()
        person.run("down", name, "--yes", "--discard", timeout=600)
        environment = person.wait_for(name, "terminated", "error", seconds=180)
        assert environment["receipt"]["complete"] is True, action
        assert fly.left(lab, person) == [], action
