# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment as everybody outside sees it. Times are RFC 3339 in UTC, durations seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from fuelctl.environments import idleness
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.cost import Cost, cost
from fuelctl.environments.power import is_stopped
from fuelctl.environments.states import ENTERABLE
from fuelctl.store.models import DeviceRow, EnvironmentRow, EventRow


@dataclass(frozen=True)
class Condition:
    """Something beside the status that a person should know, for example `degraded`."""

    type: str
    message: str
    since: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Provider:
    """Where its machine comes from."""

    name: str
    type: str | None
    region: str | None
    address: str | None
    #: Of `local`: the Docker engine that it is on; empty for the usual one.
    engine: str | None = None
    #: Where it keeps others out: `networks` that are let in, and `services` that say which address somebody has.
    let_in: dict[str, list[str]] | None = None


@dataclass(frozen=True)
class LeaseView:
    """How long it may live."""

    ttl_seconds: int
    idle_seconds: int | None
    #: What silence does: `end` it, or `stop` its machine.
    when_idle: str
    expires_at: str


@dataclass(frozen=True)
class Stage:
    """One stage of its provisioning. `state`: start, ok, reused or failed."""

    stage: str
    state: str
    seconds: float | None


@dataclass(frozen=True)
class Environment:
    """The environment object of the API."""

    id: str
    name: str
    owner: str
    status: str
    conditions: list[Condition]
    provider: Provider
    workspace_id: str | None
    blueprint: dict[str, Any]
    blueprint_sha256: str
    repository: dict[str, Any]
    lease: LeaseView
    created_at: str
    ready_at: str | None
    terminated_at: str | None
    last_event_at: str | None
    activity: dict[str, Any] | None
    ended_by: str | None
    cost: Cost
    stages: list[Stage]
    connection: dict[str, Any] | None
    agent: dict[str, Any] | None
    error: dict[str, Any] | None
    receipt: dict[str, Any] | None
    #: How its last rescue went: `{state: off|nothing|saved|failed, at, id?, complete?, size?, counts?, reason?}`.
    rescued: dict[str, Any] | None
    version: int
    operation: str | None


@dataclass(frozen=True)
class Device:
    """A machine that has made itself known. `kind`: environment or laptop; `status`: active or terminated."""

    id: str
    kind: str
    owner: str
    name: str
    environment_id: str | None
    platform: str | None
    version: str | None
    status: str
    registered_at: str
    seen_at: str
    terminated_at: str | None


@dataclass(frozen=True)
class Moment:
    """One step of its life. `kind`: status or stage; `name`: which; of a stage `state` and, at its end, `seconds`."""

    at: str
    kind: str
    name: str
    state: str | None
    seconds: float | None


@dataclass(frozen=True)
class Detail(Environment):
    """One environment by itself: `warnings` are about the request that this answers."""

    device: Device | None
    timeline: list[Moment]
    warnings: list[str]


@dataclass(frozen=True)
class Event:
    """One line of the log; `seq` is the cursor."""

    seq: int
    id: str
    environment_id: str
    at: str
    type: str
    data: dict[str, Any]


def environment_view(row: EnvironmentRow, now: float) -> Environment:
    """The row as a list shows it at `now`, epoch seconds."""
    provider = row.provider
    return Environment(
        id=row.id,
        name=row.name,
        owner=row.owner,
        status=row.status,
        conditions=[Condition(**condition) for condition in row.conditions],
        provider=Provider(
            name=provider["name"],
            type=provider.get("type"),
            region=provider.get("region"),
            address=provider.get("address"),
            engine=provider.get("engine") if provider["name"] == "local" else None,
            let_in=provider.get("let_in"),
        ),
        workspace_id=row.workspace_id,
        blueprint=row.blueprint,
        blueprint_sha256=row.blueprint_sha256,
        repository=row.repository,
        lease=LeaseView(row.ttl_seconds, row.idle_seconds, "stop" if row.idle_stops else "end", _time(row.expires_at)),
        created_at=_time(row.created_at),
        ready_at=rfc3339(row.ready_at),
        terminated_at=rfc3339(row.terminated_at),
        last_event_at=rfc3339(row.last_event_at),
        activity=_activity(row),
        ended_by=row.ended_by,
        cost=cost(provider, now),
        stages=[Stage(stage["stage"], stage["state"], stage.get("seconds")) for stage in row.stages],
        connection=row.connection,
        agent=row.agent,
        error=row.error,
        receipt=row.receipt,
        rescued=row.rescued,
        version=row.version,
        operation=row.operation,
    )


def detail_view(
    row: EnvironmentRow,
    now: float,
    *,
    device: DeviceRow | None = None,
    log: Sequence[EventRow] = (),
    warnings: Sequence[str] = (),
) -> Detail:
    """The same with its device and its timeline, which is made of what the log has of stages and status changes."""
    moments = [moment for each in log for moment in _moments(each)] or _milestones(row)
    shown = device_view(device) if device is not None else None
    plain = environment_view(row, now)
    facts = {field.name: getattr(plain, field.name) for field in fields(plain)}
    return Detail(**facts, device=shown, timeline=moments, warnings=list(warnings))


def device_view(row: DeviceRow) -> Device:
    """The row as the API shows it."""
    return Device(
        id=row.id,
        kind=row.kind,
        owner=row.owner,
        name=row.name,
        environment_id=row.environment_id,
        platform=row.facts.get("platform"),
        version=row.facts.get("version"),
        status=row.status,
        registered_at=_time(row.registered_at),
        seen_at=_time(row.seen_at),
        terminated_at=rfc3339(row.terminated_at),
    )


def _moments(event: EventRow) -> list[Moment]:
    data, at = event.data, _time(event.at)
    if event.type == "remote.update" and "status" in data:
        return [Moment(at, "status", str(data["status"]), None, None)]
    if event.type == "remote.stage" and "stage" in data:
        return [Moment(at, "stage", str(data["stage"]), data.get("state"), data.get("seconds"))]
    return []


def _milestones(row: EnvironmentRow) -> list[Moment]:
    """What the row itself remembers, when its log has been forgotten."""
    known = ((row.created_at, "provisioning"), (row.ready_at, "ready"), (row.ended_at, row.status))
    return [Moment(_time(at), "status", name, None, None) for at, name in known if at is not None]


def event_view(row: EventRow) -> Event:
    """The row as the API shows it."""
    return Event(row.seq, row.id, row.environment_id, _time(row.at), row.type, row.data)


def _activity(row: EnvironmentRow) -> dict[str, Any] | None:
    if row.ended_at is not None or row.activity is None:
        return None
    runs = row.status in ENTERABLE and not is_stopped(row.conditions)
    known = idleness.read(row.activity)
    return idleness.shown(known, row.idle_seconds, row.expires_at, runs, stops=row.idle_stops)


def _time(seconds: float) -> str:
    shown = rfc3339(seconds)
    if shown is None:  # pragma: no cover - only None gives None
        raise ValueError("a time is missing")
    return shown
