# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that die, hang or lose the database in mid-work: what they began goes on elsewhere, and nothing twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.fuelctl.databases import Cluster, own_cluster
from tests.fuelctl.team_lab import BRIEF, Cable, Process, Team, pretend

#: What is promised: taken up again within, children gone within, and resumed after the database came back within.
TAKEN_UP = 10.0
GONE = 1.0
RESUMED = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_cluster() as made:
        yield made


@pytest.fixture
def team(cluster: Cluster, tmp_path: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    made = Team(cluster.url, tmp_path_factory.getbasetemp() / "faults" / "secret.key", tmp_path_factory.mktemp("team"))
    yield made
    made.stop()


@pytest.fixture
def brief_team(cluster: Cluster, tmp_path: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """One whose workers are soon taken for dead."""
    key, folder = tmp_path_factory.getbasetemp() / "faults" / "secret.key", tmp_path_factory.mktemp("team")
    made = Team(cluster.url, key, folder, BRIEF)
    yield made
    made.stop()


def finished(team: Team, made: str, times: int) -> None:
    """It became ready, made so often, with one key pair, as one container; every state once in its history."""
    team.go()
    assert team.settled(made).status == "ready", team.said()
    assert len(team.made(made)) == times
    assert len({key for _at, key in team.made(made)}) == 1
    assert team.containers() == [f"fuel-code-{made.lower()}-1"]
    told = [
        event.data["status"] for event in team.told(made) if event.type == "remote.update" and "status" in event.data
    ]
    assert told == ["provisioning", "ready"]


def at_work(team: Team, one: Process, two: Process) -> tuple[str, Process, Process]:
    """An environment that is being made until the team may go on, whoever of the two is at work, and the other."""
    team.ready(one)
    team.ready(two)
    made = team.up(blueprint=pretend(waits=True))
    team.working(made)
    team.until(lambda: bool(one.children()) is not bool(two.children()))
    return (made, one, two) if one.children() else (made, two, one)


def taken_up(team: Team, made: str, times: int) -> float:
    """Seconds until somebody is at work on it for the so manieth time."""
    seconds = team.until(lambda: team.row(made).fence >= times)
    team.working(made, times)
    return seconds


def took(name: str, seconds: float, most: float) -> None:
    """A figure of docs/reliability.md. Nothing is held to `most`, which is of a machine that has nothing else to do."""
    print(f"{name}: {seconds:.1f} s (at most {most:.0f} on a quiet machine)")


def test_one_of_two_and_then_all_are_killed(team: Team) -> None:
    """The last one is killed too, and work waits for whoever comes next."""
    made, first, second = at_work(team, team.worker(), team.worker())
    first.kill()
    took("children gone", team.until(lambda: not first.children()), GONE)
    took("another goes on", taken_up(team, made, 2), TAKEN_UP)
    second.kill()
    took("children gone", team.until(lambda: not second.children()), GONE)
    third = team.worker()
    team.ready(third)
    took("a new one goes on", taken_up(team, made, 3), TAKEN_UP)
    finished(team, made, 3)
    assert [one.pid for one in team.living()] == [third.process.pid]


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("provision.fenced", marks=pytest.mark.soak),
        pytest.param("provision.up.before", marks=pytest.mark.soak),
        "stage.container.start",
    ],
)
def test_killed_between_key_and_machine_the_next_has_the_same_key(team: Team, point: str) -> None:
    first = team.worker(FUELCTL_CRASH_AT=point)
    made = team.up()
    assert first.process.wait(240) == -signal.SIGKILL
    stored = team.files.read_below([f"keys/{made}"])
    team.worker()
    assert team.settled(made).status == "ready", team.said()
    known = {public for _at, public in team.made(made)}
    assert len(known) == 1
    for key, content in stored.items():
        assert team.files.read(key) == content


def test_a_restarted_database_costs_nobody_anything(team: Team, cluster: Cluster) -> None:
    worker = team.worker()
    team.ready(worker)
    made = team.up(blueprint=pretend(waits=True))
    team.working(made)
    cluster.stop("immediate")
    took("children gone", team.until(lambda: not worker.children()), 10.0)
    time.sleep(2)
    cluster.start()
    took("resumed", taken_up(team, made, 2), RESUMED)
    finished(team, made, 2)
    # The same process, under another name.
    assert [one.pid for one in team.living()] == [worker.process.pid]


def test_told_to_end_while_the_database_is_away(team: Team, cluster: Cluster) -> None:
    """Whether before it notices, as it begins anew, or when it waits: nobody has to kill it."""
    told = [team.worker() for _each in range(4)]
    for one in told:
        team.ready(one)
    cluster.stop("immediate")
    try:
        told[0].send(signal.SIGTERM)
        team.until(lambda: told[1].said("connection to the database is lost"))
        told[1].send(signal.SIGTERM)
        team.until(lambda: told[2].said("beginning anew"))
        told[2].send(signal.SIGTERM)
        team.until(lambda: told[3].said("beginning anew"))
        time.sleep(3)
        told[3].send(signal.SIGTERM)
        for one in told:
            assert one.process.wait(240) == 0
    finally:
        cluster.start()


def test_whoever_is_cut_off_stops_before_others_begin(brief_team: Team, cluster: Cluster) -> None:
    team = brief_team
    cable = Cable(cluster.port)
    other_cable = Cable(cluster.port)
    made, cut_off, other = at_work(team, team.worker(cable.url()), team.worker(other_cable.url()))
    if cut_off is not team.workers[0]:
        cable, other_cable = other_cable, cable
    cable.cut()
    gone = team.until(lambda: not cut_off.children())
    took("children gone", gone, 12.0)
    took("another goes on", gone + taken_up(team, made, 2), RESUMED)
    assert team.alone(made)
    cable.mend()
    team.ready(cut_off, 2)
    team.until(lambda: len(team.living()) == 2)
    # The other one dies as well, and it goes on with what it once had.
    other.kill()
    took("the mended one goes on", taken_up(team, made, 3), TAKEN_UP)
    team.down(made)
    assert team.settled(made).status == "terminated"
    assert team.containers() == []
    cable.close()
    other_cable.close()


def test_a_worker_that_was_stopped_and_wakes_up_writes_nothing(brief_team: Team) -> None:
    team = brief_team
    made, sleeper, _other = at_work(team, team.worker(), team.worker())
    sleeper.send(signal.SIGSTOP)
    gone = team.until(lambda: not sleeper.children())
    took("its playbook ended", gone, 12.0)
    took("another goes on", gone + taken_up(team, made, 2), RESUMED)
    assert team.alone(made)
    sleeper.send(signal.SIGCONT)
    finished(team, made, 2)
    team.ready(sleeper, 2)
    team.until(lambda: len(team.living()) == 2)


def test_a_worker_that_was_stopped_in_mid_transaction_holds_nobody_up(brief_team: Team) -> None:
    """It has locked what it was about to take, and would for as long as it sleeps."""
    team = brief_team
    sleeper = team.worker(FUELCTL_LAB_STOPS="1")
    team.ready(sleeper)
    (sleeper.home / "stop").touch()
    made = team.up()
    team.until((sleeper.home / "stopped").exists)
    stopped = time.monotonic()
    other = team.worker()
    team.ready(other)
    taken_up(team, made, 1)
    took("another takes it", time.monotonic() - stopped, RESUMED)
    assert team.settled(made).status == "ready", team.said()
    # Others have taken it for dead.
    team.until(lambda: [one.pid for one in team.living()] == [other.process.pid])
    sleeper.send(signal.SIGCONT)
    team.ready(sleeper, 2)
    finished(team, made, 1)
