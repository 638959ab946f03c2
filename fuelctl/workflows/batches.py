# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are wanted at about the same time, at one place, put together into one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Member = TypeVar("Member")
Outcome = TypeVar("Outcome")
_WINDOW = 0.4
_MOST = 50
_TICK = 0.25


@dataclass
class _Batch(Generic[Member, Outcome]):
    members: dict[str, Member] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    full: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


class Batches(Generic[Member, Outcome]):
    """Of those that come together, the first one does the work for all, and each gets its own outcome.

    Nothing of it is remembered: each is a part of its own workflow, which is done again by itself after a crash.
    """

    def __init__(self, window: float = _WINDOW, most: int = _MOST) -> None:
        """`window`: seconds for which the first one waits for others. `most`: in one, which then begins at once."""
        self._window = window
        self._most = most
        self._open: dict[str, _Batch[Member, Outcome]] = {}
        self._lock = threading.Lock()

    def join(
        self,
        place: str,
        name: str,
        member: Member,
        do: Callable[[dict[str, Member]], dict[str, Outcome]],
        should_stop: Callable[[], bool],
    ) -> Outcome | None:
        """The outcome for `name`; None when there is none, and it is to be done alone."""
        with self._lock:
            batch = self._open.get(place)
            first = batch is None or name in batch.members
            if first or batch is None:
                batch = self._open[place] = _Batch()
            batch.members[name] = member
            if len(batch.members) >= self._most:
                del self._open[place]
                batch.full.set()
        if not first:
            while not batch.done.wait(_TICK):
                if should_stop():
                    return None
            return batch.outcomes.get(name)
        try:
            batch.full.wait(self._window)
            with self._lock:
                if self._open.get(place) is batch:
                    del self._open[place]
            if len(batch.members) > 1:
                batch.outcomes = do(batch.members)
        finally:
            batch.done.set()
        return batch.outcomes.get(name)
