# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment as everybody outside sees it. Times are RFC 3339 in UTC, durations seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fuelctl.environments import idleness
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.cost import Cost, cost
from fuelctl.environments.states import ENTERABLE
from fuelctl.store.models import EnvironmentRow, EventRow


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
    version: int
    operation: str | None


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
    """The row as the API shows it at `now`, epoch seconds."""
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
        blueprint=row.blueprint,
        blueprint_sha256=row.blueprint_sha256,
        repository=row.repository,
        lease=LeaseView(row.ttl_seconds, row.idle_seconds, _time(row.expires_at)),
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
        version=row.version,
        operation=row.operation,
    )


def event_view(row: EventRow) -> Event:
    """The row as the API shows it."""
    return Event(row.seq, row.id, row.environment_id, _time(row.at), row.type, row.data)


def _activity(row: EnvironmentRow) -> dict[str, Any] | None:
    if row.ended_at is not None or row.activity is None:
        return None
    enterable = row.status in ENTERABLE
    return idleness.shown(idleness.read(row.activity), row.idle_seconds, row.expires_at, enterable)


def _time(seconds: float) -> str:
    shown = rfc3339(seconds)
    if shown is None:  # pragma: no cover - only None gives None
        raise ValueError("a time is missing")
    return shown
