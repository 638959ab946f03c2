# SPDX-License-Identifier: GPL-3.0-or-later
"""A piece of work that one process of all on a database does at a time: whoever holds its lease.

The lease is a session's advisory lock: it ends with the session, however that ends, and nobody has to judge by a clock
whether its holder lives. The row beside it says who that is and when it last said so, for people and monitoring.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress
from typing import Any

import psycopg

from fuelctl.store.database import Database
from fuelctl.store.models import SettingRow
from fuelctl.store.notices import in_a_line, session

_logger = logging.getLogger(__name__)
_SETTING = "lease:"


class Lease:
    """The lease of work `name`; `key` is its number among advisory locks."""

    def __init__(self, database: Database, name: str, key: int, instance: str) -> None:
        self._database = database
        self._name = name
        self._key = key
        self._instance = instance
        self._session: psycopg.Connection[Any] | None = None

    def take(self) -> bool:
        """Whether it is ours now; what does not answer is not."""
        if self._session is not None:
            return self.held()
        try:
            own = session(self._database.url)
            row = own.execute("SELECT pg_try_advisory_lock(%s)", (self._key,)).fetchone()
        except psycopg.Error as error:
            _logger.warning("lease %s: %s", self._name, in_a_line(error))
            return False
        if row is None or not row[0]:
            own.close()
            return False
        self._session = own
        return True

    def held(self) -> bool:
        """Whether it is ours still: the session that has the lock is asked. Once lost, it has to be taken again."""
        if self._session is None:
            return False
        try:
            self._session.execute("SELECT 1")
        except psycopg.Error as error:
            _logger.warning("lease %s is lost: %s", self._name, in_a_line(error))
            self.release()
            return False
        return True

    def beat(self, at: float) -> bool:
        """As `held`, and write down that it is (`at`: epoch seconds)."""
        if not self.held():
            return False
        value = {"instance": self._instance, "host": socket.gethostname(), "pid": os.getpid(), "at": at}
        with self._database.write(durable=False) as transaction:
            transaction.merge(SettingRow(name=f"{_SETTING}{self._name}", value=value))
        return True

    def release(self) -> None:
        """Give it back; harmless when it is not ours."""
        own, self._session = self._session, None
        if own is not None:
            with suppress(psycopg.Error):
                own.close()


def holder(database: Database, name: str) -> dict[str, Any]:
    """What the last holder of lease `name` wrote: `{instance, host, pid, at}`; empty when there was none."""
    with database.read() as transaction:
        row = transaction.get(SettingRow, f"{_SETTING}{name}")
        return dict(row.value) if row is not None else {}
