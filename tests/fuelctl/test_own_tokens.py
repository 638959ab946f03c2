# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment's own token, asked of the database for many requests at once: never a second after its end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Set
from concurrent.futures import ThreadPoolExecutor

import pytest

from fuelctl.environments import registry
from fuelctl.environments.core import Core
from fuelctl.environments.heartbeats import Heartbeats
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store.database import Database
from fuelctl.store.together import Together
from tests.fuelctl import databases
from tests.fuelctl.api import SMALL, Started, problem, token_of
from tests.fuelctl.control import wanted

_PATIENCE = 240.0
#: Ended by a process that has nothing in common with the one that is asked but the database.
_END = """
import sys
from fuelctl.store import environments
from fuelctl.store.database import Database
with Database(sys.argv[1]).write() as session:
    environments.change(session, sys.argv[2], status="terminated", ended_at=1.0)
"""


@pytest.fixture(params=databases.KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from databases.of_kind(request)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


class Reader:
    """Reads what there is, when it is let."""

    def __init__(self) -> None:
        self.stored = {"a": 1, "b": 2}
        self.calls: list[set[str]] = []
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, keys: Set[str]) -> dict[str, int]:
        self.calls.append(set(keys))
        found = {key: self.stored[key] for key in keys if key in self.stored}
        self.began.set()
        assert self.go.wait(_PATIENCE)
        return found


def test_who_comes_while_a_statement_runs_is_not_answered_by_it() -> None:
    together: Together[str, int] = Together()
    read = Reader()
    with ThreadPoolExecutor() as threads:
        early = threads.submit(together.ask, "a", read)
        assert read.began.wait(_PATIENCE)
        del read.stored["a"]
        late = threads.submit(together.ask, "a", read)
        read.go.set()
        assert early.result(_PATIENCE) == 1
        assert late.result(_PATIENCE) is None, "gone before it asked"
    assert read.calls == [{"a"}, {"a"}]


def test_all_who_wait_share_one_statement() -> None:
    together: Together[str, int] = Together()
    read = Reader()
    with ThreadPoolExecutor(40) as threads:
        first = threads.submit(together.ask, "a", read)
        assert read.began.wait(_PATIENCE)
        keys = ["a", "b", *(f"none-{number}" for number in range(37))]
        others = [threads.submit(together.ask, key, read) for key in keys]
        # Whoever began to ask when the first of them were being answered would be too late.
        until(lambda: together._waiting is not None and len(together._waiting.keys) == len(keys))
        read.go.set()
        assert [other.result(_PATIENCE) for other in others] == [1, 2, *[None] * 37]
        assert first.result(_PATIENCE) == 1
    assert read.calls == [{"a"}, set(keys)]


def test_a_statement_that_fails_is_one_requests_fault() -> None:
    together: Together[str, int] = Together()
    broken = threading.Event()

    def read(keys: Set[str]) -> dict[str, int]:
        if not broken.is_set():
            broken.set()
            raise ConnectionError("away")
        return dict.fromkeys(keys, 1)

    with pytest.raises(ConnectionError):
        together.ask("a", read)
    assert together.ask("a", read) == 1


@pytest.mark.parametrize(("failures", "expected"), [(1, {1}), (10**6, {ConnectionError})])
def test_a_database_that_fails_is_not_asked_by_everybody_at_once(failures: int, expected: set[object]) -> None:
    together: Together[str, int] = Together()
    began, go = threading.Event(), threading.Event()
    calls: list[set[str]] = []

    def read(keys: Set[str]) -> dict[str, int]:
        calls.append(set(keys))
        began.set()
        assert go.wait(_PATIENCE)
        time.sleep(0.05)
        # The first is of somebody who came alone.
        if 1 < len(calls) <= 1 + failures:
            raise ConnectionError("away")
        return dict.fromkeys(keys, 1)

    def told(key: str) -> object:
        try:
            return together.ask(key, read)
        except ConnectionError:
            return ConnectionError

    with ThreadPoolExecutor(41) as threads:
        threads.submit(told, "a")
        assert began.wait(_PATIENCE)
        others = [threads.submit(told, str(number)) for number in range(40)]
        until(lambda: together._waiting is not None and len(together._waiting.keys) == 40)
        go.set()
        answers = {other.result(_PATIENCE) for other in others}
    # Whoever asked for all of them is told what came of it.
    assert answers - {ConnectionError} == expected - {ConnectionError}
    assert len(calls) < 20


def test_it_is_dead_at_once_in_every_process_and_in_a_storm(database: Database, core: Core) -> None:
    beats = Heartbeats(pause=0)
    app = create_app(Parts(core, Started(), SMALL, embedded=False, heartbeats=beats))
    made, other = registry.create(core, wanted()), registry.create(core, wanted())
    tokens = {one.id: token_of(core, one.id) for one in (made, other)}
    ended, stop = threading.Event(), threading.Event()
    before: list[int] = []
    after: list[int] = []

    def storm(number: int) -> None:
        with app.test_client() as client:
            while not stop.is_set():
                one = made if number % 2 else other
                is_over = ended.is_set()
                path, body = (f"/api/remote/{one.id}/heartbeat", {}) if number % 3 else ("/api/events", {"events": []})
                answer = client.post(path, json=body, headers=tokens[one.id])
                if one is made:
                    (after if is_over else before).append(answer.status_code)
                else:
                    assert answer.status_code in (200, 429), answer.get_json()

    with ThreadPoolExecutor(6) as threads:
        running = [threads.submit(storm, number) for number in range(6)]
        try:
            until(lambda: len(before) >= 10 or any(each.done() for each in running))
            url = database.url
            subprocess.run([sys.executable, "-c", _END, url, made.id], check=True, timeout=_PATIENCE)
            ended.set()
            until(lambda: len(after) >= 10 or any(each.done() for each in running))
        finally:
            stop.set()
        for each in running:
            each.result(_PATIENCE)
    assert 200 in before
    # A flood of refused tokens is answered so; a token that is believed once more would be 200.
    assert set(after) <= {401, 429}
    with app.test_client() as client:
        assert client.post(f"/api/remote/{other.id}/heartbeat", json={}, headers=tokens[other.id]).status_code == 200
    rates = app.extensions["fuelctl"].failures
    rates._buckets.clear()
    with app.test_client() as client:
        path = f"/api/remote/{made.id}/heartbeat"
        problem(client.post(path, json={}, headers=tokens[made.id]), 401, "unauthorized")
        problem(client.post("/api/events", json={"events": []}, headers=tokens[made.id]), 401, "unauthorized")
        problem(client.post(path, json={}, headers=tokens[other.id]), 401, "unauthorized")
