# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment in a person's words: pure functions of the API's environment object and the time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fuelctl.cli._output import clean, duration

LIVE = ("provisioning", "ready", "active", "idle")
ENTERABLE = ("ready", "active", "idle")
ENDED = ("terminated", "error")

Environment = Mapping[str, Any]


def moment(text: str | None) -> datetime | None:
    """An RFC 3339 time of the API; None for none."""
    if not text:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def ttl_left(environment: Environment, at: datetime) -> float | None:
    """Seconds until the lease ends; None when it has ended, or has not begun."""
    expires = moment((environment.get("lease") or {}).get("expires_at"))
    if environment["status"] in ENDED or expires is None:
        return None
    return max(0.0, (expires - at).total_seconds())


def uptime(environment: Environment, at: datetime) -> float | None:
    """Seconds from ready (or, failing that, from its creation) to its end or to now."""
    begun = moment(environment.get("ready_at")) or moment(environment.get("created_at"))
    if begun is None:
        return None
    ended = None
    if environment["status"] in ENDED:
        ended = moment(environment.get("terminated_at") or (environment.get("receipt") or {}).get("checked_at"))
    return max(0.0, ((ended or at) - begun).total_seconds())


def idle(environment: Environment, at: datetime) -> float | None:
    """Seconds since work was last seen in it, while somebody could use it."""
    last = moment((environment.get("activity") or {}).get("last_at"))
    if last is None or environment["status"] not in ENTERABLE:
        return None
    return max(0.0, (at - last).total_seconds())


def idle_end(environment: Environment, at: datetime) -> float | None:
    """Seconds until it ends because nothing happens in it; None when its TTL comes first, or nothing is known."""
    activity = environment.get("activity") or {}
    ends = moment(activity.get("ends_at"))
    if activity.get("ends_by") != "idle" or ends is None or environment["status"] not in ENTERABLE:
        return None
    return max(0.0, (ends - at).total_seconds())


def idle_stop(environment: Environment, at: datetime) -> float | None:
    """Seconds until its machine is stopped because nothing happens in it; None where it is not, or nothing is known."""
    stops = moment((environment.get("activity") or {}).get("stops_at"))
    if stops is None or environment["status"] not in ENTERABLE:
        return None
    return max(0.0, (stops - at).total_seconds())


def stopped(environment: Environment) -> Mapping[str, Any] | None:
    """The condition that says that it does not run."""
    conditions: list[Mapping[str, Any]] = environment.get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == "stopped"), None)


def status_words(environment: Environment) -> str:
    """The status and its conditions: `ready (degraded)`; of one that does not run, whether it is suspended."""
    found = environment.get("conditions") or []
    conditions = [clean((item.get("details") or {}).get("state") or item.get("type", "")) for item in found]
    return f"{environment['status']} ({', '.join(conditions)})" if conditions else str(environment["status"])


def address(environment: Environment) -> str:
    """Where it is: the machine's address as the provider reports it; without one, it is reached on this machine."""
    reported = (environment.get("provider") or {}).get("address")
    return clean(reported or ("localhost" if environment.get("connection") else "-"))


def work_folder(environment: Environment) -> str:
    """Where in the container work begins: the repository, or the folder of it that was launched; empty when unknown."""
    connection = environment.get("connection") or {}
    return clean("/".join(part for part in (connection.get("workspace"), connection.get("folder")) if part))


def ports_words(environment: Environment) -> list[str]:
    """`8080 -> 127.0.0.1:8080` for every published port; of one on another machine, how to have it here."""
    connection = environment.get("connection") or {}
    ports = connection.get("ports") or []
    if connection.get("machine"):
        name = clean(environment["name"])
        return [
            f"{port['container']} (ssh -L {port['container']}:localhost:{port['container']} fuel-{name})"
            for port in ports
        ]
    return [f"{port['container']} -> 127.0.0.1:{port['host']}" for port in ports]


def stalled(environment: Environment) -> bool:
    """Whether its ending did not succeed and waits for the reaper to try again."""
    return environment["status"] == "terminating" and not environment.get("operation")


def stage_in_work(environment: Environment) -> str | None:
    """The stage that is under way, as far as the server knows."""
    stages = environment.get("stages") or []
    running = [stage["stage"] for stage in stages if stage.get("state") == "start"]
    return clean(running[-1]) if running else None


def degraded(environment: Environment) -> Mapping[str, Any] | None:
    """The condition that says which set-up command failed."""
    conditions: list[Mapping[str, Any]] = environment.get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == "degraded"), None)


def not_enterable(environment: Environment) -> tuple[str, str] | None:
    """Why nobody can enter (one sentence) and what to do; None when one can."""
    name, status = clean(environment["name"]), environment["status"]
    if status in ENTERABLE:
        # A machine is started when somebody comes.
        if stopped(environment) and (environment.get("connection") or {}).get("container"):
            return (
                f"The container of {name} is stopped",
                f"see `fuelctl status {name}`; end it: fuelctl down {name}",
            )
        return None
    if status == "provisioning":
        stage = stage_in_work(environment)
        doing = f" (stage {stage})" if stage else ""
        return f"{name} is still being provisioned{doing}", f"follow it: fuelctl up --attach {name}"
    if status == "terminating":
        return f"{name} is being ended", f"see `fuelctl status {name}`"
    if status == "error":
        message = clean((environment.get("error") or {}).get("message") or "its provisioning failed")
        return f"{name} could not be provisioned: {message}", f"see what happened: fuelctl logs {name}"
    by = clean(environment.get("ended_by") or "")
    ended = moment(environment.get("terminated_at"))
    when = f" {duration((now() - ended).total_seconds())} ago" if ended else ""
    return f"{name} has ended{when}{f' (by {by})' if by else ''}", "make a new one: fuelctl up"
