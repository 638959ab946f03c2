# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at every call to AWS that up and down make, of ansible-playbook and of the control plane: nothing is left.

`test_ec2_killed_at_points.py` does the same at steps of the control plane, on machines;
`tests/integration/test_ec2_module_killed.py` for the launching module alone, in far greater numbers.

A call that is held before it takes effect does so when its caller is dead and nobody reads the answer. To die after it
took effect comes to the same, and is the soak's.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .deaths import Death, hold, hold_every_call, kill_playbooks, settle_through_deaths, until_it_goes_through
from .ec2_plays import Plays
from .harness import Fuelctl

# Some twenty deaths in the first, each with a play of its own.
pytestmark = [pytest.mark.docker, pytest.mark.once, pytest.mark.timeout(1800)]

#: Longer than Describe lags here, as `settle` (2 s, of the lab's options) has to be.
LAG: dict[str, Any] = {"describe_lag_min": 0.2, "describe_lag_max": 1.0, "stale": 0.5}
#: After which something is there that costs money, or lets somebody in.
COSTLY = {"RunInstances", "AuthorizeSecurityGroupIngress"}
EFFECTS = ["hold", pytest.param("hold-after", marks=pytest.mark.soak)]
SOAK_KILLS = 1000
SEED = 20261121


def changes(death: Death) -> bool:
    """Whether the call changes anything."""
    return not death.action.startswith(("Describe", "Get", "GET", "HEAD", "List"))


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(machines=False, boot_delay=0, shutdown_delay=0, **LAG) as started:
        yield started


def life_of_a_play(plays: Plays, prepare_up: Callable[[], None], prepare_down: Callable[[], None]) -> list[Death]:
    """Up and down, killed at all that was prepared: one machine, then none, and nothing of it."""
    lab = plays.lab
    prepare_up()
    process, of_up = until_it_goes_through(lab, lambda: plays.start("up"), plays.kill)
    done = plays.finish(process)
    assert ec2.END_OF_UP in done.stdout, str(done)
    [machine] = lab.alive()
    assert machine["tags"]["fuel-code:environment"] == plays.environment
    [group] = ec2.groups(lab)
    assert ec2.ingress(group) == ec2.ONLY_THE_CALLER
    assert len(plays.objects()) == 2, "one key pair, of one version"
    lab.heal()
    prepare_down()
    process, of_down = until_it_goes_through(lab, lambda: plays.start("down"), plays.kill)
    done = plays.finish(process)
    assert done.returncode == 0, str(done)
    lab.heal()
    assert plays.left() == []
    return of_up + of_down


@pytest.fixture(scope="module")
def plays(lab: Ec2Lab, tmp_path_factory: pytest.TempPathFactory) -> Plays:
    return Plays(lab, tmp_path_factory.mktemp("plays"), wait_timeout=1)


@pytest.fixture(scope="module")
def deaths(plays: Plays) -> list[Death]:
    """A life in which ansible-playbook was killed at every call; where."""

    def every_call() -> None:
        hold_every_call(plays.lab)

    return life_of_a_play(plays, every_call, every_call)


def test_a_playbook_killed_at_every_call(deaths: list[Death]) -> None:
    print(f"\n{len(deaths)} deaths:", *deaths, sep="\n")
    killed_at = {each.action for each in deaths}
    assert killed_at >= {"RunInstances", "TerminateInstances", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress"}
    assert {"DeleteSecurityGroup", "GetCallerIdentity"} <= killed_at
    assert len([each for each in killed_at if each.startswith("PUT /")]) == 2, "both halves of the key pair"


@pytest.mark.soak
def test_a_playbook_killed_when_a_change_has_been_made(plays: Plays, deaths: list[Death]) -> None:
    made = {Death(each.action, "hold-after") for each in deaths if changes(each)}
    assert made
    died = life_of_a_play(plays, lambda: hold(plays.lab, *made), lambda: hold(plays.lab, *made))
    assert set(died) >= made


@pytest.mark.parametrize("chosen", [True, pytest.param(False, marks=pytest.mark.soak)], ids=["costly", "others"])
def test_killed_at_a_change_and_ended_at_once(plays: Plays, deaths: list[Death], chosen: bool) -> None:
    """The change takes effect with nobody there who knows of it; nobody tries `up` again."""
    up = deaths[: 1 + max(number for number, each in enumerate(deaths) if each.action == "RunInstances")]
    of_up = dict.fromkeys(each.action for each in up if changes(each))
    assert set(of_up) > COSTLY
    for change in [each for each in of_up if (each in COSTLY) is chosen]:
        hold(plays.lab, Death(change, "hold"))
        process = plays.start("up")
        plays.lab.wait_for(lambda: plays.lab.ask("GET", "held"), seconds=300)
        plays.kill(process)
        plays.lab.heal()
        done = plays.play("down")
        assert done.returncode == 0, f"{change}: {done}"
        assert plays.left() == [], change


def test_a_module_goes_on_after_its_playbook_was_killed(plays: Plays) -> None:
    """kill -9 of ansible-playbook alone: its child still launches, while `down` is looking already."""
    hold(plays.lab, Death("RunInstances", "hold"))
    process = plays.start("up")
    plays.lab.wait_for(lambda: plays.lab.ask("GET", "held"), seconds=300)
    os.kill(process.pid, signal.SIGKILL)
    looked = len(plays.lab.calls("DescribeInstances"))
    down = plays.start("down")
    plays.lab.wait_for(lambda: len(plays.lab.calls("DescribeInstances")) > looked, seconds=300)
    plays.lab.heal()
    done = plays.finish(down)
    process.communicate(timeout=480)
    assert done.returncode == 0, str(done)
    assert plays.left() == []


# The control plane


@pytest.fixture(scope="module")
def person(lab: Ec2Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuelctl]:
    with ec2.present(lab, tmp_path_factory.mktemp("home"), wait_timeout=1) as made:
        yield made


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ec2.sample(tmp_path_factory)


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_control_plane_killed_at_every_change(
    lab: Ec2Lab, person: Fuelctl, repository: Path, deaths: list[Death], effect: str
) -> None:
    """It takes up what it was doing by itself, in the same environment: held for a look, and then ended."""
    # The keys are not in S3 here.
    wanted = {Death(each.action, effect) for each in deaths if changes(each) and "/" not in each.action}
    hold(lab, *wanted)
    before = len(lab.instances())
    started = person.start("up", str(repository), "--provider=ec2", f"--name={effect}", "--keep-on-error", "--yes")
    lab.wait_for(lambda: lab.ask("GET", "held"), seconds=300)
    environment, of_up = settle_through_deaths(lab, person, effect)
    started.communicate(timeout=480)
    assert environment["status"] == "error"
    assert ec2.END_OF_UP in environment["error"]["message"]
    assert [each["tags"]["fuel-code:environment"] for each in lab.alive()] == [environment["id"]]
    assert len(lab.instances()) == before + 1, "a second machine was made"
    ending = person.start("down", effect, "--yes", "--discard")
    lab.wait_for(lambda: lab.ask("GET", "held"), seconds=300)
    environment, of_down = settle_through_deaths(lab, person, effect)
    ending.communicate(timeout=480)
    assert {*of_up, *of_down} == wanted
    lab.heal()
    assert environment["status"] == "terminated"
    assert environment["receipt"]["complete"] is True
    assert ec2.left(lab, person) == []


def test_only_the_playbook_killed_at_the_launch(lab: Ec2Lab, person: Fuelctl, repository: Path) -> None:
    """The control plane lives and knows that it failed: it undoes what it never heard of."""
    hold(lab, Death("RunInstances", "hold-after"))
    started = person.start("up", str(repository), "--provider=ec2", "--name=half", "--yes")
    lab.wait_for(lambda: lab.ask("GET", "held"), seconds=300)
    assert len(lab.alive()) == 1
    kill_playbooks(person)
    lab.heal()
    started.communicate(timeout=480)
    assert started.returncode == 1
    environment = person.show("half")
    assert environment["status"] == "error"
    assert environment["error"]["message"]
    assert environment["receipt"]["complete"] is True
    assert ec2.left(lab, person) == []


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_control_plane_killed_at_the_launch_and_ended_at_once(
    lab: Ec2Lab, person: Fuelctl, repository: Path, effect: str
) -> None:
    """Before AWS has taken the call, or when it has and nobody read the answer: `down` leaves no machine."""
    hold(lab, Death("RunInstances", effect))
    name = f"killed-{effect}"
    started = person.start("up", str(repository), "--provider=ec2", f"--name={name}", "--yes")
    lab.wait_for(lambda: lab.ask("GET", "held"), seconds=300)
    person.kill_everything()
    started.send_signal(signal.SIGKILL)
    started.communicate()
    lab.heal()
    person.run("down", name, "--yes", "--discard")
    ended = person.wait_for(name, "terminated", "error")
    assert ended["receipt"]["complete"] is True
    time.sleep(1)
    assert ec2.left(lab, person) == []


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_killed_a_thousand_times(lab: Ec2Lab, tmp_path: Path) -> None:
    """Lives killed at every call, and at random moments between."""
    chance = random.Random(SEED)
    kills = lives = 0
    while kills < SOAK_KILLS:
        lives += 1
        plays = Plays(lab, tmp_path / f"life-{lives}", wait_timeout=1)
        for verb in ("up", "down", "up"):
            for _each in range(3):
                process = plays.start(verb)
                time.sleep(chance.uniform(0.5, 6.0))
                kills += process.poll() is None
                plays.kill(process)
        kills += len(life_of_a_play(plays, lambda: hold_every_call(lab), lambda: hold_every_call(lab)))
        print(f"{lives} lives, {kills} kills, nothing left", flush=True)
