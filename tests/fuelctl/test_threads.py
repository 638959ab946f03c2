# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that take requests: as many as are needed, no more than may be, and none that waits behind a slow one."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from fuelctl.serving.threads import Threads

_PATIENCE = 240.0


def _begin_and_wait(begun: threading.Event, go: threading.Event) -> None:
    begun.set()
    go.wait(_PATIENCE)


def test_nobody_waits_behind_who_takes_long_while_there_may_be_more() -> None:
    threads = Threads(8)
    for turn in range(50):
        go = threading.Event()
        # However soon one after the other: whoever is just about to take the first is not counted on for the second.
        done = threading.Semaphore(0)
        blocked = [threading.Event() for _each in range(3)]
        for each in blocked:
            threads.do(partial(_begin_and_wait, each, go))
        for _quick in range(4):
            threads.do(done.release)
        for each in blocked:
            assert each.wait(_PATIENCE), turn
        for _quick in range(4):
            assert done.acquire(timeout=_PATIENCE), turn
        go.set()
    assert threads._count <= 8
    threads.shutdown()


def test_what_is_too_much_is_done_afterwards_and_in_order() -> None:
    threads, go = Threads(1), threading.Event()
    told: list[int] = []
    over = threading.Event()
    threads.do(lambda: go.wait(_PATIENCE))
    for number in range(20):
        threads.do(partial(told.append, number))
    threads.do(over.set)
    assert told == []
    go.set()
    assert over.wait(_PATIENCE)
    assert told == list(range(20))
    assert threads._count == 1
    threads.shutdown()


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_one_that_fails_is_not_the_last(caplog: pytest.LogCaptureFixture, error: type[BaseException]) -> None:
    threads, over = Threads(1), threading.Event()

    def fail() -> None:
        raise error("of this request")

    threads.do(fail)
    threads.do(over.set)
    assert over.wait(_PATIENCE)
    assert "of this request" in caplog.text
    threads.shutdown()


def test_they_end() -> None:
    threads, over = Threads(3), threading.Event()
    mine: list[threading.Thread] = []
    threads.do(lambda: (mine.append(threading.current_thread()), over.set()))
    assert over.wait(_PATIENCE)
    threads.shutdown()
    mine[0].join(_PATIENCE)
    assert not mine[0].is_alive()
