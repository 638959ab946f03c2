# SPDX-License-Identifier: GPL-3.0-or-later
"""The reaper: goes round, looks at what is due, starts what has to be done. The decision itself is a pure function."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from fuelctl.environments import about, reaping
from fuelctl.environments.clock import Now, rfc3339, wall_jump
from fuelctl.environments.core import Core
from fuelctl.environments.decision import LOUD_AFTER, Action, Decision, decide
from fuelctl.environments.observations import observe, record, tell
from fuelctl.environments.registry import begin_termination, renew_operation
from fuelctl.environments.states import Operation
from fuelctl.store import checks, environments, events
from fuelctl.store.due import Due, due, remember
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.rounds import scheduler
from fuelctl.workflows.work import Work

_logger = logging.getLogger(__name__)
#: A wall clock that moved by more than this against the time since boot was set by somebody.
_JUMP = 5.0
_JOB = "cycle"
#: So many periods without a cycle: the machine slept, or the scheduler waits for a time that was set away.
_MISSED = 3
#: For these the row of an environment is not needed.
_NO_ACT = frozenset({Action.KEEP, Action.OBSERVE})
#: Environments that are decided about in one transaction.
_BATCH = 500


class Companion(Protocol):
    """What works beside the reaper, in the same process."""

    def start(self) -> None:
        """Begin; may follow a stop."""

    def stop(self) -> None:
        """End soon; returns at once."""

    def announce(self, type_: str, data: Mapping[str, object]) -> int:
        """Tell people something of the control plane itself."""


@dataclass(frozen=True)
class Cycle:
    """What one round did."""

    checked: int
    ended: int
    failed: int


class Reaper:
    """One round by `cycle()`, or one every `seconds` after `start()`, which calls `daily` from time to time too."""

    def __init__(
        self,
        core: Core,
        engine: Work,
        seconds: float,
        daily: Callable[[], object] = lambda: None,
        *,
        look: Callable[[], object] = lambda: None,
        period: float = 60.0,
        companion: Companion | None = None,
        may: Callable[[], bool] = lambda: True,
        stop: Callable[[EnvironmentRow], object] = lambda _row: None,
    ) -> None:
        """`look`: have the machines asked soon. `period`: seconds between two such rounds otherwise.

        `stop`: have the machine of one stopped that is idle; returns at once.

        `companion` works for as long as the reaper does, and tells people when its cycles fail. `may`: whether this
        process is the one that goes round; asked before each part of it.
        """
        self._companion = companion
        self._failed = 0
        self._look = look
        self._may = may
        self._stop_machine = stop
        self._period = period
        self._core = core
        self._daily = daily
        self._engine = engine
        self._seconds = seconds
        self._last: Now | None = None
        self._stopped = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._scheduler = scheduler()

    def start(self) -> None:
        """Go round now, and then regularly."""
        self._scheduler.add_job(
            self._guarded,
            "interval",
            seconds=self._seconds,
            id=_JOB,
            next_run_time=datetime.now(UTC),
            misfire_grace_time=None,
        )
        # Asked every hour: it knows by itself when a day has gone by.
        soon = datetime.now(UTC) + timedelta(seconds=min(self._seconds, 60.0))
        self._scheduler.add_job(
            self._guarded_daily, "interval", hours=1, id="daily", next_run_time=soon, misfire_grace_time=None
        )
        self._scheduler.start()
        if self._companion is not None:
            self._companion.start()
        threading.Thread(target=self._watch, name="reaper-watch", daemon=True).start()

    def stop(self) -> None:
        """No further round; the one under way is finished."""
        self._stopped.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)
        if self._companion is not None:
            self._companion.stop()

    def soon(self) -> None:
        """Have the next round begin now: there is news of what may be due. Returns at once."""
        if self._scheduler.running:
            self._scheduler.modify_job(_JOB, next_run_time=datetime.now(UTC))

    def cycle(self) -> Cycle:
        """Look at everything that is due and act on it; one failure never stops the others."""
        with self._one_at_a_time:
            began, asked = time.monotonic(), reaping.asked(self._core)
            now = self._core.clock()
            last, self._last = self._last, now
            slept = last is not None and now.boottime - last.boottime > max(_MISSED * self._seconds, 60.0)
            everything = last is None or slept or abs(wall_jump(last, now)) > _JUMP
            checked = ended = failed = 0
            beyond = ""
            while self._may():
                rows, decided = self._decide(now, everything=everything, slept=slept, beyond=beyond)
                checked, failed = checked + len(rows), failed + len(rows) - len(decided)
                for one_id, row, decision in decided:
                    try:
                        ended += self._act(row, decision)
                    except Exception:
                        failed += 1
                        _logger.exception("%s: cannot act on it", one_id, extra={"environment": one_id})
                # What could not be decided is due still, and would be all that comes next.
                if len(rows) < _BATCH or len(decided) < len(rows):
                    break
                beyond = rows[-1].id
            done = Cycle(checked, ended, failed)
            _logger.log(
                logging.INFO if ended or failed else logging.DEBUG, "checked %d, ended %d, failed %d", *astuple(done)
            )
            if self._may():
                reaping.report(self._core, rfc3339(now.wall), time.monotonic() - began, asked, asdict(done))
            return done

    def _decide(
        self, now: Now, *, everything: bool, slept: bool, beyond: str
    ) -> tuple[list[Due], list[tuple[str, EnvironmentRow | None, Decision]]]:
        """Take what is due, and record what is to be done with it; one that cannot be decided never stops the others.

        Of each that was decided: its id, its whole row where something is to be done with it, and the decision.

        In one transaction: nobody changes a row between being read and being decided, and no two reapers take the same.
        """
        running = frozenset(self._engine.running())
        decided = []
        with self._core.database.write(durable=False) as session:
            # Before any row: whoever writes both takes them in this order.
            events.in_order(session)
            if everything and not beyond:
                checks.mend(session, now.wall)
            rows = due(session, None if everything else now.wall, after=beyond, limit=_BATCH)
            for row in rows:
                try:
                    seen = observe(row, row.check_at, now, running, slept=slept, period=self._period)
                    decided.append((row, decide(seen)))
                except Exception:
                    _logger.exception("%s: cannot be decided", row.id, extra={"environment": row.id})
            remember(session, [(row.id, record(row, decision, now)) for row, decision in decided])
            tell(self._core, session, decided)
            acted_on = environments.by_id(session, [row.id for row, what in decided if what.action not in _NO_ACT])
        return rows, [(row.id, acted_on.get(row.id), decision) for row, decision in decided]

    def _act(self, row: EnvironmentRow | None, decision: Decision) -> int:
        if decision.action == Action.OBSERVE:
            self._look()
        if row is None:
            return 0
        if decision.action == Action.RESUME:
            self._engine.resume(row)
        elif decision.action == Action.RESTART and row.operation_id is not None:
            _logger.warning("%s (%s): %s", row.id, row.name, decision.reason, extra=about.of(row))
            operation_id = renew_operation(self._core, row.id, row.operation_id)
            if operation_id is not None:
                # Whoever runs it under the old id can write no more, and lets its playbook go.
                self._engine.start(Operation.TERMINATE, row.id, operation_id)
        elif decision.action == Action.STOP:
            _logger.info("%s (%s): %s", row.id, row.name, decision.reason, extra=about.of(row))
            self._stop_machine(row)
        elif decision.action in (Action.END, Action.ABANDON, Action.RETRY):
            return int(self._end(row, decision))
        return 0

    def _end(self, row: EnvironmentRow, decision: Decision) -> bool:
        """Whether there was an end to begin."""
        error = None
        by = row.ended_by or decision.reason
        if decision.action == Action.ABANDON:
            hint = "run fuelctl up again"
            error = {
                "message": decision.reason,
                "hint": hint,
                "where": row.name,
                "code": "abandoned",
                "stage": "source",
                "tail": [],
            }
        words = row.id, row.name, decision.action, decision.reason
        _logger.info("%s (%s): %s, %s", *words, extra=about.of(row))
        discard = decision.action != Action.RETRY or bool(row.operation_options.get("discard"))
        idle = decision.action == Action.END and decision.reason == "idle"
        if idle:
            # Silence proves nothing about what it left behind: that is looked through first, as by `down`.
            discard = row.idle_discard
        _row, operation_id = begin_termination(
            # What came in since the row was read is heard.
            self._core,
            row.id,
            discard=discard,
            by=by,
            error=error,
            if_activity=row.activity if idle else None,
            if_ttl=row.ttl_seconds if decision.action == Action.END and decision.reason == "ttl" else None,
        )
        if operation_id is not None:
            self._engine.start(Operation.TERMINATE, row.id, operation_id)
        return operation_id is not None

    def _guarded(self) -> None:
        try:
            self.cycle()
        except Exception as error:
            # The database may be away for a while; the next round tries again.
            self._failed += 1
            _logger.exception("the reaper's cycle failed, %d in a row", self._failed)
            if self._failed % LOUD_AFTER == 0:
                self._complain(error)
        else:
            self._failed = 0

    def _complain(self, error: Exception) -> None:
        """Nothing ends any more: somebody has to know. What keeps it from ending may keep it from being told too."""
        _logger.error("the reaper has failed %d times in a row: nothing is ended in time", self._failed)
        if self._companion is None:
            return
        try:
            self._companion.announce("reaper.failing", {"message": str(error)[:500], "cycles": self._failed})
        except Exception:
            _logger.exception("and nobody could be told")

    def _guarded_daily(self) -> None:
        try:
            if self._may():
                self._daily()
        except Exception:
            # What was not forgotten today is forgotten tomorrow.
            _logger.exception("housekeeping failed")

    def _watch(self) -> None:
        """The scheduler waits for a time of day; when that was set back, this brings the next round forward."""
        last = time.monotonic()
        known = self._last
        while not self._stopped.wait(min(self._seconds, 10.0)):
            if self._last is not known:
                known, last = self._last, time.monotonic()
            elif time.monotonic() - last > _MISSED * self._seconds:
                last = time.monotonic()
                if self._one_at_a_time.locked():
                    _logger.warning("no round of the reaper has ended for %.0f s", _MISSED * self._seconds)
                self._scheduler.modify_job(_JOB, next_run_time=datetime.now(UTC))
