# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane with many environments.

100,000 live environments, each of them with what a day's work leaves on its row; on SQLite, as on a laptop, and on a
Postgres of its own on this machine.

- **tick**: one round of the reaper when 500 of them are due and go on living: read, decided, recorded. By the clock,
  with whatever else this machine did; and the processor time of its process and the database's.
- **idle tick**: one when nothing is due, which is what nearly every round is.
- **events**: batches of 100 as an environment's agent tells them, from one thread, taken in.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import update

from fuelctl import paths
from fuelctl.environments import activity
from fuelctl.environments.core import Core
from fuelctl.serving.begin import settle
from fuelctl.store.events import NewEvent
from fuelctl.store.models import CheckRow
from fuelctl.store.secrets import Safe
from fuelctl.store.ulids import new_ulid
from fuelctl.workflows.reaper import Reaper
from tests.bench._harness import Figure, Group, table
from tests.bench._many import fill, on_postgres, on_sqlite, postgres_of, used

DUE = 500
TICKS = 11
BATCHES = 60
BATCH = 100


class _Idle:
    """The engine of a control plane that has nothing to do."""

    def running(self) -> list[str]:
        return []


def measure() -> Group:
    figures: list[Figure] = []
    rows: list[tuple[object, ...]] = []
    for name, database in (("sqlite", on_sqlite), ("postgres", on_postgres)):
        with database() as opened:
            core = Core(opened, Safe(paths.secret_key_file()))
            ids = fill(core)
            engine: Any = _Idle()
            reaper = Reaper(core, engine, 60)
            reaper.cycle()
            # As the process does whose reaper it is.
            settle()
            processors = [os.getpid(), *postgres_of(opened.url)]
            busy = [_timed(partial(_due, core, ids), reaper.cycle) * 1000 for _turn in range(TICKS)]
            costs = [_cost(processors, partial(_due, core, ids), reaper.cycle) * 1000 for _turn in range(TICKS)]
            idle = [_timed(lambda: None, reaper.cycle) * 1000 for _turn in range(TICKS)]
            told = [_timed(lambda: None, partial(_tell, core, ids[0])) for _turn in range(BATCHES)]
        rate = BATCH / statistics.median(told)
        figures += [
            Figure(f"reaper_tick_500_due_{name}_ms", statistics.median(busy), 50.0, "ms", TICKS),
            Figure(f"reaper_tick_500_due_{name}_processor_ms", statistics.mean(costs), 50.0, "ms", TICKS),
            Figure(f"reaper_idle_tick_{name}_ms", statistics.median(idle), 5.0, "ms", TICKS),
            Figure(f"events_taken_in_{name}_per_s", rate, 5000.0, "/s", BATCHES, better="higher"),
        ]
        rows.append(
            (
                name,
                *(f"{value:.1f}" for value in (statistics.median(busy), max(busy))),
                f"{statistics.mean(costs):.1f}",
                f"{max(idle):.1f}",
                f"{rate:.0f}",
            )
        )
    heads = (
        "database",
        "tick with 500 due, median ms",
        "slowest",
        "processor ms",
        "slowest idle tick",
        "events a second",
    )
    return Group(figures=figures, details=table(heads, rows))


def _due(core: Core, ids: list[str]) -> None:
    with core.write() as session:
        some = ids[:: len(ids) // DUE][:DUE]
        session.execute(update(CheckRow).where(CheckRow.environment_id.in_(some)).values(check_at=0.0))


def _tell(core: Core, environment_id: str) -> None:
    now = core.clock().wall
    told = [NewEvent("tool.end", {"session": "s", "tool": "Bash"}, now, new_ulid(now)) for _each in range(BATCH)]
    with core.write(durable=False) as session:
        activity.take_in(core, session, environment_id, told)


def _cost(processors: list[int], prepare: Callable[[], object], work: Callable[[], object]) -> float:
    """Processor seconds of these processes, however long others kept them from it."""
    prepare()
    before = used(processors)
    work()
    return used(processors) - before


def _timed(prepare: Callable[[], object], work: Callable[[], object]) -> float:
    prepare()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
