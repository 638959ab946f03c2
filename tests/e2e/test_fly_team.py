# SPDX-License-Identifier: GPL-3.0-or-later
"""A team's environment on Fly.io: silence stops it, by a server's word and a worker's hand; its volume is seen to.

Nothing is written into the database: the silence is a real one. A server on Postgres, a worker of its own, the lab's
machines, and somebody who has no token of Fly.io's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fuelctl.databases import own_cluster
from tests.fuelctl.team_server import ROOT, TeamServer
from tests.lab.fly.client import FlyLab

from . import fly
from .harness import Completed, Fuelctl

pytestmark = [pytest.mark.docker, pytest.mark.soak, pytest.mark.timeout(3600)]

NAME = "still"
#: Seconds of silence that stop it: six looks.
LIMIT = 120
#: Seconds for what takes a minute on an idle machine.
PATIENCE = 900


@pytest.fixture(scope="module")
def lab() -> Iterator[FlyLab]:
    with FlyLab() as started:
        yield started


@pytest.fixture(scope="module")
def ada(lab: FlyLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuelctl]:
    """A member of a team whose server and worker run, with an environment that silence stops."""
    home = tmp_path_factory.mktemp("team")
    person = fly.person(lab, home / "ada")
    # Whoever talks to a server needs no credentials for a cloud.
    person.environment = {}
    with own_cluster() as cluster, (home / "worker.told").open("wb") as told:
        settings = {"FUELCTL_REAPER_SECONDS": "1", "FUELCTL_OBSERVE_SECONDS": "20", "HOME": str(home)}
        server = TeamServer(home / "server", cluster.url, **settings, **lab.environment())
        worker = None
        try:
            server.start()
            command = [sys.executable, "-m", "fuelctl", "worker", "run"]
            worker = subprocess.Popen(
                command, cwd=ROOT, env=server.environment, stdout=told, stderr=told, start_new_session=True
            )
            status, made, _headers = server.ask("POST", "/api/users", {"name": "ada", "role": "member"})
            assert status == 201, made
            person.run("login", f"http://127.0.0.1:{server.port}", "--token-file=-", stdin=made["token"]["token"])
            yield person
        finally:
            try:
                person.run("down", "--all", "--yes", "--discard", ok=None, timeout=600)
            finally:
                server.stop()
                if worker is not None:
                    worker.terminate()
                    worker.wait(120)
                person.kill_everything()
    assert "Traceback" not in (home / "worker.told").read_text()
    assert (lab.machines(), lab.volumes(), lab.truth()["apps"]) == ([], [], [])


@pytest.fixture(scope="module")
def up(ada: Fuelctl, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    repository = fly.sample(tmp_path_factory)
    command = ("up", str(repository), "--provider=fly", f"--name={NAME}", f"--idle={LIMIT}s", "--yes", "--json")
    made: dict[str, Any] = ada.run(*command, timeout=PATIENCE).json
    assert made["lease"]["when_idle"] == "stop"
    return made


def one_line(done: Completed, code: int) -> str:
    """What a failed command says: a line, with or without a hint below."""
    assert (done.returncode, done.stdout) == (code, ""), str(done)
    first, *more = done.stderr.splitlines()
    assert len(more) <= 1, str(done)
    assert all(each.startswith("  hint: ") for each in more), str(done)
    return first


def stopped(lab: FlyLab) -> bool:
    return [each["state"] for each in lab.machines()] == ["stopped"]


def test_real_silence_stops_it_and_a_person_starts_it(ada: Fuelctl, lab: FlyLab, up: dict[str, Any]) -> None:
    ada.run("exec", NAME, "--", "sh", "-c", "echo kept > ~/kept")
    begun = time.monotonic()
    lab.wait_for(lambda: stopped(lab), PATIENCE)
    assert time.monotonic() - begun >= LIMIT - 1, "not before its limit"
    deadline = time.monotonic() + PATIENCE
    while not (said := ada.run("status", NAME, "--json").json["conditions"]):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert [(each["type"], each["details"]) for each in said] == [("stopped", {"state": "stopped", "by": "idle"})]
    assert ada.run("exec", NAME, "--", "sh", "-c", "cat ~/kept").stdout == "kept\n"
    assert up["id"] == ada.run("status", NAME, "--json").json["id"]


def test_its_volume_is_seen_to_by_the_worker(ada: Fuelctl, lab: FlyLab, up: dict[str, Any]) -> None:
    shown = ada.run("volume", "show", NAME, "--json").json
    assert (shown["size_gb"], shown["region"], shown["snapshots"]) == (20, "fra", [])
    for _again in range(2):
        assert ada.run("volume", "extend", NAME, "30GB", "--json").json["size_gb"] == 30
    assert [each["size_gb"] for each in lab.volumes()] == [30]
    made = ada.run("volume", "snapshot", NAME, "--json").json
    assert [each["id"] for each in made["snapshots"]] == [made["snapshot"]]
    assert up["id"]


def test_what_is_refused_is_one_line(ada: Fuelctl, lab: FlyLab, up: dict[str, Any]) -> None:
    smaller = one_line(ada.run("volume", "extend", NAME, "25GB", ok=False), 1)
    assert "has 30 GB, and a volume never becomes smaller" in smaller
    assert "a volume cannot have 501 GB" in one_line(ada.run("volume", "extend", NAME, "501GB", ok=False), 2)
    assert "is no size" in one_line(ada.run("volume", "extend", NAME, "much", ok=False), 2)
    lab.fault("Volumes_extend", code="unauthorized")
    lab.fault("createVolumeSnapshot", code="unauthorized")
    try:
        for words in (("extend", NAME, "40GB"), ("snapshot", NAME)):
            assert f"the volume of {NAME} is not " in one_line(ada.run("volume", *words, ok=False), 1)
    finally:
        lab.heal()
    assert [each["size_gb"] for each in lab.volumes()] == [30]
    ada.run("stop", NAME)
    # It is no matter of the machine's.
    assert json.loads(ada.run("volume", "extend", NAME, "40GB", "--json").stdout)["size_gb"] == 40
    assert stopped(lab)
    assert up["id"]
