# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers of a team, as processes on a real Postgres: they do what is enqueued, share it, and end in order."""

from __future__ import annotations

import io
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuelctl import paths
from fuelctl._shared._errors import FuelError
from fuelctl.environments.core import MachineError
from fuelctl.environments.key_pair import KeyPair
from fuelctl.store.secrets import Safe, agree_on_key
from tests.fuelctl.databases import Cluster, own_cluster
from tests.fuelctl.team_lab import Team, pretend


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_cluster() as made:
        yield made


@pytest.fixture
def team(cluster: Cluster, home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    made = Team(cluster.url, tmp_path_factory.getbasetemp() / "team" / "secret.key", tmp_path)
    yield made
    made.stop()


def test_a_worker_does_what_is_enqueued_and_keeps_nothing(team: Team) -> None:
    with pytest.raises(MachineError) as refused:
        team.enqueuer.observe()
    assert refused.value.code == "no_worker"
    worker = team.worker()
    made = team.up(secrets={"KEY": "canary-4711"})
    team.ready(worker)
    row = team.settled(made)
    assert row.status == "ready", team.said()
    # The server has the key that the machine was made with, and hands it out without the worker's disk.
    pair = KeyPair(team.files, made).read("it")
    assert team.made(made)[0][1] == pair["public_key"].strip()
    assert "OPENSSH PRIVATE KEY" in pair["private_key"]
    assert team.files.read(f"keys/{made}/machine_known_hosts") == b"pinned\n"
    assert not list((worker.home / "state").glob("keys/*"))
    # What a worker cannot do is told by it.
    with pytest.raises(MachineError, match="its machine is not there"):
        team.enqueuer.move_deadline(row, time.time() + 7200)
    assert team.enqueuer.observe() == 0
    assert [one.pid for one in team.living()] == [worker.process.pid]
    assert team.enqueuer.running() == []
    team.down(made)
    assert team.settled(made).status == "terminated"
    assert team.containers() == []
    assert team.files.list(f"keys/{made}") == []
    # Told to end while it works: it finishes that, and takes nothing more.
    slow = team.up(blueprint=pretend(waits=True))
    team.working(slow)
    worker.send(signal.SIGTERM)
    team.until(lambda: not team.living())
    late = team.up(name="late")
    assert worker.process.poll() is None
    team.go()
    assert worker.process.wait(240) == 0
    assert (team.row(slow).status, team.row(late).status) == ("ready", "provisioning")


def test_told_twice_it_parks_and_another_goes_on(team: Team) -> None:
    first = team.worker()
    made = team.up(blueprint=pretend(waits=True))
    team.ready(first)
    team.working(made)
    first.send(signal.SIGTERM)
    # It has heard: of two signals at once the second is none.
    team.until(lambda: not team.living())
    assert first.process.poll() is None
    first.send(signal.SIGTERM)
    assert first.process.wait(240) == 0
    team.until(lambda: not first.children())
    assert team.row(made).status == "provisioning"
    team.go()
    second = team.worker()
    team.working(made, 2)
    assert team.settled(made).status == "ready"
    assert second.said("Traceback") == 0


def test_a_source_reaches_whoever_works_with_it(team: Team) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = tarfile.TarInfo("source.json")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"{}"))
    source = {"sha256": "0" * 64, "size": len(stream.getvalue())}
    made = team.up(start=False, source=source, blueprint=pretend(waits=True))
    team.files.append(f"sources/{made}/source.tar", 0, stream.getvalue())
    team.enqueuer.start("provision", made, str(team.row(made).operation_id))
    first = team.worker()
    team.ready(first)
    team.working(made)
    first.kill()
    team.go()
    team.worker()
    assert team.settled(made).status == "ready"
    assert len(team.made(made)) == 2
    assert team.files.list("sources") == []


def test_another_key_is_refused(team: Team) -> None:
    other = Safe(paths.state_folder() / "other.key")
    with pytest.raises(FuelError, match="not the key of this team"):
        agree_on_key(team.core.database, other)
