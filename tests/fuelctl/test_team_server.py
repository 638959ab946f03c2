# SPDX-License-Identifier: GPL-3.0-or-later
"""A team's server on Postgres as it runs: several processes with one job each, any of which may be killed."""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from fuelctl.serving import keeper as keeper_module
from fuelctl.store import lease
from fuelctl.store.database import Database
from tests.fuelctl.databases import database_of
from tests.fuelctl.team_server import Follower, TeamServer, refused
from tests.fuelctl.test_supervise import wait_until

Pair = tuple[TeamServer, TeamServer]


def is_another(server: TeamServer, part: str, pid: int) -> bool:
    """Whether that part of it runs again, as another process."""
    return server.parts().get(part, pid) != pid


@pytest.fixture(scope="module")
def shared(postgres: str) -> Iterator[Database]:
    """The database of `team`."""
    with database_of(postgres, "team") as database:
        yield database


@pytest.fixture(scope="module")
def team(shared: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two servers of one team, on two machines as it were: they share the database and the key of its secrets."""
    homes = tmp_path_factory.mktemp("team")
    environment = {"FUELCTL_REAPER_SECONDS": "15", "FUELCTL_MAX_FOLLOWERS": "4"}
    first, second = (TeamServer(homes / name, shared.url, **environment) for name in ("one", "two"))
    first.start()
    (second.home / "state").mkdir(parents=True, mode=0o700)
    shutil.copy(first.home / "state" / "secret.key", second.home / "state" / "secret.key")
    second.token = first.token
    second.start()
    yield first, second
    first.stop()
    second.stop()


def test_any_process_may_be_killed_and_a_stop_leaves_none(postgres: str, tmp_path: Path) -> None:
    with database_of(postgres, "killed") as empty:
        server = TeamServer(tmp_path / "home", empty.url)
        server.start()
    try:
        server.wait(lambda: len({server.ask("GET", "/healthz")[1]["pid"] for _turn in range(20)}) == 2)
        assert sorted(server.parts()) == ["followers", "keeper", "web"]
        made = server.make(name="kept")
        for name in ("keeper", "followers", "web"):
            before = server.parts()[name]
            os.kill(before, signal.SIGKILL)
            # Whoever connects meanwhile waits, and is answered; only whom the web had in its hands is not.
            assert name == "web" or server.ask("GET", f"/api/remote/{made}")[0] == 200
            server.wait(partial(is_another, server, name, before))
            server.wait(lambda: server.ask("GET", f"/api/remote/{made}")[0] == 200)
        follower = Follower(server.port, server.token, f"environment={made}&after=0")
        assert follower.status == 101
        server.ask("POST", f"/api/remote/{made}/terminate", {})
        assert follower.until("remote.terminate.start")["environment_id"] == made
        everybody = server.everybody()
        assert server.process is not None
        server.process.terminate()
        while follower.closed is None:
            follower.read()
        assert follower.closed == (1001, "server is stopping")
        follower.leave()
        assert server.process.wait(240) == 0
        wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in everybody))
    finally:
        server.stop()


def test_who_follows_here_hears_of_what_is_written_there(team: Pair) -> None:
    first, second = team
    app = {"name": "app", "url": "https://example.org/acme/app.git"}
    first.make(name="first", repository=app)
    follower = Follower(second.port, second.token, "workspace=git@example.org:acme/app")
    other = Follower(second.port, second.token, "environment=" + second.make(name="older"))
    assert (follower.status, other.status) == (101, 101)
    assert refused(second, query="workspace=nobody")[0] == 404
    waits: list[float] = []
    # One that is not told looks by itself, once a second, and so not sooner than a second after it last did; on a busy
    # machine the others may take longer, but not always.
    while len(waits) < 60 and min(waits[1:], default=1.0) >= 1.0:
        turn = len(waits)
        begun = time.monotonic()
        made = first.make(name=f"e{turn}", repository=app)
        first.ask("POST", f"/api/remote/{made}/terminate", {})
        while (told := follower.next())["environment_id"] != made:
            pass
        waits.append(time.monotonic() - begun)
        assert told["type"].startswith("remote.")
    print(f"\nheard within {max(waits):.2f} s")
    assert min(waits[1:]) < 1.0, waits
    other.socket.settimeout(1.5)
    with pytest.raises(TimeoutError):
        other.until("remote.never")
    follower.leave()
    other.leave()


def test_one_reaper_of_two_servers_works_and_the_other_takes_over(team: Pair, shared: Database) -> None:
    first, second = team

    def holder() -> dict[str, object]:
        return lease.holder(shared, "reaper")

    def is_held_by_another(pid: int) -> bool:
        return holder()["pid"] != pid

    first.wait(holder)
    for _turn in range(2):
        keeper = int(str(holder()["pid"]))
        os.kill(keeper, signal.SIGKILL)
        first.wait(partial(is_held_by_another, keeper))
    # Its connection is cut: it ends at once, and another goes on.
    held = holder()
    with shared.engine.begin() as connection:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = :key"
        connection.execute(text(cut), {"key": keeper_module.KEY})
    first.wait(lambda: holder()["pid"] != held["pid"])
    status, told, _headers = second.ask("POST", "/api/reaper/cycle")
    assert (status, set(told)) == (200, {"checked", "ended", "failed"})
    first.wait(lambda: holder()["pid"] in [server.parts().get("keeper") for server in team])


def test_followers_beyond_the_cap_are_told_to_poll(team: Pair) -> None:
    server, _other = team
    some = []
    while len(some) < 4:
        # Those of the test before may not all have been noticed to be gone.
        follower = Follower(server.port, server.token)
        if follower.status == 101:
            some.append(follower)
        else:
            follower.leave()
    status, told = refused(server)
    assert (status, b"too_many_followers" in told) == (503, True)
    assert refused(server, "x")[0] == 401
    for each in some:
        each.leave()
    server.wait(lambda: refused(server)[0] == 101)


def _migrate(url: str) -> str:
    code = f"from fuelctl.store.database import Database; Database({url!r}).migrate()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stderr


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_processes_that_begin_at_once_migrate_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(4) as pool:
        url = f"sqlite:///{tmp_path}/db/fuelctl.sqlite"
        if kind == "postgres":
            url = stack.enter_context(database_of(request.getfixturevalue("postgres"), "migrated")).url
        assert list(pool.map(_migrate, [url] * 4)) == [""] * 4


def test_who_waits_to_migrate_holds_up_no_index_that_is_built_beside_other_work(postgres: str) -> None:
    """As DBOS builds its own, under our lock: such a build waits for whoever is in a statement."""
    with database_of(postgres, "waited_for") as holds, ExitStack() as stack:
        waits = Database(holds.url)
        stack.callback(waits.close)
        waiter = threading.Thread(target=waits.migrate)
        with holds.migration_lock():
            waiter.start()
            time.sleep(0.5)
            with holds.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("CREATE TABLE t (n int)"))
                connection.execute(text("SET statement_timeout = '120s'"))
                connection.execute(text("CREATE INDEX CONCURRENTLY t_n ON t (n)"))
        waiter.join(240)
        assert not waiter.is_alive()
