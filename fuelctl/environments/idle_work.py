# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written about the work in an environment: that there is some, that there is none, that it would be lost."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from sqlalchemy.orm import Session

from fuelctl.environments import idleness
from fuelctl.environments.clock import Now, rfc3339
from fuelctl.environments.idleness import Activity, Sample
from fuelctl.environments.states import ENTERABLE, Status
from fuelctl.store import environments
from fuelctl.store.living import Living
from fuelctl.store.models import EnvironmentRow

#: Condition of one that is idle and was not ended for the sake of what is in it.
UNSAVED = "idle, unsaved work"
#: Seconds before an end at which terminals are told of it.
WARN_BEFORE = 300.0
#: Seconds between two heartbeats of a machine, and after how many it is silent: one may be late.
BEAT = 30.0
SILENT_AFTER = 40.0
#: Of a machine that tells by itself, so often is asked for what it does not tell, and its word is written. Seconds.
_ASK_ANYHOW = 600.0
_WRITE_AFTER = 45.0
#: Condition of one that was asked in vain.
UNREACHABLE = "unreachable"


def values(row: EnvironmentRow, kind: str, now: Now) -> dict[str, Any]:
    """The row's columns when somebody is at work this very moment."""
    return _columns(row, idleness.touched(idleness.read(row.activity), kind, now))


def at_work(row: EnvironmentRow | Living, known: Activity, kind: str, now: Now) -> dict[str, Any]:
    """The same, of what is `known` by now, and with when it is to be looked at."""
    return _due(row, now, _columns(row, idleness.touched(known, kind, now)))


def touch(session: Session, environment_id: str, kind: str, now: Now) -> None:
    """Somebody is at work this very moment."""
    row = environments.get(session, environment_id)
    if row is not None:
        environments.change(session, environment_id, **at_work(row, idleness.read(row.activity), kind, now))


def observed(
    row: EnvironmentRow | Living, sample: Sample, told_at: float | None, now: Now, period: float, *, asked: bool = True
) -> dict[str, Any]:
    """The row's columns after an observation: what is known, and the status that follows; none when it is no news."""
    before = idleness.read(row.activity)
    if not idleness.is_news(before.sample, sample, asked=asked):
        return {}
    return _seen(row, before, idleness.observed(before, sample, told_at, now, period, asked=asked), now)


def _seen(row: EnvironmentRow | Living, before: Activity, known: Activity, now: Now) -> dict[str, Any]:
    changed = _columns(row, known)
    if row.status in ENTERABLE:
        if known.quiet < before.quiet or known.last != before.last:
            changed["status"] = Status.ACTIVE
        elif row.status == Status.ACTIVE and known.quiet >= idleness.SHOWN_IDLE_AFTER:
            changed["status"] = Status.IDLE
    if row.idle_seconds is not None and known.quiet >= row.idle_seconds:
        # This is what the reaper has been waiting for.
        changed["check_at"] = now.wall
    return _due(row, now, changed)


def beaten(row: EnvironmentRow | Living, sample: Sample, now: Now, period: float) -> dict[str, Any]:
    """The row's columns after a heartbeat with a sample, as after any look; none where the row says as much already."""
    before = idleness.read(row.activity)
    if not idleness.is_news(before.sample, sample, asked=False):
        return {}
    after = idleness.observed(before, sample, None, now, period, asked=False)
    changed = _seen(row, before, after, now)
    if any(condition["type"] == UNREACHABLE for condition in row.conditions):
        conditions = changed.get("conditions", row.conditions)
        changed["conditions"] = [condition for condition in conditions if condition["type"] != UNREACHABLE]
    ago = idleness.since(before.observed, now)
    more_of_the_same = changed.keys() == {"activity"} and after.quiet >= before.quiet
    return {} if more_of_the_same and ago is not None and ago < _WRITE_AFTER else changed


def tells_by_itself(row: EnvironmentRow, now: Now, period: float) -> bool:
    """Whether its machine need not be asked now: it was heard of just now, and what it tells is all that matters."""
    known = idleness.read(row.activity)
    heard = now.wall - (row.last_event_at or 0.0)
    asked_ago, quiet_since = idleness.since(known.asked, now), idleness.since(known.observed, now)
    if known.beat is None or not 0 <= heard <= SILENT_AFTER or asked_ago is None or asked_ago > _ASK_ANYHOW:
        return False
    # Before silence ends it, it is looked into.
    near = row.idle_seconds is not None and known.quiet + (quiet_since or 0.0) >= row.idle_seconds - 2 * period
    return not near and not any(condition["type"] == UNREACHABLE for condition in row.conditions)


def kept(row: EnvironmentRow, work: dict[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The row's columns when its end by silence would lose `work`, and the condition, when that is new."""
    reason = _words(work)
    known = idleness.kept(idleness.read(row.activity), reason, now)
    old = [condition for condition in row.conditions if condition["type"] == UNSAVED]
    message = (
        f"nothing happens in it, and it is not ended before its TTL: {reason}. Push it, or `fuelctl pull {row.name}`; "
        f"`fuelctl down {row.name} --discard` gives it up"
    )
    since = old[0]["since"] if old else rfc3339(now.wall)
    condition = {"type": UNSAVED, "message": message, "since": since, "details": {"work": work}}
    others = [each for each in row.conditions if each["type"] != UNSAVED]
    return {"activity": known.as_dict(), "conditions": [*others, condition]}, None if old else condition


def notice(row: EnvironmentRow, now: Now, seconds_left: float, period: float) -> tuple[str, dict[str, float]] | None:
    """The line for its terminals when an end is near, and what is to be remembered of it; None when there is none.

    Each end is told of once: the TTL's by its time, silence's by the moment it began.
    """
    known = idleness.read(row.activity)
    horizon = WARN_BEFORE + period
    if seconds_left <= horizon and known.told.get("ttl") != row.expires_at:
        return (
            f"[fuelctl] {row.name} ends in {_minutes(seconds_left)}: its time to live is over. "
            f"More: fuelctl extend {row.name} 2h",
            {"ttl": row.expires_at},
        )
    ago = idleness.since(known.observed, now)
    began = max(known.last.values(), default=0.0)
    if row.idle_seconds is None or ago is None or known.kept or known.told.get("idle") == began:
        return None
    left = row.idle_seconds - known.quiet - ago
    # Of a limit that is hardly longer than the warning, half of it has to be over.
    if left > min(horizon, row.idle_seconds / 2):
        return None
    ends = "is stopped" if row.idle_stops else "ends"
    return (
        f"[fuelctl] {row.name} {ends} in {_minutes(left)}: nothing happens in it. Press a key to keep it",
        {"idle": began},
    )


def asked(known: Activity, now: Now) -> Activity:
    """After its machine was asked, and had told as much by itself meanwhile."""
    return replace(known, asked=asdict(now))


def told(known: Activity, what: dict[str, float]) -> Activity:
    """After a warning was given."""
    return replace(known, told={**known.told, **what})


def _columns(row: EnvironmentRow | Living, known: Activity) -> dict[str, Any]:
    changed: dict[str, Any] = {"activity": known.as_dict()}
    if known.kept is None and any(condition["type"] == UNSAVED for condition in row.conditions):
        changed["conditions"] = [condition for condition in row.conditions if condition["type"] != UNSAVED]
    return changed


def _due(row: EnvironmentRow | Living, now: Now, changed: dict[str, Any]) -> dict[str, Any]:
    """One that was kept had been put off for long: silence counts anew, and its end may come sooner than that."""
    return {**changed, "check_at": now.wall} if "conditions" in changed and row.ended_at is None else changed


def _words(work: dict[str, Any]) -> str:
    if work.get("unknown"):
        return f"it cannot be told whether work would be lost ({work['unknown']})"
    counts = [f"{count} {kind}" for kind, count in (work.get("counts") or {}).items() if count]
    return f"work would be lost: {', '.join(counts)}" if counts else "work would be lost"


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return "a minute" if minutes == 1 else f"{minutes} minutes"
