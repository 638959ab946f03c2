# SPDX-License-Identifier: GPL-3.0-or-later
"""The reaper, seen from outside: who would end and when, why, and one round of it now."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint
from pydantic import BaseModel

from fuelctl.environments import idleness
from fuelctl.environments.clock import Now, rfc3339
from fuelctl.environments.decision import Action, Decision, again, decide, ends
from fuelctl.environments.observations import observe
from fuelctl.environments.power import is_stopped
from fuelctl.server.parts import parts
from fuelctl.server.remote import find
from fuelctl.server.types import ProblemOut, RefPath
from fuelctl.store import checks, environments, settings
from fuelctl.store.models import EnvironmentRow

api = APIBlueprint("reaper", __name__, url_prefix="/api", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})


class EndOut(BaseModel):
    """An end that comes if nothing happens any more."""

    by: str
    in_seconds: float
    at: str


class DecisionOut(BaseModel):
    """A decision with everything that it was made from."""

    action: str
    reason: str
    check_in: float
    inputs: dict[str, Any]


class RecordOut(DecisionOut):
    """A decision as it was recorded, and what the same inputs give today."""

    at: str
    seen: dict[str, Any]
    replayed: DecisionOut
    agrees: bool


class WhyOut(BaseModel):
    """Why an environment is there, or is not any more."""

    id: str
    name: str
    status: str
    ended_by: str | None
    activity: dict[str, Any] | None
    last: RecordOut | None
    ending: RecordOut | None
    now: DecisionOut | None
    ends: list[EndOut]


class ForecastEntry(BaseModel):
    """One environment, as the next round would see it."""

    id: str
    name: str
    owner: str
    status: str
    action: str
    reason: str
    ends: list[EndOut]


class ForecastOut(BaseModel):
    """Every live environment, the soonest end first."""

    reaper: dict[str, Any]
    environments: list[ForecastEntry]


class CycleOut(BaseModel):
    """What one round did."""

    checked: int
    ended: int
    failed: int


@api.get("/reaper", responses={200: ForecastOut}, summary="Who would end, and when")
def forecast() -> Response:
    """Nothing is ended by asking."""
    with parts().core.database.read() as session:
        rows, last = environments.live(session), settings.reaper(session)
        times = checks.times(session)
    now = parts().core.clock()
    entries: list[dict[str, Any]] = []
    for row in rows:
        decision = _decide(row, times.get(row.id), now)
        ended = {"action": decision.action, "reason": decision.reason, "ends": _ends(decision, now)}
        entries.append({"id": row.id, "name": row.name, "owner": row.owner, "status": row.status, **ended})
    entries.sort(key=lambda entry: entry["ends"][0]["in_seconds"] if entry["ends"] else 0.0)
    return jsonify(reaper=last, environments=entries)


@api.post("/reaper/cycle", responses={200: CycleOut}, summary="Go round once, now")
def cycle() -> Response:
    """Looks at what is due, as it does by itself every minute; answers when everything has been started."""
    core = parts().core
    with core.write() as session:
        core.audit(session, "server.reap", "reaper")
    return jsonify(parts().reap())


@api.get("/remote/<ref>/decision", responses={200: WhyOut}, summary="Why it is kept, or was ended")
def why(path: RefPath) -> Response:
    """The last decision and the one that ended it, each made again from its recorded inputs; and today's."""
    row = find(path.ref)
    with parts().core.database.read() as session:
        check = checks.get(session, row.id)
    now = parts().core.clock()
    # One that was to end it and did not, because work would have been lost, is not why it ended later.
    ending = check.ending or {}
    decision = None if row.ended_at is not None else _decide(row, check.check_at, now)
    runs, known = not is_stopped(row.conditions), idleness.read(row.activity)
    activity = idleness.shown(known, row.idle_seconds, row.expires_at, runs, stops=row.idle_stops)
    # What stopped it is why it is stopped, as long as it is.
    stopped_by = decision is not None and not runs and ending.get("action") == Action.STOP
    return jsonify(
        id=row.id,
        name=row.name,
        status=row.status,
        ended_by=row.ended_by,
        activity=activity if row.activity else None,
        last=_record(check.decision or {}),
        ending=_record(ending if stopped_by or ending.get("reason") == row.ended_by else {}),
        now=decision.as_dict() if decision else None,
        ends=_ends(decision, now) if decision else [],
    )


def _decide(row: EnvironmentRow, check_at: float | None, now: Now) -> Decision:
    given = parts()
    running = frozenset(given.operations())
    return decide(observe(row, check_at, now, running, slept=False, period=given.settings.observe_seconds))


def _ends(decision: Decision, now: Now) -> list[dict[str, Any]]:
    found = ends(decision.inputs)
    return [{"by": by, "in_seconds": round(left, 3), "at": rfc3339(now.wall + left)} for by, left in found]


def _record(stored: dict[str, Any]) -> dict[str, Any] | None:
    if not stored:
        return None
    replayed = again(stored["inputs"])
    agrees = (replayed.action, replayed.reason) == (stored["action"], stored["reason"])
    kept = {key: stored.get(key) for key in ("action", "reason", "check_in", "inputs", "at", "seen")}
    return {**kept, "replayed": replayed.as_dict(), "agrees": agrees}
