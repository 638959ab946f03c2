# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a cloud is called upon: a limit of our own that stands before the one of its API.

One row for each place (provider, region, account), shared by all workers: when the next run may begin there. A run
takes its turn by moving that on, in one statement, and waits until it has come.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import func, literal, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fuelctl.environments.core import Core
from fuelctl.store.database import now_of
from fuelctl.store.models import TurnRow

_TICK = 0.1


def take_turn(core: Core, place: str, per_minute: float, burst: int) -> float:
    """Seconds to wait until a run may begin at `place`: at most `burst` at once, `per_minute` for long."""
    interval = 60.0 / per_minute
    with core.database.write(durable=False) as session:
        now = now_of(session)
        _have_row(session, place)
        latest = func.greatest if session.get_bind().dialect.name == "postgresql" else func.max
        # Of turns that nobody took, no more than a burst is left.
        mine = latest(TurnRow.next_at, literal(now - (burst - 1) * interval))
        taken = session.execute(
            update(TurnRow).where(TurnRow.place == place).values(next_at=mine + interval).returning(TurnRow.next_at)
        ).scalar_one()
    return max(0.0, float(taken) - interval - now)


def wait(seconds: float, should_stop: Callable[[], bool]) -> bool:
    """Whether the time has gone by without `should_stop`."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if should_stop():
            return False
        time.sleep(min(left, _TICK))
    return True


def _have_row(session: Session, place: str) -> None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(TurnRow).values(place=place, next_at=0.0).on_conflict_do_nothing())
