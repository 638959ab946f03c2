# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends that come together, limits of a cloud, and work that is begun under one version and ended under another."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fuelctl import paths, provider_traits
from fuelctl.environments.core import Core
from fuelctl.store.database import Database
from fuelctl.store.secrets import Safe
from fuelctl.workflows import limits
from fuelctl.workflows.batches import Batches
from fuelctl.workflows.enqueue import Enqueuer
from tests.fuelctl import databases
from tests.fuelctl.databases import Cluster, own_cluster
from tests.fuelctl.team_lab import Team, pretend

CLOUD = {"FUELCTL_LAB_REGIONS": "1", "FUELCTL_STARTS_PER_MINUTE": "6000"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_cluster() as made:
        yield made


@pytest.fixture
def team(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    made = Team(cluster.url, tmp_path_factory.getbasetemp() / "together" / "secret.key", tmp_path_factory.mktemp("t"))
    yield made
    made.stop()


@pytest.fixture(params=databases.KINDS)
def kept(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from databases.of_kind(request)


def test_what_ends_together_is_one_playbook_and_one_that_stays_keeps_nobody(team: Team) -> None:
    # All of them come while the first one waits, however busy the machine is.
    worker = team.worker(**CLOUD, FUELCTL_LAB_WINDOW="4")
    team.ready(worker)
    made = [team.up(name=f"n{number}") for number in range(5)]
    stays = team.up(name="stays", blueprint=pretend(stays=True))
    everybody = [*made, stays]
    assert {team.settled(one).status for one in everybody} == {"ready"}
    # All at once: one playbook ends four of them.
    team.down(*made[:4])
    rows = [team.settled(one) for one in made[:4]]
    assert {row.status for row in rows} == {"terminated"}
    assert len(ended(team)) == 1
    for row in rows:
        assert row.receipt is not None
        assert [line["name"] for line in row.receipt["resources"]] == [f"fuel-code-{row.id.lower()}-1"]
        assert row.receipt["complete"] is True
    # One that cannot be ended is tried alone, and so is the other, which goes.
    team.down(made[4], stays)
    assert team.settled(made[4]).status == "terminated"
    row = team.settled(stays)
    assert (row.status, row.conditions[-1]["type"]) == ("terminating", "termination_incomplete")
    assert [len(ids) for ids in ended(team)] == [4, 2, 1, 1]


def test_killed_while_many_end_all_of_them_end(team: Team) -> None:
    first = team.worker(**CLOUD, FUELCTL_CRASH_AT="stage.destroy.start")
    team.ready(first)
    made = [team.up(name=f"k{number}") for number in range(4)]
    assert {team.settled(one).status for one in made} == {"ready"}
    team.down(*made)
    assert first.process.wait(240) == -9
    team.worker(**CLOUD)
    assert {team.settled(one).status for one in made} == {"terminated"}
    assert team.containers() == []


@pytest.mark.parametrize("count", [8, pytest.param(20, marks=pytest.mark.soak)])
def test_what_is_asked_for_at_once_is_shared_by_slots(team: Team, count: int) -> None:
    both = [team.worker(**CLOUD, FUELCTL_CONCURRENCY="2") for _each in range(2)]
    for worker in both:
        team.ready(worker)
    begun = time.monotonic()
    made = [team.up(name=f"n{number}", blueprint=pretend(waits=True)) for number in range(count)]

    def shares() -> list[list[str]]:
        return [[one for one in made if (worker.home / "state" / "runs" / one).exists()] for worker in both]

    # Nobody waits in one worker's hands for its slots while the other idles.
    team.until(lambda: sum(bool(team.made(one)) for one in made) == 4)
    team.until(lambda: [len(share) for share in shares()] == [2, 2])
    team.go()
    assert {team.settled(one).status for one in made} == {"ready"}
    print(f"{count} made by {[len(share) for share in shares()]} in {time.monotonic() - begun:.1f} s")
    # Never one environment by both.
    assert sorted(itertools.chain(*shares())) == sorted(made)
    assert [len(team.made(one)) for one in made] == [1] * count
    team.down(*made)
    assert {team.settled(one).status for one in made} == {"terminated"}


@pytest.mark.soak
def test_a_hundred_that_end_at_once_are_a_few_playbooks(team: Team) -> None:
    worker = team.worker(**CLOUD, FUELCTL_CONCURRENCY="2")
    made = [team.up(name=f"h{number}", start=False) for number in range(100)]
    team.down(*made)
    team.ready(worker)
    assert {team.settled(one).status for one in made} == {"terminated"}
    print(f"100 ended by {[len(ids) for ids in ended(team)]}")
    assert len(ended(team)) <= 10


def test_an_end_waits_for_whoever_makes_it_and_for_nobody_who_has_not_begun(team: Team) -> None:
    worker = team.worker(FUELCTL_CONCURRENCY="1")
    team.ready(worker)
    first = team.up(name="first", blueprint=pretend(waits=True))
    team.working(first)
    waiting = team.up(name="waiting")
    team.down(first, waiting)
    rows = [team.settled(one) for one in (first, waiting)]
    assert [row.status for row in rows] == ["terminated", "terminated"]
    assert team.containers() == []
    # What had not begun never did; of the one that had, the end began when its making was over.
    assert team.made(waiting) == []
    kinds = [event.type for event in team.told(first) if event.type in ("remote.stage", "remote.terminate.done")]
    assert kinds[-1] == "remote.terminate.done"
    team.until(lambda: team.enqueuer.running() == [])


def ended(team: Team) -> list[list[str]]:
    """Which environments each playbook was to end."""
    return [line.split()[1:] for line in (team.world / "ended.log").read_text().splitlines()]


def test_each_batch_is_done_once_and_a_failure_leaves_each_alone() -> None:
    # Nobody waits any more when all have come.
    batches: Batches[int, int] = Batches(window=600, most=3)
    calls: list[list[str]] = []

    def do(members: dict[str, int]) -> dict[str, int]:
        calls.append(sorted(members))
        return {name: value * 10 for name, value in members.items() if name != "c"}

    def broken(_members: dict[str, int]) -> dict[str, int]:
        raise RuntimeError("the first one failed")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: batches.join("here", one, ord(one), do, lambda: False), "abcdef"))
        assert sorted(itertools.chain(*calls)) == list("abcdef")
        assert [len(call) for call in calls] == [3, 3]
        assert [value for value in found if value is None] == [None]
        assert Batches[int, int](window=0.01).join("here", "alone", 1, do, lambda: False) is None
        pair: Batches[int, int] = Batches(window=600, most=2)

        def join(one: str) -> str:
            try:
                return str(pair.join("there", one, 1, broken, lambda: False))
            except RuntimeError:
                return "failed"

        assert sorted(pool.map(join, "ab")) == ["None", "failed"]


def test_a_cloud_is_called_upon_at_its_pace(kept: Database) -> None:
    core = Core(kept, Safe(paths.secret_key_file()))
    with ThreadPoolExecutor(4) as pool:
        waits = sorted(pool.map(lambda _n: limits.take_turn(core, "ec2/eu/1", 1.0, 3), range(8)))
    # Three at once, then one a minute; each waits for its own turn. Time goes by while they ask.
    assert waits[:3] == pytest.approx([0.0] * 3, abs=50)
    assert waits[3:] == pytest.approx([60, 120, 180, 240, 300], abs=50)
    assert limits.take_turn(core, "ec2/us/1", 1.0, 3) == 0.0
    begun = time.monotonic()
    assert not limits.wait(600, lambda: time.monotonic() - begun > 0.2)
    assert time.monotonic() - begun < 300


def test_what_the_roles_say_of_providers() -> None:
    cloud = provider_traits.of("ec2")
    assert (cloud.ends_several, cloud.has_regions) == (True, True)
    assert cloud.key_names == ("machine_control_ed25519", "machine_first_ed25519", "machine_host_ed25519")
    for name in ("local", "../ec2", "nobody"):
        assert provider_traits.of(name) == provider_traits.Traits()


def test_a_newer_worker_ends_what_an_older_one_began(team: Team) -> None:
    """Rolling: both versions are there for a while, and each takes only what it knows."""
    old = team.worker()
    team.ready(old)
    begun = team.up(name="begun", blueprint=pretend(waits=True))
    team.working(begun)
    new_server = Enqueuer(team.core, team.url, version=2)
    of_new = team.up(name="new", start=False)
    new_server.start("provision.2", of_new, str(team.row(of_new).operation_id))
    waiting = team.up(name="waiting", start=False)
    old.kill()
    team.go()
    # Enqueued by an older server after the upgrade has begun.
    team.enqueuer.start("provision", waiting, str(team.row(waiting).operation_id))
    newer = team.worker(FUELCTL_LAB_VERSION="2")
    team.ready(newer)
    assert {team.settled(one).status for one in (begun, waiting, of_new)} == {"ready"}
    assert [len(team.made(one)) for one in (begun, waiting, of_new)] == [2, 1, 1]
    assert newer.said("greeted") == 1
    # One that knows only the old version takes nothing of the new one's.
    newer.kill()
    late = team.up(name="late", start=False)
    new_server.start("provision.2", late, str(team.row(late).operation_id))
    older = team.worker()
    team.ready(older)
    time.sleep(3)
    assert team.made(late) == []
    new_server.close()
