# SPDX-License-Identifier: GPL-3.0-or-later
"""The observer: asks the machines what happened, for environments that cannot call back or have ended by themselves."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from fuelctl import paths
from fuelctl.environments import about, cost, idle_work, idleness, interruption, warnings
from fuelctl.environments.activity import take_in
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.idle_work import UNREACHABLE, tells_by_itself
from fuelctl.environments.power import STOPPED as _STOPPED
from fuelctl.environments.power import changed_since, condition
from fuelctl.environments.registry import begin_termination, lease_of
from fuelctl.environments.states import ENTERABLE, Operation
from fuelctl.store import environments, events
from fuelctl.store.events import NewEvent
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.rounds import scheduler
from fuelctl.workflows.run import Plant, play, where
from fuelctl.workflows.work import Work

_logger = logging.getLogger(__name__)
_JOB = "observe"
#: Seconds for which what was seen is fresh enough for a person.
_FRESH = 5.0
#: Times as long as a round took, nothing is asked before its time.
_SPARE = 10.0


class Observer:
    """One round by `round()`, or one every `seconds` after `start()`; without live environments nothing is asked."""

    def __init__(self, plant: Plant, engine: Work, seconds: float) -> None:
        self._plant = plant
        self._core = plant.core
        self._engine = engine
        self._seconds = seconds
        self._one_at_a_time = threading.Lock()
        self._not_before = 0.0
        #: Called after each round: silence is judged while it is fresh.
        self.then: Callable[[], object] = lambda: None
        self._scheduler = scheduler()

    def start(self) -> None:
        """Ask now, for environments may have ended while nobody looked; and then regularly."""
        self._scheduler.add_job(
            self._guarded,
            "interval",
            seconds=self._seconds,
            id=_JOB,
            next_run_time=datetime.now(UTC),
            misfire_grace_time=None,
        )
        self._scheduler.start()

    def soon(self) -> None:
        """Somebody wants to know: the next round begins now, unless the last one was a moment ago. Returns at once.

        However often that is, the machines are not asked for more than a tenth of the time.
        """
        if self._scheduler.running and not self._one_at_a_time.locked() and time.monotonic() >= self._not_before:
            self._not_before = time.monotonic() + _FRESH
            self._scheduler.modify_job(_JOB, next_run_time=datetime.now(UTC))

    def round(self) -> int:
        """Ask every provider once about its environments; how many were observed."""
        with self._one_at_a_time:
            with self._core.database.read() as session:
                live = [row for row in environments.live(session) if row.status in ENTERABLE]
            now = self._core.clock()
            notices = warnings.due((row for row in live if row.operation_id is None), now, self._seconds)
            warnings.tell(self._core, notices)
            together: dict[str, list[EnvironmentRow]] = defaultdict(list)
            for row in live:
                if row.operation_id is not None or (row.id not in notices and tells_by_itself(row, now, self._seconds)):
                    continue
                if not self._is_out_of_reach(row):
                    together[json.dumps(where(row), sort_keys=True)].append(row)
            return sum(self._ask(json.loads(place), rows, notices) for place, rows in together.items())

    def _is_out_of_reach(self, row: EnvironmentRow) -> bool:
        why = self._plant.out_of_reach(row)
        if why is not None:
            self._condition(row, UNREACHABLE, f"{why['message']}; {why['hint']}")
        return why is not None

    def _ask(self, place: dict[str, Any], rows: list[EnvironmentRow], notices: warnings.Notices) -> int:
        provider = place["remote_provider"]
        record = paths.run_folder("observe", provider)
        # Only the last round is of interest.
        shutil.rmtree(record, ignore_errors=True)
        begun = self._core.clock().wall
        result = play(
            self._plant,
            "observe",
            {
                **place,
                "remote_cursors": {row.id: row.spool_cursor for row in rows},
                "remote_notices": {row.id: notices[row.id][0] for row in rows if row.id in notices},
            },
            of=[row.id for row in rows],
            record=record,
            lock=f"observe-{provider}",
        )
        rows = self._still_so(rows, begun)
        if result.status != "ok":
            if result.status == "failed":
                message = str((result.failure or {}).get("message"))
                for row in rows:
                    self._condition(row, UNREACHABLE, f"its machine cannot be asked: {message}")
            return 0
        seen = result.observed()
        for row in rows:
            if row.id in seen:
                try:
                    self._note(row, seen[row.id], notices[row.id][1] if row.id in notices else {})
                except Exception:
                    # What one container tells must not keep the others from being heard.
                    _logger.exception("%s: cannot take in what was seen of it", row.id, extra=about.of(row))
            elif (row.connection or {}).get("machine"):
                self._condition(row, UNREACHABLE, "its machine does not answer, or is not shown by its provider")
        return len(seen)

    def _still_so(self, rows: list[EnvironmentRow], begun: float) -> list[EnvironmentRow]:
        """Without those whose machines were stopped or started while they were looked at."""
        with self._core.database.read() as session:
            now = [environments.get(session, row.id) for row in rows]
        return [row for row, its in zip(rows, now, strict=True) if its is None or not changed_since(its, begun)]

    def _note(self, row: EnvironmentRow, seen: dict[str, Any], warned: dict[str, float]) -> None:
        if not seen["present"]:
            # The provider says that it is gone; the ending asks once more and writes the receipt.
            by = interruption.ended_by(seen.get("reason"), lease_of(row).seconds_left(self._core.clock()))
            _logger.warning("%s (%s) is gone from its machine, by %s", row.id, row.name, by, extra=about.of(row))
            _row, operation_id = begin_termination(self._core, row.id, discard=True, by=by)
            if operation_id is not None:
                self._engine.start(Operation.TERMINATE, row.id, operation_id)
            return
        if seen.get("notice"):
            operation_id = interruption.noticed(self._core, row.id, seen["notice"])
            if operation_id is not None:
                self._engine.start(Operation.TERMINATE, row.id, operation_id)
                return
        told = [NewEvent(item["type"], item["data"], float(item["at"]), item["id"]) for item in seen["events"]]
        with self._core.write(durable=False) as session:
            accepted = take_in(self._core, session, row.id, told)
            # Of one that does not run, nothing could be read.
            if seen["cursor"] is not None:
                cursor = str(seen["cursor"])[:200]
                session.execute(update(EnvironmentRow).where(EnvironmentRow.id == row.id).values(spool_cursor=cursor))
            # Of a machine, its provider says the state: what costs less is not believed of who was entered.
            self._count(session, row.id, awake=bool(seen["running"]) or "state" not in seen)
            if seen.get("activity"):
                latest = max(item.at for item in told) if accepted else None
                self._remember(session, row.id, seen["activity"], latest, warned)
        if not seen["running"]:
            self._condition(row, _STOPPED, "", condition(self._core, row, seen.get("state")))
        elif seen["problem"]:
            self._condition(row, UNREACHABLE, f"it cannot be asked: {seen['problem']}")
        else:
            self._condition(row, None, "")

    def _count(self, session: Session, one_id: str, *, awake: bool) -> None:
        """A machine that its cloud stopped, or started, by itself costs otherwise from now on."""
        row = environments.get(session, one_id)
        if row is None or row.operation_id is not None or row.status not in ENTERABLE:
            return
        provider = cost.powered(row.provider, self._core.clock().wall, awake=awake)
        if provider is not row.provider:
            environments.change(session, one_id, provider=provider)

    def _remember(
        self, session: Session, one_id: str, sample: dict[str, Any], told_at: float | None, warned: dict[str, float]
    ) -> None:
        """What this look says of the work in it. One that is being ended meanwhile is left alone."""
        row = environments.get(session, one_id)
        if row is None or row.operation_id is not None or row.status not in ENTERABLE:
            return
        changed = idle_work.observed(row, sample, told_at, self._core.clock(), self._seconds)
        if not changed:
            # A heartbeat of later has come in meanwhile.
            changed = {"activity": idle_work.asked(idleness.read(row.activity), self._core.clock()).as_dict()}
        if warned:
            changed["activity"] = idle_work.told(idleness.read(changed["activity"]), warned).as_dict()
        environments.change(session, one_id, **changed)
        if changed.get("status", row.status) != row.status:
            events.append(session, one_id, [self._core.event("remote.update", {"status": changed["status"]})])

    def _condition(
        self, row: EnvironmentRow, type_: str | None, message: str, found: dict[str, Any] | None = None
    ) -> None:
        """Set the one condition that observation found, and clear what it no longer finds."""
        with self._core.write(durable=False) as session:
            current = environments.get(session, row.id)
            if current is None or current.operation_id is not None or current.status not in ENTERABLE:
                return
            known = {condition["type"]: condition for condition in current.conditions}
            if type_ in known or (type_ is None and not known.keys() & {_STOPPED, UNREACHABLE}):
                return
            kept = [condition for name, condition in known.items() if name not in (_STOPPED, UNREACHABLE)]
            now = self._core.clock().wall
            if type_ is not None:
                found = found or {"type": type_, "message": message, "since": rfc3339(now), "details": {}}
                kept.append(found)
                events.append(session, row.id, [self._core.event("remote.condition", found)])
            # What silence does to it depends on whether it runs.
            due: dict[str, Any] = {"check_at": now} if _STOPPED in known or type_ == _STOPPED else {}
            environments.change(session, row.id, conditions=kept, **due)

    def stop(self) -> None:
        """No further round."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _guarded(self) -> None:
        begun = time.monotonic()
        try:
            self.round()
        except Exception:
            # The database or the engine may be away for a while; the next round asks again.
            _logger.exception("observing failed")
        self.then()
        ended = time.monotonic()
        self._not_before = ended + max(_FRESH, _SPARE * (ended - begun))
