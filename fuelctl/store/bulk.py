# SPDX-License-Identifier: GPL-3.0-or-later
"""Many rows by one statement: on Postgres a round trip for each, and its parsing, would be most of the work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    Table,
    TableValuedAlias,
    Text,
    bindparam,
    column,
    func,
    select,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import Update

Row = dict[str, Any]
_dumps = json.JSONEncoder(separators=(",", ":")).encode


def update_rows(session: Session, table: Table, rows: Sequence[Row], key: str = "id") -> None:
    """Set, of each row by its `key`, the other columns that it names; a statement for those that name the same ones."""
    alike: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault(tuple(sorted(row)), []).append(row)
    for names, some in alike.items():
        if len(names) > 1:
            _update_alike(session, table, names, some, key)


def _update_alike(session: Session, table: Table, names: tuple[str, ...], rows: Sequence[Row], key: str) -> None:
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(_update(table, names, key), _columns(table, names, rows))
        return
    changed = {name: bindparam(_bind(name), type_=table.c[name].type) for name in names if name != key}
    statement = update(table).where(table.c[key] == bindparam(_bind(key))).values(changed)
    connection.execute(statement, [{_bind(name): value for name, value in row.items()} for row in rows])


def insert_new(session: Session, table: Table, rows: Sequence[Row], unique: tuple[str, ...]) -> int:
    """Insert, in their order, the rows that are not there yet by the columns `unique`; how many were new."""
    if not rows:
        return 0
    connection = session.connection()
    names = tuple(rows[0])
    if connection.dialect.name == "postgresql":
        statement = _insert(table, names, unique)
        done = connection.execute(
            statement, _columns(table, names, rows), execution_options={"preserve_rowcount": True}
        )
        return done.rowcount
    known = sqlite.insert(table).on_conflict_do_nothing(index_elements=list(unique))
    return connection.execute(known, list(rows)).rowcount


def _bind(name: str) -> str:
    """What a column's new value is called in a statement."""
    return f"new_{name}"


def _columns(table: Table, names: tuple[str, ...], rows: Sequence[Row]) -> dict[str, Any]:
    """The rows as arrays; documents as lines of one text, for an array of them is quoted character by character."""
    found: dict[str, Any] = {}
    for name in names:
        values = [row[name] for row in rows]
        if isinstance(table.c[name].type, JSON):
            # A line break within one is written as `\\n`, and what is absent as `null`, which is then SQL's.
            found[_bind(name)] = "\n".join(map(_dumps, values))
            continue
        # All of one type, as an array wants them: an integer is a time too, and a status is a word.
        convert = table.c[name].type.python_type
        found[_bind(name)] = [None if value is None else convert(value) for value in values]
    return found


@lru_cache(64)
def _update(table: Table, names: tuple[str, ...], key: str) -> Update:
    given = _given(table, names)
    return update(table).where(table.c[key] == given.c[key]).values({n: given.c[n] for n in names if n != key})


@lru_cache(64)
def _insert(table: Table, names: tuple[str, ...], unique: tuple[str, ...]) -> Insert:
    given = _given(table, names)
    rows = select(*(given.c[name] for name in names)).order_by(given.c.place)
    return postgresql.insert(table).from_select(names, rows).on_conflict_do_nothing(index_elements=list(unique))


def _given(table: Table, names: tuple[str, ...]) -> TableValuedAlias:
    """The arrays as a table."""
    arrays: list[ColumnElement[Any]] = []
    for name in names:
        type_ = table.c[name].type
        if isinstance(type_, JSON):
            lines = func.string_to_array(bindparam(_bind(name), type_=Text()), func.chr(10), "null")
            arrays.append(sql_cast(lines, ARRAY(JSON())))
        else:
            arrays.append(sql_cast(bindparam(_bind(name), type_=ARRAY(type_)), ARRAY(type_)))
    columns = (column(name, table.c[name].type) for name in names)
    return func.unnest(*arrays).table_valued(*columns, with_ordinality="place").render_derived(name="given")
