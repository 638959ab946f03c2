# SPDX-License-Identifier: GPL-3.0-or-later
"""Word between the processes of one Postgres: LISTEN and NOTIFY. On SQLite there is one process, and nobody to tell.

A notice says that there is something to look at, never what: one that is lost costs its reader a second, for every
reader looks by itself as well.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from fuelctl.store.database import ALIVE

_logger = logging.getLogger(__name__)
_AGAIN = 1.0
#: A session's connection that is dead is noticed within seconds, on either side of it.
_KEEPALIVES: dict[str, str | int] = {
    **ALIVE,
    "options": "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=10000",
}


def session(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A session of one's own on the Postgres at `url` (SQLAlchemy's), in which each statement is a transaction."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(make_conninfo(plain, **_KEEPALIVES), autocommit=True)


def in_a_line(error: psycopg.Error) -> str:
    """What the database says, for the log."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class Channel(StrEnum):
    """What there is word of."""

    #: Something was appended to the event log.
    EVENTS = "fuel_events"
    #: Somebody wants the reaper to go round now.
    REAPER = "fuel_reaper"
    #: Somebody wants the machines to be asked soon.
    OBSERVER = "fuel_observer"


def tell(transaction: Session, channel: Channel) -> None:
    """With the commit of this transaction, tell everybody else; several times in one transaction are once."""
    if transaction.get_bind().dialect.name == "postgresql":
        transaction.execute(select(func.pg_notify(str(channel), "")))


class Listener:
    """Calls what belongs to a channel when there is word on it, from a thread of its own."""

    def __init__(self, url: str, calls: Mapping[Channel, Callable[[], object]]) -> None:
        self._url = url
        self._calls = dict(calls)
        self._stopped = threading.Event()

    def start(self) -> None:
        """Listen from now on, again and again, whatever becomes of the connection."""
        threading.Thread(target=self._run, name="listener", daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except psycopg.Error as error:
                _logger.warning("no word from the database: %s", in_a_line(error))
                self._stopped.wait(_AGAIN)
            except Exception:
                # Whoever was called failed; the next word is heard all the same.
                _logger.exception("a word from the database led to nothing")
                self._stopped.wait(_AGAIN)

    def _listen(self) -> None:
        with session(self._url) as connection:
            for channel in self._calls:
                connection.execute(f"LISTEN {channel.value}")
            # What there was word of while nobody listened.
            for call in self._calls.values():
                call()
            while not self._stopped.is_set():
                for notice in connection.notifies(timeout=_AGAIN):
                    self._calls[Channel(notice.channel)]()
