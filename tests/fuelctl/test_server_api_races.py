# SPDX-License-Identifier: GPL-3.0-or-later
"""Crowds that want the same at the same time, over HTTP on both databases: one gets it, the others are told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from fuelctl.config import Settings
from fuelctl.environments import registry
from fuelctl.environments.core import Core
from fuelctl.environments.key_pair import KeyPair
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store import audit_log, environments
from fuelctl.store.audit_log import Filter
from fuelctl.store.database import Database
from fuelctl.store.environments import Wanted
from fuelctl.store.files import keys_key
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.ulids import new_ulid
from tests.fuelctl.api import BODY, SMALL, Started, make, problem
from tests.fuelctl.databases import KINDS, of_kind

_FETCHES = 100
_CREATES = 1000


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from of_kind(request)


def at_once(requests: int, each: Callable[[int], None]) -> None:
    """`each(number)` for so many numbers, by as many threads as a server process has; all of those begin together."""
    threads = min(requests, Settings().threads)
    barrier = threading.Barrier(threads)

    def run(number: int) -> None:
        if number < threads:
            barrier.wait()
        each(number)

    with ThreadPoolExecutor(threads) as crowd:
        list(crowd.map(run, range(requests)))


def fetches_logged(core: Core, environment_id: str) -> list[tuple[str, dict[str, Any] | None]]:
    with core.database.read() as session:
        wanted = Filter(action="environment.key", object=environment_id)
        return [(row.outcome, row.after) for row in audit_log.page(session, wanted, limit=1000)]


@pytest.mark.parametrize("named", [False, True], ids=["plain", "with-idempotency-keys"])
def test_of_a_hundred_who_want_the_key_one_gets_it_and_each_other_one_is_an_alarm(
    http: FlaskClient, core: Core, named: bool
) -> None:
    made = make(http)
    path = f"/api/remote/{made['id']}/ssh-key"
    problem(http.get(path), 409, "no_key")
    for name, content in (("id_ed25519", b"PRIVATE"), ("id_ed25519.pub", b"PUBLIC")):
        core.files.put(f"{keys_key(made['id'])}/{name}", content, private=True)
    answers: list[tuple[int, Any, str | None]] = []

    def fetch(number: int) -> None:
        headers = {"Idempotency-Key": f"a long and random key {number}"} if named else {}
        with http.application.test_client() as another:
            answer = another.get(path, headers=headers)
            answers.append((answer.status_code, answer.json, answer.headers.get("Cache-Control")))

    at_once(_FETCHES, fetch)
    assert Counter(code for code, _json, _cache in answers) == {200: 1, 410: _FETCHES - 1}
    assert {"private_key": "PRIVATE", "public_key": "PUBLIC"} in [found for _code, found, _cache in answers]
    assert all(cache == "no-store" for code, _json, cache in answers if code == 200)
    assert KeyPair(core.files, made["id"]).exists() is named, "kept only for whom it was given to"
    for number in range(1000, 1010):
        problem(http.get(path, headers={"Idempotency-Key": f"a long and random key {number}"}), 410, "key_gone")
    refusals = _FETCHES - 1 + 10
    logged = fetches_logged(core, made["id"])
    assert sorted(logged, key=lambda row: row[0]) == (
        [("done", {"outcome": "served"})] + [("refused", {"outcome": "refused", "alarm": True})] * refusals
    )
    told = http.get(f"/api/remote/{made['id']}/events").get_json()["events"]
    outcomes = Counter(event["data"]["outcome"] for event in told if event["type"] == "remote.key")
    assert outcomes == {"served": 1, "refused": refusals}


def test_of_a_thousand_requests_with_one_idempotency_key_one_makes_an_environment(
    core: Core, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On Postgres several processes serve HTTP: another one's claim is another's, and no less in flight.
    cores = [core] if core.database.is_sqlite else [core, replace(core, instance=new_ulid())]
    apps = [create_app(Parts(each, started, SMALL)) for each in cores]
    answered: list[tuple[int, str, dict[str, Any]]] = []
    begun: list[int] = []
    half = threading.Event()
    insert = registry._insert

    def slowly(*arguments: Any, **named: Any) -> EnvironmentRow:
        begun.append(1)
        assert half.wait(120)
        return insert(*arguments, **named)

    def create(number: int) -> None:
        # Which one is first is open; only those who come after it may want something else.
        is_other = number % 10 == 9 and number >= Settings().threads
        body = BODY | ({"ttl_seconds": 7200} if is_other else {})
        with apps[number % len(apps)].test_client() as http:
            answer = http.post("/api/remote", json=body, headers={"Idempotency-Key": "one and the same key"})
        answered.append((answer.status_code, "other" if is_other else "same", answer.get_json()))
        if len(answered) >= _CREATES // 2:
            half.set()

    monkeypatch.setattr(registry, "_insert", slowly)
    at_once(_CREATES, create)
    counts = Counter((code, body) for code, body, _told in answered)
    assert counts.pop((422, "other")) == len([n for n in range(Settings().threads, _CREATES) if n % 10 == 9])
    assert counts[409, "same"] > _CREATES // 3, "those who came while it was being made"
    assert counts[202, "same"] > 0, "the one that made it, and those who came later"
    assert set(counts) == {(409, "same"), (202, "same")}
    assert {told.get("code") for code, _body, told in answered if code == 409} == {"idempotency_in_flight"}
    made = {told["id"] for code, _body, told in answered if code == 202}
    assert len(made) == len(begun) == 1
    with apps[-1].test_client() as http:
        again = http.post("/api/remote", json=BODY, headers={"Idempotency-Key": "one and the same key"})
    assert (again.status_code, again.get_json()["id"]) == (202, *made)
    assert {operation for operation, _id, _operation_id in started} == {"provision"}
    assert len({operation_id for _operation, _id, operation_id in started}) == 1
    with core.database.read() as session:
        assert [row.id for row in environments.page(session, Wanted(include_ended=True))] == [*made]
        assert len(audit_log.page(session, Filter(action="environment.create"), limit=10)) == 1
