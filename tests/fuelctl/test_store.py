# SPDX-License-Identifier: GPL-3.0-or-later
"""The store, on SQLite and on a throw-away Postgres: names, fences, keys, secrets, the log."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, select

from fuelctl import paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl._shared._identity import container_names
from fuelctl.environments import registry
from fuelctl.environments.activity import take_in
from fuelctl.environments.core import Core
from fuelctl.environments.journal import Journal
from fuelctl.environments.registry import ConflictError
from fuelctl.store import environments, events, idempotency, resources
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.due import due
from fuelctl.store.environments import FencedOffError, Wanted
from fuelctl.store.events import NewEvent
from fuelctl.store.idempotency import InFlightError
from fuelctl.store.models import Base, EnvironmentRow, SecretRow
from fuelctl.store.secrets import Safe
from fuelctl.store.ulids import new_ulid
from tests.fuelctl.control import HandClock, wanted
from tests.fuelctl.databases import KINDS, of_kind


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated, empty database of each kind."""
    yield from of_kind(request)


def test_the_migrations_make_what_the_models_say(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert "ix" not in {index["name"] for index in inspect(connection).get_indexes("environments")}
    database.migrate()


def _migrate(url: str) -> None:
    Database(url).migrate()


#: Processes that write at once, threads of each, and transactions of each thread.
_PROCESSES, _WRITERS, _TURNS = 4, 3, 10


def _write_much(work: tuple[str, str, int]) -> list[str]:
    """What went wrong, in one of several processes; each of its threads keeps all others waiting once."""
    url, key, number = work
    core = Core(Database(url), Safe(Path(key)))

    def write(thread: int) -> None:
        row = registry.create(core, wanted(name=f"p{number}-{thread}"))
        for turn in range(_TURNS):
            with core.write(durable=turn % 2 == 0) as session:
                found = environments.get(session, row.id)
                assert found is not None
                told = [core.event("tool.use", {"turn": turn}) for _each in range(10)]
                events.append(session, row.id, told)
                if turn == thread:
                    time.sleep(0.2)
            with core.database.read() as session:
                events.after(session, 0, environment_id=row.id)

    with ThreadPoolExecutor(_WRITERS) as pool:
        writers = [pool.submit(write, thread) for thread in range(_WRITERS)]
    core.database.close()
    return [repr(error) for each in writers if (error := each.exception())]


def test_processes_that_write_at_once_wait_their_turn(tmp_path: Path) -> None:
    """SQLite's `database is locked` is for those who begin to read and then want to write."""
    url = sqlite_url(tmp_path / "new" / "x.sqlite")
    database = Database(url)
    database.migrate()
    with multiprocessing.get_context("spawn").Pool(_PROCESSES) as pool:
        work = [(url, str(tmp_path / "secret.key"), number) for number in range(_PROCESSES)]
        assert pool.map(_write_much, work) == [[]] * _PROCESSES
    with database.read() as session:
        assert len(environments.page(session, Wanted())) == _PROCESSES * _WRITERS
        assert events.last_cursor(session) == _PROCESSES * _WRITERS * (_TURNS * 10 + 1)
    database.close()


def test_many_processes_migrate_at_once(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "new" / "x.sqlite")
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(_migrate, [url] * 8)
    assert (tmp_path / "new" / "x.sqlite").stat().st_mode & 0o777 == 0o600


def test_everything_that_may_come_to_be_is_written_down_first(core: Core) -> None:
    row = registry.create(core, wanted())
    names = container_names(row.id, 1)
    with core.database.read() as session:
        journal = {(item.kind, item.name, item.state) for item in resources.of_environment(session, row.id)}
    assert journal == {
        ("container", names.container, "intended"),
        ("network", names.network, "intended"),
        ("volume", names.workspace_volume, "intended"),
        ("image", names.image_tag, "intended"),
        ("ssh_key", row.id, "intended"),
    }


def test_a_name_is_taken_for_as_long_as_something_may_be_there(core: Core) -> None:
    first = registry.create(core, wanted(name="api"))
    with pytest.raises(ConflictError, match="taken") as caught:
        registry.create(core, wanted(name="api"))
    assert caught.value.code == "name_taken"
    registry.create(core, wanted(name="api", owner="somebody-else"))
    with core.write() as session:
        environments.change(session, first.id, status="terminated", ended_at=1.0)
    second = registry.create(core, wanted(name="api"))
    with core.database.read() as session:
        assert registry.resolve(session, first.id).id == first.id
        with pytest.raises(ConflictError):
            registry.resolve(session, "api")
    with core.write() as session:
        environments.change(session, second.id, status="terminated", ended_at=2.0)


def test_parallel_creation_of_one_name_makes_one(core: Core) -> None:
    outcomes: list[str] = []

    def create() -> None:
        try:
            outcomes.append(registry.create(core, wanted(name="api")).id)
        except ConflictError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=create) for _turn in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("name_taken") == 11


def test_names_made_from_the_repository(core: Core) -> None:
    made = [
        registry.create(core, wanted(repository={"name": name})).name for name in ("My App!", "my-app", "", "x" * 60)
    ]
    assert made == ["my-app", "my-app-2", "environment", "x" * 40]


def test_references(core: Core) -> None:
    one, two = registry.create(core, wanted(name="one")), registry.create(core, wanted(name="two"))
    with core.database.read() as session:
        assert registry.resolve(session, one.id.lower()).id == one.id
        assert registry.resolve(session, "two").id == two.id
        assert registry.resolve(session, one.id[:-1]).id == one.id
        with pytest.raises(ConflictError) as caught:
            registry.resolve(session, one.id[:4])
        assert {item["id"] for item in caught.value.details["candidates"]} == {one.id, two.id}
        for unknown in ("", "three", "%", "_", one.id + "X", "x" * 300):
            with pytest.raises(registry.NotFoundError):
                registry.resolve(session, unknown)


def test_a_lower_fence_writes_nothing(core: Core) -> None:
    row = registry.create(core, wanted())
    operation_id = registry.begin_provisioning(core, row.id)
    assert operation_id is not None
    zombie = Journal.open(core, row.id, operation_id)
    living = Journal.open(core, row.id, operation_id)
    assert living.fence > zombie.fence
    assert not zombie.still_mine()
    results = {"conditions": [], "connection": {}, "agent": None, "provider": {}, "resources": []}
    stage = [NewEvent("remote.stage", {"stage": "container", "state": "start"}, 1.0)]
    writes: list[Callable[[], object]] = [
        lambda: zombie.ready(results),
        lambda: zombie.failed({"message": "x"}, None),
        lambda: zombie.refused({}),
        lambda: zombie.terminated({"complete": True}),
        lambda: zombie.not_terminated({}, None),
        lambda: zombie.log(stage),
    ]
    for write in writes:
        with pytest.raises(FencedOffError):
            write()
    assert living.row().status == "provisioning"
    living.ready(results)
    assert living.row().status == "ready"
    with pytest.raises(FencedOffError):
        Journal.open(core, row.id, operation_id)


def test_termination_takes_over_from_provisioning(core: Core) -> None:
    row = registry.create(core, wanted())
    operation_id = registry.begin_provisioning(core, row.id)
    assert operation_id is not None
    provisioning = Journal.open(core, row.id, operation_id)
    ended, terminate_id = registry.begin_termination(core, row.id, discard=False, by="user")
    assert ended.status == "terminating"
    assert terminate_id is not None
    assert not provisioning.still_mine()
    assert registry.begin_termination(core, row.id, discard=False, by="user")[1] == terminate_id
    assert registry.begin_provisioning(core, row.id) is None
    Journal.open(core, row.id, terminate_id).terminated({"complete": True, "resources": []})
    with pytest.raises(FencedOffError):
        provisioning.log([NewEvent("remote.stage", {"stage": "x", "state": "ok"}, 1.0)])
    with core.database.read() as session:
        assert {item.state for item in resources.of_environment(session, row.id)} == {"gone"}


def test_one_idempotency_key_makes_one_environment(core: Core) -> None:
    made = registry.create(core, wanted(secrets={"K": "v"}), "key")
    assert registry.create(core, wanted(secrets={"K": "v"}), "key").id == made.id
    with pytest.raises(UsageError) as caught:
        registry.create(core, wanted(secrets={"K": "w"}), "key")
    assert caught.value.code == "idempotency_mismatch"


def test_a_key_in_flight_is_refused_and_a_dead_servers_claim_taken_over(core: Core) -> None:
    with core.write() as session:
        assert idempotency.claim(session, "key", "f", core.instance, 1.0).environment_id is None
    with core.write() as session, pytest.raises(InFlightError):
        idempotency.claim(session, "key", "f", core.instance, 2.0)
    with core.write() as session:
        taken_over = idempotency.claim(session, "key", "f", "another-server", 3.0)
        assert taken_over.environment_id is None
    with core.write() as session:
        idempotency.release(session, taken_over)
        assert idempotency.claim(session, "key", "other", core.instance, 4.0).environment_id is None
    with core.write() as session:
        # A day later it is forgotten.
        assert idempotency.claim(session, "key", "new", core.instance, 5.0 + 86400).environment_id is None


def test_whose_claim_was_taken_over_makes_nothing_and_frees_nothing(
    core: Core, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server process that was merely slow: another one has answered the same request meanwhile."""
    another = replace(core, instance="another-server")
    made: list[str] = []
    insert = registry._insert

    def slowly(*arguments: Any, **named: Any) -> EnvironmentRow:
        monkeypatch.setattr(registry, "_insert", insert)
        if not core.database.is_sqlite:
            with pytest.raises(InFlightError):
                registry.create(another, wanted(), "key")
        clock.pass_(2)
        made.append(registry.create(another, wanted(), "key").id)
        return insert(*arguments, **named)

    monkeypatch.setattr(registry, "_insert", slowly)
    with pytest.raises(InFlightError):
        registry.create(core, wanted(), "key")
    assert registry.create(core, wanted(), "key").id == made[0]
    with core.database.read() as session:
        assert [row.id for row in environments.page(session, Wanted(include_ended=True))] == made


def test_secrets_are_unreadable_at_rest_and_dropped_at_the_end(core: Core) -> None:
    row = registry.create(core, wanted(secrets={"KEY": "canary-store-91"}))
    with core.database.read() as session:
        kept = session.scalars(select(SecretRow)).all()
        assert kept
        assert all(b"canary" not in item.ciphertext for item in kept)
        assert core.safe.take(session, row.id)["KEY"] == "canary-store-91"
    assert paths.secret_key_file().stat().st_mode & 0o777 == 0o600
    assert "canary-store-91" not in repr(wanted(secrets={"KEY": "canary-store-91"}))
    operation_id = registry.begin_provisioning(core, row.id)
    assert operation_id is not None
    Journal.open(core, row.id, operation_id).failed({"message": "x"}, {"complete": True, "resources": []})
    with core.database.read() as session:
        assert session.scalars(select(SecretRow)).all() == []


def test_another_key_file_is_one_clear_error(core: Core, tmp_path: Path) -> None:
    row = registry.create(core, wanted(secrets={"KEY": "v"}))
    with core.database.read() as session, pytest.raises(FuelError, match="cannot be decrypted"):
        Safe(tmp_path / "another.key").take(session, row.id)


def test_the_log_is_idempotent_and_followed_by_cursor(core: Core) -> None:
    one, two = registry.create(core, wanted()).id, registry.create(core, wanted()).id
    ulid = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
    event = NewEvent("tool.use", {"n": 1}, 5.0, ulid)
    with core.write() as session:
        begin = events.last_cursor(session)
        assert events.append(session, one, [event, event]) == 1
        assert events.append(session, one, [event]) == 0
        # Nobody takes the id of another environment's event away.
        assert events.append(session, two, [event]) == 1
        assert events.append(session, two, [NewEvent("a", {}, 1.0), NewEvent("b", {}, 1.0)]) == 2
    with core.database.read() as session:
        found = events.after(session, begin)
        assert [item.type for item in found] == ["tool.use", "tool.use", "a", "b"]
        assert [item.seq for item in found] == sorted({item.seq for item in found})
        assert [item.type for item in events.after(session, found[1].seq, environment_id=two)] == ["a", "b"]


def test_parallel_writers_lose_nothing(core: Core) -> None:
    row = registry.create(core, wanted())

    def append(number: int) -> None:
        for index in range(20):
            with core.write(durable=index % 2 == 0) as session:
                events.append(session, row.id, [NewEvent("tool.n", {"n": number * 20 + index}, 1.0)])

    threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with core.database.read() as session:
        found = [item.data["n"] for item in events.after(session, 0) if item.type == "tool.n"]
    assert sorted(found) == list(range(160))


def test_only_what_is_due_is_read(core: Core, clock: HandClock) -> None:
    first, second = registry.create(core, wanted()), registry.create(core, wanted())
    with core.write() as session:
        environments.change(session, first.id, check_at=clock.wall + 50)
        environments.change(session, second.id, check_at=clock.wall - 50)
    with core.database.read() as session:
        assert [row.id for row in due(session, clock.wall)] == [second.id]
        assert len(due(session, None)) == 2


def test_a_state_folder_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(FuelError) as caught:
        Database(sqlite_url(tmp_path / "state" / "x.sqlite")).migrate()
    assert caught.value.hint


def test_environment_rows_say_what_they_are(core: Core) -> None:
    row = registry.create(core, wanted())
    assert isinstance(row, EnvironmentRow)
    assert (row.status, row.attempt, row.fence) == ("provisioning", 1, 0)


def test_the_log_of_what_ended_long_ago_is_forgotten_piece_by_piece(core: Core, clock: HandClock) -> None:
    ended, live = (registry.create(core, wanted(name=name)).id for name in ("ended", "live"))
    with core.write() as session:
        for made in (ended, live):
            events.append(session, made, [core.event("remote.output", {"n": number}) for number in range(25)])
        environments.change(session, ended, status="terminated", ended_at=clock.wall)
    with core.database.read() as session:
        assert events.logs_of_ended(session, clock.wall) == []
        assert events.logs_of_ended(session, clock.wall + 1) == [ended]
        last = events.last_cursor(session)
    removed = []
    while not removed or removed[-1]:
        with core.write() as session:
            removed.append(events.forget(session, ended, limit=10))
    assert removed == [10, 10, 6, 0]
    with core.write() as session:
        assert events.logs_of_ended(session, clock.wall + 1) == []
        assert len(events.after(session, 0, environment_id=live)) == 26
        # A cursor never meets a number twice.
        events.append(session, live, [core.event("remote.output")])
        assert events.last_cursor(session) == last + 1


def test_what_is_told_of_one_environment_and_done_with_it_at_once_wait_for_each_other(core: Core) -> None:
    """Both write its row and the log; in two orders, each would hold what the other waits for."""
    ids = [registry.create(core, wanted(name=f"e{number}")).id for number in range(20)]

    def told() -> None:
        for number, one in enumerate(ids * 3):
            at = core.clock().wall + number
            with core.write(durable=False) as session:
                take_in(core, session, one, [NewEvent("tool.end", {"session": str(number)}, at, new_ulid(at))])

    def ended() -> None:
        for one in ids:
            registry.begin_termination(core, one, discard=True, by="user")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for work in (told, told, ended, ended)]:
            done.result(60)
