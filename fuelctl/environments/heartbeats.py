# SPDX-License-Identifier: GPL-3.0-or-later
"""Heartbeats: what machines tell of the work in them by themselves, taken in as a look of the observer's is.

They come often and from everywhere, so they are gathered, and written once a second for all environments together, by
whoever comes first after that. What is gathered when a process dies is lost, and the next heartbeat says it again.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from fuelctl._shared._errors import FuelError
from fuelctl.environments import idle_work, idleness
from fuelctl.environments.clock import Now
from fuelctl.environments.core import Core
from fuelctl.environments.states import ENTERABLE
from fuelctl.store import events
from fuelctl.store.living import Living, living, marks, write

_logger = logging.getLogger(__name__)
#: Environments in one transaction: while it lasts, nothing else is logged.
_AT_ONCE = 250
#: When it was heard, epoch seconds, and the latest sample that came.
_Told = tuple[float, dict[str, Any] | None]


@dataclass
class Heartbeats:
    """`take` as they come; `flush` writes. `period`: seconds between two looks of the observer."""

    period: float = 60.0
    pause: float = 1.0
    _gathered: dict[str, _Told] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _flushed: float = -math.inf
    _rest: threading.Timer | None = None

    def take(self, core: Core, environment_id: str, sample: dict[str, Any] | None) -> None:
        """One has come, with a sample as `_activity.parse_sample` has it, or with none."""
        heard = core.clock().wall
        with self._lock:
            _heard, earlier = self._gathered.get(environment_id, (heard, None))
            if sample is None or not idleness.is_news(earlier, sample, asked=False):
                sample = earlier
            self._gathered[environment_id] = (max(heard, _heard), sample)
            since = time.monotonic() - self._flushed
            if since < self.pause:
                if self._rest is None:
                    # In case nobody comes any more.
                    self._rest = threading.Timer(self.pause - since, self._flush_rest, [core])
                    self._rest.daemon = True
                    self._rest.start()
                return
            self._flushed = time.monotonic()
        self.flush(core)

    def flush(self, core: Core) -> int:
        """Write what was gathered; of how many environments."""
        # One at a time: who comes while a large one is written has more to write afterwards.
        with self._writing:
            with self._lock:
                gathered, self._gathered = self._gathered, {}
            ids = sorted(gathered)
            parts = [ids[begin : begin + _AT_ONCE] for begin in range(0, len(ids), _AT_ONCE)]
            written, failure = 0, None
            for part in parts:
                try:
                    written += self._write(core, {one_id: gathered[one_id] for one_id in part})
                except (FuelError, SQLAlchemyError) as error:
                    # The others are written all the same.
                    failure = error
            if failure is not None:
                raise failure
            return written

    def _write(self, core: Core, told: dict[str, _Told]) -> int:
        """What is written is worked out before others are kept from writing, anew where a row was changed meanwhile."""
        now = core.clock()
        with core.database.read() as session:
            rows = living(session, told)
        changes = {row.id: self._changes(row, told[row.id][1], now) for row in rows.values()}
        with core.write(durable=False) as session:
            known = marks(session, told)
            overtaken = [one_id for one_id, mark in known.items() if mark.version != _version(rows.get(one_id))]
            again = living(session, overtaken)
            rows |= again
            changes |= {row.id: self._changes(row, told[row.id][1], now) for row in again.values()}
            for one_id, mark in known.items():
                if (mark.last_event_at or 0.0) < told[one_id][0]:
                    changes[one_id]["last_event_at"] = told[one_id][0]
            changed = [{"id": one_id, **changes[one_id]} for one_id in known if changes[one_id]]
            write(session, changed)
            moved = [row for row in changed if row.get("status", rows[row["id"]].status) != rows[row["id"]].status]
            told_of = [(row["id"], core.event("remote.update", {"status": row["status"]})) for row in moved]
            events.append_each(session, told_of)
        return len(known)

    def _changes(self, row: Living, sample: dict[str, Any] | None, now: Now) -> dict[str, Any]:
        """The columns that a sample changes."""
        if sample is None or row.operation_id is not None or row.status not in ENTERABLE:
            return {}
        try:
            changed = idle_work.beaten(row, sample, now, self.period)
        except Exception:
            # What one machine tells must not keep the others from being heard.
            _logger.exception("%s: cannot take in its heartbeat", row.id, extra={"environment": row.id})
            return {}
        return {**changed, "version": row.version + 1} if changed else {}

    def _flush_rest(self, core: Core) -> None:
        with self._lock:
            self._rest, self._flushed = None, time.monotonic()
        try:
            self.flush(core)
        except Exception:
            # The database may be away for a while; every machine says it again.
            _logger.exception("heartbeats cannot be written")


def _version(row: Living | None) -> int | None:
    return row.version if row is not None else None
