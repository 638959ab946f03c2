# SPDX-License-Identifier: GPL-3.0-or-later
"""One question to the database for many who want to know the same kind of thing at the same time.

Nothing is remembered: a statement answers those that asked before it began, and nobody else. So an answer is as fresh
as if each had asked alone, in every process; the busier it is, the more of them share one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass
class _Round(Generic[Key, Value]):
    keys: set[Key] = field(default_factory=set)
    #: None until it was read, and when that failed.
    answers: dict[Key, Value] | None = None
    #: Why it was not read.
    failure: Exception | None = None
    over: threading.Event = field(default_factory=threading.Event)


class Together(Generic[Key, Value]):
    """`ask` from any thread; `read` gives the answers of several keys, and is called by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: _Round[Key, Value] | None = None

    def ask(self, key: Key, read: Callable[[Set[Key]], dict[Key, Value]]) -> Value | None:
        """The answer of a call of `read` that begins after this; None where it gives none.

        Where whoever read for all of them failed, they ask once more, together again: a database that has just come
        back is not asked by everybody at once. The second failure is everybody's.
        """
        for again in (True, False):
            with self._lock:
                mine, leads = self._waiting, self._waiting is None
                if mine is None:
                    mine = self._waiting = _Round()
                mine.keys.add(key)
            if leads:
                self._lead(mine, read)
            else:
                mine.over.wait()
            if mine.answers is not None:
                return mine.answers.get(key)
            if mine.failure is not None and not again:
                raise mine.failure
        # Whoever read was ended in the middle of it, twice: that says nothing of the question.
        return read({key}).get(key)

    def _lead(self, mine: _Round[Key, Value], read: Callable[[Set[Key]], dict[Key, Value]]) -> None:
        try:
            with self._turn:
                # While this waited for its turn, others came in; whoever comes from here on is too late for it.
                self._close(mine)
                mine.answers = read(mine.keys)
        except Exception as error:
            mine.failure = error
            raise
        finally:
            self._close(mine)
            mine.over.set()

    def _close(self, mine: _Round[Key, Value]) -> None:
        with self._lock:
            if self._waiting is mine:
                self._waiting = None
