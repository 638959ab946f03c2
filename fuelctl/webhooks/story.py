# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the log of events is told to others, and in which words. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from fuelctl.environments.clock import rfc3339
from fuelctl.environments.decision import LOUD_AFTER
from fuelctl.store.models import EnvironmentRow, EventRow

#: Type and data of what is told; None when it is nobody's business.
Told = tuple[str, dict[str, Any]] | None
_LARGEST = 16 * 1024
#: Conditions of an ending that failed and is tried again.
_ENDING = ("termination_incomplete", "cleanup_incomplete")


def tell(event: EventRow, row: EnvironmentRow | None) -> tuple[str, str] | None:
    """(type, body) of what receivers get for an event of the log, or None."""
    maker = _MAKERS.get(event.type)
    told = maker(event.data, row) if maker is not None else None
    if told is None:
        return None
    type_, data = told
    about = {"id": event.environment_id, **(_facts(row) if row is not None else {})}
    return type_, document(type_, event.at, {"environment": about, **data})


def document(type_: str, at: float, data: Mapping[str, object]) -> str:
    """The body: `{type, timestamp, data}`. What is too long for a message loses its details."""
    body = {"type": type_, "timestamp": rfc3339(at), "data": dict(data)}
    text = json.dumps(body, default=str)
    if len(text) > _LARGEST:
        body["data"] = {"environment": data.get("environment"), "cut": True}
        text = json.dumps(body, default=str)
    return text


def _facts(row: EnvironmentRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "owner": row.owner,
        "provider": row.provider.get("name"),
        "status": row.status,
        "expires_at": rfc3339(row.expires_at),
    }


def _warning(data: Mapping[str, Any], _row: EnvironmentRow | None) -> Told:
    type_ = "environment.idle" if data.get("by") == "idle" else "environment.expiring"
    return type_, {"message": data.get("message")}


def _ended(data: Mapping[str, Any], row: EnvironmentRow | None) -> Told:
    receipt = data.get("receipt") or {}
    kinds = Counter(str(item.get("kind")) for item in receipt.get("resources") or [] if item.get("state") == "gone")
    summary = {"complete": receipt.get("complete"), "checked_at": receipt.get("checked_at"), "gone": dict(kinds)}
    return "environment.ended", {"by": row.ended_by if row is not None else None, "receipt": summary}


def _failed(data: Mapping[str, Any], _row: EnvironmentRow | None) -> Told:
    error = data.get("error") or {}
    return "environment.failed", {key: error.get(key) for key in ("message", "hint", "code", "stage")}


def _condition(data: Mapping[str, Any], _row: EnvironmentRow | None) -> Told:
    said = {"message": data.get("message"), "since": data.get("since")}
    type_ = data.get("type")
    if type_ == "unreachable":
        return "environment.unreachable", said
    if type_ == "idle, unsaved work":
        return "environment.kept", said
    attempts = int(data.get("attempts") or 0)
    if type_ in _ENDING and attempts and attempts % LOUD_AFTER == 0:
        return "environment.ending_fails", {**said, "attempts": attempts}
    return None


def _notice(data: Mapping[str, Any], _row: EnvironmentRow | None) -> Told:
    return "environment.interrupted", dict(data)


def _budget(data: Mapping[str, Any], _row: EnvironmentRow | None) -> Told:
    type_ = "owner.budget_reached" if data.get("state") == "reached" else "owner.budget_near"
    return type_, {name: value for name, value in data.items() if name != "state"}


def _rescue(type_: str) -> Callable[[Mapping[str, Any], EnvironmentRow | None], Told]:
    return lambda data, _row: (type_, dict(data))


_MAKERS: dict[str, Callable[[Mapping[str, Any], EnvironmentRow | None], Told]] = {
    "remote.warning": _warning,
    "remote.terminate.done": _ended,
    "remote.provision.error": _failed,
    "remote.condition": _condition,
    "remote.machine.notice": _notice,
    "remote.budget": _budget,
    "remote.rescue.done": _rescue("environment.rescued"),
    "remote.rescue.failed": _rescue("environment.rescue_failed"),
}
#: Events of the log that may have to be told.
TYPES = tuple(_MAKERS)
