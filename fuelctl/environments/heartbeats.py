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

from sqlalchemy import bindparam, update

from fuelctl.environments import idle_work, idleness
from fuelctl.environments.core import Core
from fuelctl.environments.states import ENTERABLE
from fuelctl.store import environments, events
from fuelctl.store.models import EnvironmentRow

_logger = logging.getLogger(__name__)


@dataclass
class Heartbeats:
    """`take` as they come; `flush` writes. `period`: seconds between two looks of the observer."""

    period: float = 60.0
    pause: float = 1.0
    _gathered: dict[str, tuple[float, dict[str, Any] | None]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
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
        with self._lock:
            gathered, self._gathered = self._gathered, {}
        if not gathered:
            return 0
        now = core.clock()
        with core.write(durable=False) as session:
            rows = environments.by_id(session, gathered)
            live = [row for row in rows.values() if row.ended_at is None]
            heard = [
                {"row": row.id, "at": max(row.last_event_at or 0.0, gathered[row.id][0])}
                for row in live
                if (row.last_event_at or 0.0) < gathered[row.id][0]
            ]
            if heard:
                table = EnvironmentRow.__table__
                statement = update(EnvironmentRow).where(table.c.id == bindparam("row"))
                session.connection().execute(statement.values(last_event_at=bindparam("at")), heard)
            for row in live:
                sample = gathered[row.id][1]
                if sample is None or row.operation_id is not None or row.status not in ENTERABLE:
                    continue
                try:
                    changed = idle_work.beaten(row, sample, now, self.period)
                except Exception:
                    # What one machine tells must not keep the others from being heard.
                    _logger.exception("%s: cannot take in its heartbeat", row.id)
                    continue
                if changed:
                    environments.change(session, row.id, **changed)
                if changed.get("status", row.status) != row.status:
                    told = core.event("remote.update", {"status": changed["status"]})
                    events.append(session, row.id, [told])
        return len(live)

    def _flush_rest(self, core: Core) -> None:
        with self._lock:
            self._rest, self._flushed = None, time.monotonic()
        try:
            self.flush(core)
        except Exception:
            # The database may be away for a while; every machine says it again.
            _logger.exception("heartbeats cannot be written")
