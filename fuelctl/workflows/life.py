# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's life on a team's Postgres: its lock, its beat, and a look at the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from fuelctl._lifelines import Lifelines
from fuelctl.store import workers

_logger = logging.getLogger(__name__)
_BEAT_EVERY = 1.0
_CONNECT_SECONDS = 5
_NAME = "fuelctl-worker"
#: Nothing that is asked here takes long; whoever is asked and does not answer is cut off.
_OPTIONS = "-c statement_timeout=4000 -c lock_timeout=4000"


#: `take_up(living)`: have everything done again that is in the hands of nobody whom `living()` names. It is to be asked
#: after what is under way: whoever began in between would be taken for dead.
TakeUp = Callable[[Callable[[], Sequence[str]]], None]


class Life:
    """Begun before any work is taken; `lost` when it is not sure any more that nobody has taken over.

    One session holds the worker's lock and does nothing but beat, so that no slow statement is taken for a silence.
    Another one looks after those who died.
    """

    def __init__(self, url: str, facts: dict[str, str | int]) -> None:
        """`facts`: as `workers.enter` has them."""
        self._url = url
        self._facts = facts
        self._last = 0.0
        self._gone = threading.Event()
        self._ended = threading.Event()
        self._draining = threading.Event()
        self._looker: threading.Thread | None = None
        self._mine: Connection | None = None
        self._number = 0
        self.lifelines = Lifelines(workers.PULSE)

    @property
    def lost(self) -> bool:
        """Whether it has to stop at once: others may be at work in its place."""
        return self._gone.is_set() or time.monotonic() - self._last > workers.LOST_AFTER

    def begin(self) -> None:
        """Take the lock. SQLAlchemyError when the database does not answer."""
        self._mine = self._connect()
        self._number = workers.enter(self._mine, self._facts)
        self._last = time.monotonic()
        threading.Thread(target=self._beat, name="worker-beat", daemon=True).start()

    def look_after_others(self, take_up: TakeUp) -> None:
        """From now on, once a second; work can be taken up."""
        self._looker = threading.Thread(target=self._look, args=(take_up,), name="worker-look", daemon=True)
        self._looker.start()

    def drain(self) -> None:
        """Say that nothing more is taken, and look after nobody any more: the engine is about to be let go of."""
        self._draining.set()
        if self._looker is not None:
            self._looker.join(_CONNECT_SECONDS)
        self._say(workers.drain)

    def end(self) -> None:
        """In order: what is left is anybody's at once."""
        self._ended.set()
        self._say(workers.leave)

    def _say(self, word: Callable[[Connection, int], None]) -> None:
        try:
            with self._connect() as connection:
                word(connection, self._number)
        except SQLAlchemyError as error:
            _logger.warning("the database was not told of the end of this worker: %s", _line(error))

    def _beat(self) -> None:
        while not self._ended.is_set():
            try:
                if self._mine is None or not workers.beat(self._mine, self._number):
                    _logger.error("others have taken this worker for dead")
                    break
            except SQLAlchemyError as error:
                _logger.error("the connection to the database is lost: %s", _line(error))
                break
            self._last = time.monotonic()
            self.lifelines.beat()
            self._ended.wait(_BEAT_EVERY)
        else:
            return
        self._gone.set()

    def _look(self, take_up: TakeUp) -> None:
        connection: Connection | None = None
        while not self._draining.is_set():
            try:
                connection = connection or self._connect()
                for one in workers.bury_the_dead(connection, self._number):
                    _logger.warning("worker %s is dead; its work is taken up", one)
                take_up(partial(workers.living, connection))
            except SQLAlchemyError as error:
                # The beat says whether this worker has to end; here it is only tried again.
                _logger.warning("cannot look after the other workers: %s", _line(error))
                _let_go(connection)
                connection = None
            except Exception:
                # Whatever it was: nobody else may be there to take up what the dead have left.
                _logger.exception("cannot look after the other workers")
                _let_go(connection)
                connection = None
            self._draining.wait(_BEAT_EVERY)

    def _connect(self) -> Connection:
        engine = create_engine(
            self._url,
            poolclass=NullPool,
            connect_args={
                "connect_timeout": _CONNECT_SECONDS,
                "options": _OPTIONS,
                "application_name": _NAME,
            },
        )
        return engine.connect()


def _let_go(connection: Connection | None) -> None:
    if connection is not None:
        with suppress(SQLAlchemyError):
            connection.invalidate()
            connection.close()


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
