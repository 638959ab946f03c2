# SPDX-License-Identifier: GPL-3.0-or-later
"""A team's server from end to end, on EC2's lab: what is made, seen, ended, and by what.

Nobody waits for a lease to pass: that it did is written into the control plane's database. On Postgres, as a team has
it, the server's processes only note down what is wanted, and a worker of its own does it. On SQLite one process does
both: that is what the rest of this folder is about, so that here it is left to the soak.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from wsproto.utilities import LocalProtocolError

from fuelctl.environments.states import ENTERABLE
from fuelctl.store import environments
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.models import EnvironmentRow
from tests.fuelctl.databases import own_cluster
from tests.fuelctl.team_server import ROOT, Follower, TeamServer
from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .harness import BASE_IMAGE, Completed, make_repository, write_blueprint

pytestmark = pytest.mark.docker

#: Seconds for what takes ten on an idle machine.
PATIENCE = 480
#: More seconds than any lease has here.
PASSED = 10**6
#: Name -> what ends it: a person, silence, its time.
ENDED_BY = {"done": "user", "quiet": "idle", "late": "ttl"}
NAMES = tuple(ENDED_BY)


class Team:
    """A server (with a worker, on Postgres) that works on the lab, and Ada, a member of it."""

    def __init__(self, lab: Ec2Lab, home: Path, database: str) -> None:
        self.lab = lab
        self.home = home
        settings = {"FUELCTL_REAPER_SECONDS": "1", "FUELCTL_OBSERVE_SECONDS": "5", "HOME": str(home)}
        self.server = TeamServer(home / "server", database, **settings, **lab.environment(ec2.REGION))
        self.database = Database(database or sqlite_url(home / "server" / "state" / "fuelctl.sqlite"))
        self.worker: subprocess.Popen[bytes] | None = None
        self.ada = ec2.person(lab, home / "ada")
        # Whoever talks to a server needs no credentials for a cloud.
        self.ada.environment = {"AWS_REGION": ec2.REGION}
        self.documents: dict[str, dict[str, Any]] = {}
        self.heard: list[dict[str, Any]] = []

    def called_back_at(self, address: str) -> None:
        """Have machines call back there, and nobody look at them meanwhile."""
        self.server.host = "0.0.0.0"
        callback = f"http://{address}:{self.server.port}"
        self.server.environment |= {"FUELCTL_CALLBACK_URL": callback, "FUELCTL_OBSERVE_SECONDS": "3600"}

    def begin(self) -> None:
        self.server.start()
        if not self.database.is_sqlite:
            with (self.home / "worker.told").open("wb") as told:
                command = [sys.executable, "-m", "fuelctl", "worker", "run"]
                self.worker = subprocess.Popen(
                    command, cwd=ROOT, env=self.server.environment, stdout=told, stderr=told, start_new_session=True
                )
        status, made, _headers = self.server.ask("POST", "/api/users", {"name": "ada", "role": "member"})
        assert status == 201, made
        self.token = made["token"]["token"]
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.ada.run("login", self.url, "--token-file=-", stdin=self.token)

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Somebody follows the log by WebSocket meanwhile, and answers the server's pings."""
        follower = Follower(self.server.port, self.token, "after=0")
        assert follower.status == 101
        follower.socket.settimeout(None)

        def listen() -> None:
            with suppress(OSError, AssertionError, LocalProtocolError):
                while True:
                    self.heard.append(follower.next())

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield
        finally:
            with suppress(OSError):
                follower.socket.shutdown(socket.SHUT_RDWR)
            listener.join(20)
            follower.leave()

    def end(self) -> None:
        try:
            self.ada.run("down", "--all", "--yes", "--discard", ok=None)
        finally:
            self.server.stop()
            if self.worker is not None:
                self.worker.terminate()
                assert self.worker.wait(300) == 0
                assert "Traceback" not in (self.home / "worker.told").read_text()
            self.database.close()
            self.ada.kill_everything()

    def ask(self, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
        """As Ada."""
        status, answer, _headers = self.server.ask(method, path, body, Authorization=f"Bearer {self.token}")
        return status, answer

    def up(self, name: str, repository: Path) -> Completed:
        command = ("up", str(repository), "--provider=ec2", f"--name={name}", "--no-rescue", "--yes", "--json")
        return self.ada.run(*command, ok=None, timeout=900)

    def told(self) -> str:
        """The last words of server and worker."""
        file = self.home / "worker.told"
        return self.server.told()[-3000:] + (file.read_text()[-3000:] if file.exists() else "")

    def show(self, name: str) -> dict[str, Any]:
        status, answer = self.ask(f"/api/remote/{self.documents[name]['id']}")
        assert status == 200, answer
        return dict(answer)

    def events(self, name: str) -> list[dict[str, Any]]:
        status, answer = self.ask(f"/api/remote/{self.documents[name]['id']}/events?after=0")
        assert status == 200, answer
        return list(answer["events"])

    def listed(self, query: str = "") -> set[str]:
        status, answer = self.ask(f"/api/remote{query}")
        assert status == 200, answer
        return {str(each["name"]) for each in answer["environments"]}

    def until(self, name: str, so: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Until that is so of the environment."""
        end = time.monotonic() + PATIENCE
        while not so(found := self.show(name)):
            assert time.monotonic() < end, (found, self.told())
            time.sleep(0.3)
        return found

    def ended(self, name: str) -> dict[str, Any]:
        """Until it has ended, whatever ends it."""
        return self.until(name, lambda shown: shown["status"] in {"terminated", "error"})

    def change(self, name: str, how: Callable[[EnvironmentRow], dict[str, Any]]) -> None:
        """Have the control plane's database say something else, and somebody look at it."""
        with self.database.write() as session:
            row = session.get_one(EnvironmentRow, self.documents[name]["id"])
            environments.change(session, row.id, check_at=0.0, **how(row))


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(images=[BASE_IMAGE]) as started:
        yield started


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_repository(tmp_path_factory.mktemp("source") / "shop", package__json='{"engines": {"node": "22"}}\n')
    write_blueprint(path, f"version: 1\nimage: {BASE_IMAGE}\n")
    return path


@pytest.fixture(scope="module", params=["postgres", pytest.param("sqlite", marks=pytest.mark.soak)])
def team(
    request: pytest.FixtureRequest, lab: Ec2Lab, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Team]:
    """With three environments, made at the same time while somebody followed; none of it is left on the lab."""
    with ExitStack() as stack:
        database = stack.enter_context(own_cluster()).url if request.param == "postgres" else ""
        made = Team(lab, tmp_path_factory.mktemp(request.param), database)
        try:
            made.begin()
            with made.followed(), ThreadPoolExecutor(len(NAMES)) as pool:
                finished = list(pool.map(lambda name: made.up(name, repository), NAMES))
            for name, done in zip(NAMES, finished, strict=True):
                assert done.returncode == 0, f"{done}\n{made.told()}"
                made.documents[name] = done.json
            yield made
        finally:
            made.end()
    assert ec2.left(lab, made.ada) == []


def test_a_blueprint_is_detected_where_none_is_given(team: Team, tmp_path: Path) -> None:
    files = {"package__json": '{"engines": {"node": "22"}, "scripts": {"start": "node ."}}\n'}
    path = make_repository(tmp_path / "plain", **files)
    found = team.ada.run("blueprint", "detect", str(path), "--dry-run", "--json").json
    assert "node" in json.dumps(found)
    planned = team.ada.run("up", str(path), "--provider=ec2", "--dry-run")
    assert "node:22" in planned.text
    assert team.listed() == set(NAMES), "nothing was made of it"


def test_made_it_is_ready_with_every_status_and_event(team: Team) -> None:
    document = team.show("done")
    # Whoever looks in later may have seen somebody at work.
    assert document["status"] in ENTERABLE
    assert document["owner"] == "ada"
    assert document["provider"]["name"] == "ec2"
    assert document["cost"]["hourly"] > 0
    assert [each["state"] for each in document["stages"]] == ["ok"] * len(document["stages"])
    kinds = [each["type"] for each in team.events("done")]
    assert [kind for kind in kinds if kind.startswith("remote.provision")] == [
        "remote.provision.start",
        "remote.provision.ready",
    ]
    updates = [each["data"] for each in team.events("done") if each["type"] == "remote.update"]
    statuses = [each["status"] for each in updates if "status" in each]
    assert statuses[:2] == ["provisioning", "ready"]
    assert team.lab.alive(document["id"])


def test_its_key_was_handed_out_once(team: Team) -> None:
    kept = Path(team.ada.base["FUELCTL_HOME"]) / "data" / "ssh" / "keys" / team.documents["done"]["id"]
    assert "PRIVATE KEY" in kept.read_text()
    status, problem = team.ask(f"/api/remote/{team.documents['done']['id']}/ssh-key")
    assert (status, problem["status"]) == (410, 410)
    assert team.ada.run("exec", "done", "--", "cat", "README.md").stdout == "# sample\n"


def test_whoever_follows_hears_of_every_status(team: Team) -> None:
    for name in NAMES:
        its = [each for each in team.heard if each["environment_id"] == team.documents[name]["id"]]
        updates = [each["data"] for each in its if each["type"] == "remote.update"]
        told = [each["status"] for each in updates if "status" in each]
        assert (told[0], "ready" in told) == ("provisioning", True)
        stages = [(each["data"]["stage"], each["data"]["state"]) for each in its if each["type"] == "remote.stage"]
        assert ("container", "start") in stages
        assert [(each["stage"], each["state"]) for each in updates if "stage" in each] == stages
        sequence = [each["seq"] for each in its]
        assert sequence == sorted(set(sequence)), "each once, and in order"


def test_an_end_leaves_a_receipt_and_nothing_else(team: Team) -> None:
    path = f"/api/remote/{team.documents['done']['id']}"
    assert team.ask(f"{path}/terminate", "POST", {"discard": True})[0] == 202
    assert team.ask(f"{path}/terminate", "POST", {"discard": True})[0] == 202, "twice is harmless"
    found = team.ended("done")
    assert (found["status"], found["ended_by"]) == ("terminated", "user")
    _all_is_gone(team, found)
    kinds = [each["type"] for each in team.events("done") if each["type"].startswith("remote.terminate")]
    assert kinds == ["remote.terminate.start", "remote.terminate.done"]
    assert team.listed() == set(NAMES) - {"done"}
    assert team.listed("?include_terminated=true") == set(NAMES)
    assert team.listed("?include_terminated=true&status=terminated") == {"done"}
    assert team.listed("?owner=ada") == set(NAMES) - {"done"}
    assert team.listed("?owner=bob") == set()


def test_silence_ends_it(team: Team) -> None:
    team.until("quiet", lambda shown: (shown["activity"] or {}).get("observed_at"))

    def is_ending(shown: dict[str, Any]) -> bool:
        if shown["status"] not in ENTERABLE:
            return True
        # Said again, because a look may just have been writing down what it saw.
        team.change("quiet", lambda row: {"activity": {**(row.activity or {}), "quiet": float(PASSED)}})
        return False

    team.until("quiet", is_ending)
    found = team.ended("quiet")
    assert (found["status"], found["ended_by"]) == ("terminated", "idle")
    _all_is_gone(team, found)


def test_its_time_ends_it(team: Team) -> None:
    team.change(
        "late", lambda row: {"expires_at": row.expires_at - PASSED, "lease_boottime": row.lease_boottime - PASSED}
    )
    found = team.ended("late")
    assert (found["status"], found["ended_by"]) == ("terminated", "ttl")
    _all_is_gone(team, found)


def test_what_cannot_be_made_is_cleaned_up(team: Team, repository: Path) -> None:
    team.lab.fault("RunInstances", "error", code="InstanceLimitExceeded")
    try:
        done = team.up("refused", repository)
    finally:
        team.lab.heal()
    assert done.returncode == 1, str(done)
    [document] = [
        each for each in team.ask("/api/remote?include_terminated=true")[1]["environments"] if each["name"] == "refused"
    ]
    team.documents["refused"] = document
    found = team.ended("refused")
    assert found["status"] == "error"
    assert found["error"]["stage"] == "provider"
    _all_is_gone(team, found)
    assert "remote.provision.error" in [each["type"] for each in team.events("refused")]


def test_ls_shows_what_lives_and_all_that_was(team: Team) -> None:
    assert "No active environments" in team.ada.run("ls").text
    listed = team.ada.run("ls", "--all", "--json").json["environments"]
    assert {each["name"]: each["status"] for each in listed} == {
        **dict.fromkeys(NAMES, "terminated"),
        "refused": "error",
    }
    assert {each["name"]: each["ended_by"] for each in listed if each["name"] in NAMES} == ENDED_BY


def _all_is_gone(team: Team, document: dict[str, Any]) -> None:
    assert document["receipt"]["complete"] is True
    resources = document["receipt"]["resources"]
    assert {each["state"] for each in resources} <= {"gone"}
    assert document["name"] not in NAMES or "instance" in {each["kind"] for each in resources}
    assert team.lab.alive(document["id"]) == []
