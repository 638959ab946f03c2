# SPDX-License-Identifier: GPL-3.0-or-later
"""A second laptop's key over HTTP: held against what it is, let in once, journaled, and only by who may."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuelctl._shared._public_key import check_public_key
from fuelctl.environments import registry
from fuelctl.environments.core import Core, MachineError
from fuelctl.environments.journal import Journal
from fuelctl.store import resources
from fuelctl.store.database import Database
from fuelctl.store.models import EnvironmentRow
from tests.fuelctl.accounts import Team
from tests.fuelctl.accounts import team as make_team
from tests.fuelctl.api import Started, problem, ready
from tests.fuelctl.databases import KINDS, of_kind


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from of_kind(request)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("key") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me", "-f", str(file)], check=True)
    return Path(f"{file}.pub").read_text().strip()


class Machine:
    """What is asked of machines; `trouble` is raised once."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.trouble: list[MachineError] = []

    def __call__(self, row: EnvironmentRow, public_key: str) -> None:
        self.asked.append((row.id, public_key))
        if self.trouble:
            raise self.trouble.pop()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def team(core: Core, started: Started, machine: Machine) -> Team:
    return make_team(core, started, admit=machine)


def journal(core: Core, environment_id: str) -> list[tuple[str, str]]:
    with core.database.read() as session:
        rows = resources.of_environment(session, environment_id)
    return [(row.name, row.state) for row in rows if row.kind == "authorized_key"]


def test_a_key_is_let_in_once_and_written_down(team: Team, machine: Machine, key: str) -> None:
    made = team.make("ada")["id"]
    path, body = f"/api/remote/{made}/authorize-key", {"public_key": key}
    problem(team.ask("ada", "POST", path, json=body), 409, "not_enterable")
    ready(team.core, made)
    problem(team.ask("bob", "POST", path, json=body), 403, "forbidden")
    assert machine.asked == []
    machine.trouble.append(MachineError("the engine does not answer", hint="start it", code="docker_unavailable"))
    problem(team.ask("ada", "POST", path, json=body), 503, "docker_unavailable")
    known = check_public_key(key)
    assert journal(team.core, made) == [(known.fingerprint, "intended")], "it may have been let in"
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(team.ask("ada", "POST", path, json=body).status_code))
        for _turn in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8
    assert machine.asked == [(made, known.line)] * 2, "once that failed, and once"
    assert journal(team.core, made) == [(known.fingerprint, "created")]
    [entry] = team.log(action="environment.authorize_key")
    assert (entry["actor"], entry["object"], entry["after"]) == ("ada", made, {"fingerprint": known.fingerprint})
    _row, operation_id = registry.begin_termination(team.core, made, discard=True, by="user")
    problem(team.ask("ada", "POST", path, json=body), 409, "not_enterable")
    assert operation_id is not None
    Journal.open(team.core, made, operation_id).terminated({"complete": True, "resources": []})
    assert journal(team.core, made) == [(known.fingerprint, "gone")]


@pytest.mark.parametrize(
    "text", ["", "x", 'command="id" {key}', "{key}\n", "{key}\n{key}", "ssh-rsa AAAA", "{key}\x00"]
)
def test_what_is_no_key_opens_nothing(team: Team, machine: Machine, key: str, text: str) -> None:
    made = team.make("ada")["id"]
    ready(team.core, made)
    body = {"public_key": text.format(key=key)}
    problem(team.ask("ada", "POST", f"/api/remote/{made}/authorize-key", json=body), 422)
    assert machine.asked == []


def test_there_is_an_end_of_them(team: Team, machine: Machine, tmp_path: Path) -> None:
    made = team.make("ada")["id"]
    ready(team.core, made)
    with team.core.write() as session:
        found = [{"kind": "authorized_key", "name": f"SHA256:{number}"} for number in range(20)]
        resources.record(session, made, 1, found, 1.0)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "k")], check=True)
    body = {"public_key": (tmp_path / "k.pub").read_text().strip()}
    problem(team.ask("ada", "POST", f"/api/remote/{made}/authorize-key", json=body), 409, "too_many_keys")
