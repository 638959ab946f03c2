# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker's threads hold on to when something fails beside them, without a database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dbos import DBOS

from fuelctl import _run_files
from fuelctl._lifelines import Lifelines
from fuelctl.store import workers
from fuelctl.workflows import key_folder
from fuelctl.workflows.engine import Engine
from fuelctl.workflows.life import Life
from fuelctl.workflows.run import Plant


class Session:
    """A connection to nowhere."""

    def invalidate(self) -> None:
        """As SQLAlchemy's."""

    def close(self) -> None:
        """As SQLAlchemy's."""


def test_whoever_is_silent_has_stopped_when_others_take_up_its_work() -> None:
    # Tests with real workers have times of their own (team_lab.py), in the same order.
    assert workers.LOST_AFTER < workers.PULSE < workers.DEAD_AFTER


def test_whoever_looks_after_others_does_so_again_whatever_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life("postgresql+psycopg://nobody@/nothing", {})
    monkeypatch.setattr(Life, "_connect", lambda _self: Session())
    monkeypatch.setattr("fuelctl.workflows.life._BEAT_EVERY", 0.01)
    monkeypatch.setattr(workers, "bury_the_dead", lambda _connection, _mine: [])
    again = threading.Event()
    failures = [RuntimeError("a mistake of the engine's")]

    def take_up(_living: Callable[[], Sequence[str]]) -> None:
        if failures:
            raise failures.pop()
        again.set()

    life.look_after_others(take_up)
    assert again.wait(240)
    life._draining.set()


def test_a_worker_that_begins_meanwhile_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    living = ["old"]
    recovered: list[str] = []

    def under_way(**_how: Any) -> list[SimpleNamespace]:
        # While it was looked, another one came, and has work already.
        living.append("new")
        return [SimpleNamespace(executor_id=one) for one in ("old", "new", "dead")]

    monkeypatch.setattr(DBOS, "list_workflows", under_way)
    monkeypatch.setattr(DBOS, "_recover_pending_workflows", recovered.extend)
    Engine.take_up(object.__new__(Engine), lambda: list(living))
    assert recovered == ["dead"]


def test_nothing_is_recorded_by_who_was_silent_for_as_long_as_playbooks_live(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("fuelctl._lifelines.time.monotonic", lambda: now[0])
    core: Any = SimpleNamespace()
    lifelines = Lifelines(9.0)
    plant = Plant(core, lifelines=lifelines)
    assert not plant.is_over()
    now[0] += 9.5
    assert plant.is_over()
    lifelines.beat()
    assert not plant.is_over()
    plant.parking.set()
    assert plant.is_over()


def test_what_a_process_leaves_without_unwinding_goes_and_no_key_is_taken_for_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_run_files, "_memory", lambda: tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    gone: list[str] = []
    files: Any = SimpleNamespace(
        is_folder=False, read_below=lambda _prefixes: {"keys/X/id_ed25519": b"k"}, delete=gone.append
    )
    with key_folder.at_hand(files, ["X"]) as keys:
        (folder,) = (tmp_path / "memory").iterdir()
        assert (keys.path / "X" / "id_ed25519").read_bytes() == b"k"
        _run_files.leave_nothing()
        assert not list((tmp_path / "memory").iterdir()), folder
        assert not keys.path.exists()
    assert gone == []
    _run_files.leave_nothing(30.0)
