# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to the database, its transactions, and its migrations."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from fuelctl import paths
from fuelctl._shared._errors import FuelError

_MIGRATIONS = Path(__file__).with_name("migrations")
#: How every SQLite file begins.
_SQLITE = b"SQLite format 3\0"
_BUSY_MILLISECONDS = 30_000
#: A Postgres that went away without a word is noticed within seconds: nobody waits for its answer for hours.
ALIVE: dict[str, str | int] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
#: Seconds after which a process that holds a transaction open and says nothing loses it, and its locks: one that was
#: stopped between two statements would have everybody else wait for as long as it sleeps. None of ours waits in one.
IDLE_TRANSACTION = 10.0
#: Seconds between two tries for the migration lock.
_ASK_EVERY = 0.1
_MIGRATION_LOCK = 0x66_75_65_6C  # any number that nobody else on a team's Postgres uses


def sqlite_url(file: Path) -> str:
    """The URL of an SQLite database in `file`."""
    return f"sqlite:///{file}"


def check_file(file: Path) -> None:
    """FuelError when `file` is there and is no SQLite database."""
    try:
        with file.open("rb") as opened:
            head = opened.read(len(_SQLITE))
    except FileNotFoundError:
        return
    except OSError as error:
        raise paths.storage_error(error, file) from error
    if head and head != _SQLITE:
        raise FuelError(
            "it is not a database: it is damaged, or something else was written there",
            hint="put a copy back; or move it away, and what it knew of environments is not known any more",
            where=str(file),
            code="database_unusable",
        )


class Database:
    """One database; every transaction says beforehand whether it writes.

    SQLite: a write begins with BEGIN IMMEDIATE, so it waits its turn at the start and never fails half-way with
    SQLITE_BUSY; WAL lets readers go on meanwhile. Intents are on the disk when a write returns (synchronous=FULL);
    only what may be lost with the machine's power (output, heartbeats) asks for `durable=False`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        arguments: dict[str, Any] = {"timeout": _BUSY_MILLISECONDS / 1000} if self.is_sqlite else dict(ALIVE)
        self.engine: Engine = create_engine(
            url, connect_args=arguments, pool_size=16, max_overflow=64, pool_pre_ping=not self.is_sqlite
        )
        if self.is_sqlite:
            event.listen(self.engine, "connect", _on_sqlite_connect)
            event.listen(self.engine, "begin", _on_sqlite_begin)
        else:
            event.listen(self.engine, "connect", _on_postgres_connect)
        # Made once: each of them costs more than a statement.
        self._engines = {(True, kind): self._engine(write=True, durable=kind) for kind in (True, False)}
        self._engines[False, True] = self._engine(write=False, durable=True)

    def _engine(self, *, write: bool, durable: bool) -> Engine:
        more: dict[str, Any] = {}
        if not write and not self.is_sqlite:
            # Each statement sees what there is when it begins, in a transaction or not; to begin one and to end it
            # would be two round trips more for every request.
            more["isolation_level"] = "AUTOCOMMIT"
        return self.engine.execution_options(fuel_write=write, fuel_durable=durable, **more)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Nothing is written. On SQLite all of it is of one moment, on Postgres each statement by itself."""
        with self._session(write=False, durable=True) as session:
            yield session

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """For a statement that reads, by itself: on Postgres no transaction is begun and ended around it."""
        with self.engine.connect() as connection:
            yield connection if self.is_sqlite else connection.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Session]:
        """One transaction: committed as a whole when the block ends, undone when it raises."""
        with self._session(write=True, durable=durable) as session, session.begin():
            if not durable and not self.is_sqlite:
                session.execute(text("SET LOCAL synchronous_commit TO OFF"))
            yield session

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def unusable(self, error: SQLAlchemyError) -> FuelError:
        """The one line for a database that cannot be used."""
        return _unusable(self.url, error)

    def migrate(self) -> None:
        """Bring the schema up to date; one process at a time, the others wait and find it done."""
        with _as_fuel_error(self.url), self.migration_lock(), self.engine.connect() as connection:
            _upgrade(connection)

    @contextmanager
    def _session(self, *, write: bool, durable: bool) -> Iterator[Session]:
        with Session(self._engines[write, durable], expire_on_commit=False) as session:
            yield session

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        """Held by the one process that changes the schema."""
        if not self.is_sqlite:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                # In no transaction, and not waiting in a statement either: an index that is built beside other work
                # waits for everybody who is in one, so that it and who waits for the lock would wait for each other.
                while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _MIGRATION_LOCK}):
                    time.sleep(_ASK_EVERY)
                try:
                    yield
                finally:
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
            return
        file = Path(make_url(self.url).database or "")
        paths.private_folder(file.parent)
        descriptor = os.open(file.with_suffix(".migrate.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Made here, so that it is never readable by others, not even for the moment until a chmod.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            yield
        finally:
            os.close(descriptor)


def now_of(session: Session) -> float:
    """Epoch seconds by the clock that all processes of this control plane share: the database's, where it has one."""
    if session.get_bind().dialect.name != "postgresql":
        return time.time()
    return float(session.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _on_sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver's own idea of when to begin is switched off: `_on_sqlite_begin` decides.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", f"busy_timeout={_BUSY_MILLISECONDS}"):
        connection.execute(f"PRAGMA {pragma}")


def _on_postgres_connect(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = {round(IDLE_TRANSACTION * 1000)}")
    # Or the pool would undo it when it takes the connection back.
    connection.commit()


def _on_sqlite_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options.get('fuel_durable', True) else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("fuel_write") else "BEGIN")


@contextmanager
def _as_fuel_error(url: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise paths.storage_error(error, Path(make_url(url).database or "database")) from error
    except OperationalError as error:
        raise _unusable(url, error) from error


def _unusable(url: str, error: SQLAlchemyError) -> FuelError:
    shown = make_url(url).render_as_string(hide_password=True)
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    hint = "check that its folder can be written and that the disk is not full"
    said = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
    return FuelError(
        f"cannot use the database: {said[0]}",
        hint=hint if is_sqlite else "check that it runs there, and lets this user in",
        where=shown,
        code="database_unusable",
    )
