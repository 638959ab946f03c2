# SPDX-License-Identifier: GPL-3.0-or-later
"""When each environment is looked at, beside its row: written with it, read with it, held with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import pytest
from sqlalchemy import delete, select, text, update

from fuelctl.environments import registry
from fuelctl.environments.core import Core
from fuelctl.store import checks, environments
from fuelctl.store.database import Database
from fuelctl.store.due import due, remember
from fuelctl.store.environments import FencedOffError
from fuelctl.store.living import write
from fuelctl.store.models import CheckRow
from fuelctl.workflows.reaper import Reaper
from tests.fuelctl import databases
from tests.fuelctl.control import HandClock, check_of, wanted
from tests.fuelctl.test_reaper import Recorder


@pytest.fixture(params=databases.KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from databases.of_kind(request)


def make(core: Core, count: int) -> list[str]:
    return sorted(registry.create(core, wanted(name=f"e{number}")).id for number in range(count))


def test_it_is_made_with_the_environment_or_not_at_all(core: Core, clock: HandClock) -> None:
    [made] = make(core, 1)
    assert check_of(core, made) == (clock.wall, None, None)
    with suppress(registry.ConflictError):
        registry.create(core, wanted(name="e0"))
    with core.database.read() as session:
        assert list(session.scalars(select(CheckRow.environment_id))) == [made]


def test_it_is_written_with_the_row_or_not_at_all(core: Core) -> None:
    [made] = make(core, 1)
    with core.write() as session:
        environments.change(session, made, fence=0, check_at=5.0, ended_by="x", decision={"a": 1})
    assert check_of(core, made) == (5.0, {"a": 1}, None)
    with pytest.raises(FencedOffError), core.write() as session:
        environments.change(session, made, fence=7, check_at=9.0)
    assert check_of(core, made) == (5.0, {"a": 1}, None)
    with core.database.read() as session:
        row = environments.get(session, made)
        assert row is not None
        assert (row.ended_by, row.version) == ("x", 2)


def test_of_many_each_gets_its_own(core: Core) -> None:
    one, two, three = make(core, 3)
    with core.write() as session:
        write(
            session,
            [
                {"id": one, "last_event_at": 1.0},
                {"id": two, "check_at": 2.0, "version": 9, "activity": {"quiet": 1.0}},
                {"version": 8, "id": three, "check_at": 3.0, "activity": {}},
            ],
        )
        write(session, [{"id": one, "check_at": 4.0}])
    assert [check_of(core, made).check_at for made in (one, two, three)] == [4.0, 2.0, 3.0]
    with core.database.read() as session:
        rows = environments.by_id(session, [one, two, three])
        assert [rows[made].version for made in (one, two, three)] == [1, 9, 8]
        assert checks.times(session) == {one: 4.0, two: 2.0, three: 3.0}


def test_what_lives_and_is_not_to_be_looked_at_is_looked_at_all_the_same(core: Core, clock: HandClock) -> None:
    """Whatever took its row away: nobody else would ever end it."""
    lost, never, ended, known = make(core, 4)
    with core.write() as session:
        session.execute(delete(CheckRow).where(CheckRow.environment_id == lost))
        environments.change(session, never, check_at=None)
        environments.change(session, ended, ended_at=clock.wall)
        environments.change(session, known, check_at=7.0)
    assert check_of(core, lost) == (None, None, None)
    clock.pass_(60)
    Reaper(core, cast("Any", Recorder()), 60).cycle()
    with core.database.read() as session:
        found = checks.times(session)
    assert found.keys() == {lost, never, known}
    assert min(found.values()) > clock.wall
    with core.database.read() as session:
        assert checks.get(session, lost).decision is not None
        assert checks.get(session, ended).check_at is None


def test_the_longest_due_come_first_and_all_of_them_in_turn(core: Core, clock: HandClock) -> None:
    made = make(core, 7)
    with core.write() as session:
        for number, one in enumerate(made):
            environments.change(session, one, check_at=clock.wall - number)
        # What has ended is not looked at, whatever is said.
        environments.change(session, made[6], ended_at=clock.wall)
        environments.change(session, made[0], ended_at=clock.wall, check_at=1.0)
    with core.write() as session:
        assert [row.id for row in due(session, clock.wall, limit=3)] == [made[5], made[4], made[3]]
        first = due(session, None, limit=3)
        second = due(session, None, after=first[-1].id, limit=3)
        assert [row.id for row in (*first, *second)] == sorted(made[1:6])
        assert [row.check_at for row in due(session, clock.wall - 5)] == [clock.wall - 5]


def test_what_somebody_holds_is_left_and_the_next_is_taken(database: Database, core: Core, clock: HandClock) -> None:
    if database.is_sqlite:
        # Nobody else writes meanwhile, in any row.
        return
    one, two, three = make(core, 3)
    with core.write() as session:
        for at, made in enumerate((one, two, three)):
            environments.change(session, made, check_at=float(at))
    # Not `core.write()`, in which the two would take turns anyway.
    with database.write() as other, database.write() as reaper:
        assert [row.id for row in due(other, clock.wall, limit=1)] == [one]
        assert [row.id for row in due(reaper, clock.wall, limit=1)] == [two]
        assert [row.id for row in due(reaper, None, limit=1)] == [two]
        free = select(CheckRow.environment_id).with_for_update(skip_locked=True)
        assert list(other.scalars(free)) == [one, three]


def test_what_is_changed_meanwhile_is_looked_at_in_time(database: Database, core: Core, clock: HandClock) -> None:
    """An end that is brought nearer while the reaper decides: it is seen whole, or its time to be looked at stays."""
    if database.is_sqlite:
        return
    before, after = make(core, 2)
    with core.write() as session:
        for made in (before, after):
            environments.change(session, made, check_at=clock.wall, expires_at=clock.wall + 3600)
    nearer: dict[str, Any] = {"expires_at": clock.wall + 10, "check_at": clock.wall}
    with database.write() as other, database.write() as reaper:
        environments.change(other, before, **nearer)
        other.commit()
        seen = {row.id: row.expires_at - clock.wall for row in due(reaper, clock.wall)}
        assert seen == {before: 10.0, after: 3600.0}
        thread = threading.Thread(target=_change, args=(database, after, nearer))
        thread.start()
        while not _waits(database):
            time.sleep(0.02)
        remember(reaper, [(one_id, {"check_at": clock.wall + left}) for one_id, left in seen.items()])
        reaper.commit()
        thread.join()
    assert check_of(core, before).check_at == clock.wall + 10
    assert check_of(core, after).check_at == clock.wall, "and not an hour later"


def _change(database: Database, environment_id: str, values: dict[str, Any]) -> None:
    with database.write() as session:
        environments.change(session, environment_id, **values)


def _waits(database: Database) -> bool:
    """Whether somebody waits for what another holds."""
    with database.read() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def test_postgres_reads_what_is_due_and_never_all_that_live(database: Database, core: Core, clock: HandClock) -> None:
    """Also where it knows nothing yet of how many there are."""
    if database.is_sqlite:
        return
    with database.write() as session:
        # Nor is it to learn that by chance, from when there were three.
        for table in ("environments", "checks"):
            session.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
    make(core, 3)
    copy = "INSERT INTO environments SELECT (e).* FROM (SELECT jsonb_populate_record(e, jsonb_build_object("
    copy += "'id', lpad(n::text, 26, '0'), 'name', 'm' || n)) AS e FROM environments e, generate_series(1, 3000) n "
    copy += "WHERE e.name = 'e0') AS made"
    with database.write() as session:
        session.execute(text(copy))
        session.execute(text("INSERT INTO checks SELECT id, 1e12 FROM environments ON CONFLICT DO NOTHING"))
        session.execute(update(CheckRow).where(CheckRow.environment_id.like("%0")).values(check_at=1.0))
    read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'environments'"
    with database.write() as session:
        for _turn in range(7):
            # From the sixth time on, it plans without a look at what it is asked for.
            assert len(due(session, clock.wall, limit=100)) == 100
        # Seven times a hundred, and what a page of the index leads to besides; all that live are 21,021.
        assert 700 <= session.scalar(text(read)) < 1400
