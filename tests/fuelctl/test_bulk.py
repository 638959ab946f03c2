# SPDX-License-Identifier: GPL-3.0-or-later
"""Many rows by one statement: the same as one after the other, whatever is in them; on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from fuelctl.environments import registry
from fuelctl.environments.core import Core
from fuelctl.store import bulk
from fuelctl.store.database import Database
from fuelctl.store.models import EnvironmentRow, EventRow
from tests.fuelctl import databases
from tests.fuelctl.control import wanted

_TABLES = EnvironmentRow.metadata.tables
_LOG, _TABLE = _TABLES[EventRow.__tablename__], _TABLES[EnvironmentRow.__tablename__]
#: What hostile programs name their sessions, and what would break an array, a line, or a document out of its place.
ODD: list[Any] = ["\x00", "\ud800", 'a"b\\', "null", "{a,b}", "line\nbreak\r", "\x1f", "'); DROP TABLE events; --"]
ODD += [None, {}]


@pytest.fixture(params=databases.KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from databases.of_kind(request)


def test_whatever_is_in_a_document_arrives_as_it_is(core: Core) -> None:
    one = registry.create(core, wanted()).id
    rows = [
        {"id": f"{number:026d}", "environment_id": one, "at": number, "type": "tool.end", "data": {"odd": odd}}
        for number, odd in enumerate(ODD)
    ]
    # Whole seconds and parts of them side by side.
    rows[1]["at"] = 1.5
    with core.write() as session:
        assert bulk.insert_new(session, _LOG, rows, ("environment_id", "id")) == len(rows)
        assert bulk.insert_new(session, _LOG, rows[:3], ("environment_id", "id")) == 0
        more = [*rows, {**rows[0], "id": "Z" * 26}]
        assert bulk.insert_new(session, _LOG, more, ("environment_id", "id")) == 1
        assert bulk.insert_new(session, _LOG, [], ("environment_id", "id")) == 0
    with core.database.read() as session:
        query = select(_LOG.c.data, _LOG.c.at).where(_LOG.c.type == "tool.end").order_by(_LOG.c.seq)
        found = [tuple(row) for row in session.execute(query)]
    assert [data["odd"] for data, _at in found] == [*ODD, ODD[0]], "in their order"
    assert [at for _data, at in found] == [0, 1.5, *range(2, len(ODD)), 0]


def test_each_row_gets_its_own_values_and_no_other_row_any(core: Core) -> None:
    made = [registry.create(core, wanted()).id for _turn in range(4)]
    with core.database.read() as session:
        untouched = session.execute(select(_TABLE).where(_TABLE.c.id == made[3])).one()
    rows: list[dict[str, Any]] = [
        {"id": one, "ready_at": at, "error": error, "ended_by": by}
        for one, at, error, by in zip(
            made, (1, 2.5, None), ({"a": ODD[:3]}, None, {}), ("x", None, "{y}"), strict=False
        )
    ]
    with core.write() as session:
        bulk.update_rows(session, _TABLE, rows)
        bulk.update_rows(session, _TABLE, [])
    with core.database.read() as session:
        columns = (_TABLE.c.id, _TABLE.c.ready_at, _TABLE.c.error, _TABLE.c.ended_by)
        found = {row.id: dict(row._mapping) for row in session.execute(select(*columns))}
        assert [found[one] for one in made[:3]] == rows
        absent = select(_TABLE.c.id).where(_TABLE.c.error.is_(None))
        assert set(session.scalars(absent)) == {made[1], made[3]}, "what is absent is SQL's NULL"
        assert session.execute(select(_TABLE).where(_TABLE.c.id == made[3])).one() == untouched
