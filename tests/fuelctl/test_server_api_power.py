# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop and start over HTTP: of what can be entered, by who may, where a provider can."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fuelctl import provider_traits
from fuelctl.environments.core import Core, MachineError
from fuelctl.store import environments
from fuelctl.store.database import Database
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.access import check_stops
from tests.fuelctl.accounts import Team
from tests.fuelctl.accounts import team as make_team
from tests.fuelctl.api import Started, problem, ready
from tests.fuelctl.databases import KINDS, of_kind


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from of_kind(request)


class Machine:
    """What is asked of machines; `trouble` is raised once. `stops`: whether its provider's can be stopped."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble: list[MachineError] = []
        self.stops = True
        self.then: Callable[[], None] = lambda: None

    def __call__(self, row: EnvironmentRow, state: str) -> None:
        if not self.stops:
            check_stops(row)
        self.asked.append(state)
        if self.trouble:
            raise self.trouble.pop()
        self.then()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def team(core: Core, started: Started, machine: Machine) -> Team:
    return make_team(core, started, power=machine)


def test_it_is_stopped_and_started_and_says_so(team: Team, machine: Machine) -> None:
    made = team.make("ada")["id"]
    path = f"/api/remote/{made}/power"
    problem(team.ask("ada", "POST", path, json={"state": "stopped"}), 409, "not_enterable")
    ready(team.core, made)
    problem(team.ask("bob", "POST", path, json={"state": "stopped"}), 403, "forbidden")
    problem(team.ask("ada", "POST", path, json={"state": "gone"}), 422)
    assert machine.asked == []
    machine.trouble.append(MachineError("Fly.io does not answer", hint="repeat it", code="fly_silent"))
    problem(team.ask("ada", "POST", path, json={"state": "stopped"}), 503, "fly_silent")
    for _again in range(2):
        stopped = team.ask("ada", "POST", path, json={"state": "stopped"}).json
        assert [each["type"] for each in stopped["conditions"]] == ["stopped"]
    started = team.ask("ada", "POST", path, json={"state": "started"}).json
    assert (started["conditions"], started["lease"]) == ([], stopped["lease"])
    assert machine.asked == ["stopped", "stopped", "stopped", "started"]
    entries = team.log(action="environment.power")
    assert [(entry["actor"], entry["after"]["state"]) for entry in entries] == [
        ("ada", "started"),
        ("ada", "stopped"),
        ("ada", "stopped"),
    ]


def test_nothing_is_written_on_what_has_ended_meanwhile(team: Team, machine: Machine) -> None:
    made = team.make("ada")["id"]
    ready(team.core, made)

    def end() -> None:
        with team.core.write() as session:
            environments.change(session, made, status="terminated", ended_at=1.0, conditions=[])

    machine.then = end
    problem(team.ask("ada", "POST", f"/api/remote/{made}/power", json={"state": "stopped"}), 409, "not_enterable")
    ended = team.ask("ada", "GET", f"/api/remote/{made}").json
    assert (machine.asked, ended["conditions"]) == (["stopped"], [])


def test_what_stops_no_machines_says_so(team: Team, machine: Machine) -> None:
    made = team.make("ada")["id"]
    ready(team.core, made)
    machine.stops = False
    problem(team.ask("ada", "POST", f"/api/remote/{made}/power", json={"state": "stopped"}), 409, "cannot_stop")
    assert machine.asked == []


@pytest.mark.parametrize(("provider", "stops"), [("local", False), ("ec2", False), ("ssh", False), ("fly", True)])
def test_whose_machines_can_be_stopped(provider: str, stops: bool) -> None:
    assert provider_traits.of(provider).stops is stops
    # Of those that there are, the same ones have a disk that outlives them.
    assert provider_traits.of(provider).has_volume is stops


def test_fly_s_keys_are_made_before_it_is_launched() -> None:
    traits = provider_traits.of("fly")
    assert (traits.key_names, traits.has_regions, traits.ends_several) == (("machine_control_ed25519",), True, False)
