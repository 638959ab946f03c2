# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller may ask for: make, find, list, end and extend environments."""

from __future__ import annotations

import hashlib
import json
import re
import secrets as random_secrets
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from fuelctl import _crashpoints
from fuelctl._shared._errors import FuelError
from fuelctl._shared._identity import check_environment_name
from fuelctl._shared._prices._offer import FREE, Offer
from fuelctl.environments import budget, idle_work, policy, workspaces
from fuelctl.environments.clock import Now
from fuelctl.environments.core import Core, MoveDeadline
from fuelctl.environments.cost import offer_of
from fuelctl.environments.lease import Lease, extend, later, new_lease, within
from fuelctl.environments.states import Operation, Status
from fuelctl.store import environments, events, idempotency, resources
from fuelctl.store.due import Due
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.secrets import CALLBACK_TOKEN
from fuelctl.store.ulids import new_ulid

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_LONGEST_NAME = 40
_MOST_NAMES_TRIED = 1000


class NotFoundError(FuelError):
    """No environment is meant by this reference."""


class ConflictError(FuelError):
    """The environment's state does not allow it."""


@dataclass(frozen=True)
class NewEnvironment:
    """A request for an environment, checked."""

    provider: dict[str, Any]
    blueprint: dict[str, Any]
    repository: dict[str, Any]
    ttl_seconds: int
    owner: str
    name: str | None = None
    idle_seconds: int | None = None
    idle_discard: bool = False
    idle_stops: bool = False
    rescue: bool = False
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    agent_home: str | None = None
    keep_on_error: bool = False
    source: dict[str, Any] | None = None


def create(
    core: Core,
    wanted: NewEnvironment,
    key: str | None = None,
    *,
    offer: Offer = FREE,
    month_limit: float = inf,
    most_live: float = inf,
) -> EnvironmentRow:
    """Commit the intent: the row, the names of everything it may ever own, its secrets. Nothing is started.

    With an idempotency `key` a repeat returns what the first request made. `offer`: what its machine would cost;
    BudgetError when its owner would come over `month_limit` (USD) by it, or over `most_live` environments.
    """
    mine: idempotency.Claim | None = None
    if key is not None:
        content = json.dumps(asdict(wanted), sort_keys=True, separators=(",", ":")).encode("utf-8")
        fingerprint = core.safe.fingerprint(content)
        with core.write() as session:
            now, let_go = core.clock().wall, key in core.dropped
            mine = idempotency.claim(session, key, fingerprint, core.instance, now, let_go=let_go)
        core.dropped.discard(key)
        if mine.environment_id is not None:
            with core.database.read() as session:
                return _existing(session, mine.environment_id)
    try:
        return _insert(core, wanted, mine, offer=offer, month_limit=month_limit, most_live=most_live)
    except BaseException:
        if mine is not None:
            # What went wrong is what is told, also when the same fault keeps the key from being let go of.
            try:
                with core.write() as session:
                    idempotency.release(session, mine)
            except SQLAlchemyError:
                core.dropped.add(mine.key)
        raise


def resolve(session: Session, ref: str, *, prefer: str | None = None) -> EnvironmentRow:
    """The environment that an id, a unique prefix of one, or a name means; of several, the one that `prefer` owns."""
    found = environments.find(session, ref) if ref else []
    if prefer is not None and [row.id for row in found] != [ref.upper()]:
        # Of a name that others use too one's own is meant, though it may have ended: never a colleague's in its place.
        mine = environments.latest_of(session, prefer, ref)
        found = [mine] if mine is not None else found
    if not found:
        raise NotFoundError(f"there is no environment {ref[:64]!r}", hint="see fuelctl ls --all", code="not_found")
    if len(found) > 1:
        candidates = [{"id": row.id, "name": row.name, "status": row.status} for row in found]
        raise ConflictError(
            f"{ref[:64]!r} may mean {len(found)} environments",
            hint="use more of the id",
            code="ambiguous",
            details={"candidates": candidates},
        )
    return found[0]


def begin_provisioning(core: Core, environment_id: str) -> str | None:
    """The source is there: the id of the operation to start, or None when there is nothing to start."""
    with core.write() as session:
        row = _existing(session, environment_id)
        if row.status != Status.PROVISIONING or row.operation not in (None, Operation.PROVISION):
            return None
        if row.operation_id is None:
            source = {**row.source, "complete": True} if row.source is not None else None
            operation_id = new_ulid(core.clock().wall)
            environments.change(
                session,
                environment_id,
                source=source,
                operation=Operation.PROVISION,
                operation_id=operation_id,
                check_at=core.clock().wall,
            )
            events.append(session, environment_id, [core.event("remote.provision.start", {"name": row.name})])
            core.audit(session, "environment.provision", environment_id)
            return operation_id
        return row.operation_id


def begin_termination(
    core: Core,
    environment_id: str,
    *,
    discard: bool,
    by: str,
    error: dict[str, Any] | None = None,
    if_activity: dict[str, Any] | None = None,
    if_ttl: int | None = None,
    until: float | None = None,
    rescue: bool = False,
) -> tuple[EnvironmentRow, str | None]:
    """End it: the row, and the id of the operation to start (None when there is nothing left to do).

    `by` says who wants it (`user`, `ttl` ...); with an `error` it ends as `error` and not as `terminated`.

    `until`: epoch seconds at which its machine is gone, whatever is done.

    With `rescue` its work is saved first, whether or not that was wanted when it was made.

    With `if_activity` nothing is done when the row's activity is another one by now, and with `if_ttl` (seconds) when
    its lease is a longer one.

    Twice is harmless: an ending under way goes on; only a `discard` that the first one lacked starts it anew.
    """
    with core.write() as session:
        row = _existing(session, environment_id)
        if row.ended_at is not None or (if_activity is not None and row.activity != if_activity):
            return row, None
        if if_ttl is not None and row.ttl_seconds > if_ttl:
            return row, None
        under_way = row.operation == Operation.TERMINATE
        if under_way and (row.operation_options.get("discard") or not discard):
            return row, row.operation_id
        cancels = row.status in (Status.PROVISIONING, Status.ERROR)
        operation_id = new_ulid(core.clock().wall)
        # What a provisioning had put there so far came from the caller: nothing can be lost.
        values: dict[str, Any] = {
            "operation": Operation.TERMINATE,
            "operation_id": operation_id,
            "operation_options": {
                "discard": discard or cancels or bool(row.operation_options.get("discard")),
                **({"rescue": True} if rescue else {}),
            },
            "ended_by": by,
            "check_at": core.clock().wall,
            "retries": row.retries if row.status == Status.TERMINATING else 0,
        }
        if until is not None:
            values["operation_options"] |= {"until": until}
        if row.status != Status.TERMINATING:
            failed = error is not None or (row.status == Status.ERROR and by != "user")
            values |= {"resting_status": row.status, "ends_as": Status.ERROR if failed else Status.TERMINATED}
            values |= {"error": error} if error is not None else {}
        if cancels:
            values["status"] = Status.TERMINATING
        environments.change(session, environment_id, **values)
        again = row.status == Status.TERMINATING and not under_way
        if by == "user" or not again:
            asked = {"operation": Operation.TERMINATE, "by": by, "discard": discard}
            core.audit(session, "environment.terminate", environment_id, before={"status": row.status}, after=asked)
        if again:
            return _existing(session, environment_id), operation_id
        started = [core.event("remote.terminate.start", {"by": by, "discard": discard})]
        if cancels:
            started.append(core.event("remote.update", {"status": Status.TERMINATING}))
        events.append(session, environment_id, started)
        return _existing(session, environment_id), operation_id


def renew_operation(core: Core, environment_id: str, operation_id: str) -> str | None:
    """A new id for an operation whose workflow ended without settling it; None when it is not the current one."""
    with core.write() as session:
        row = _existing(session, environment_id)
        if row.operation_id != operation_id or row.ended_at is not None:
            return None
        renewed = new_ulid(core.clock().wall)
        environments.change(session, environment_id, operation_id=renewed)
        return renewed


def extend_lease(
    core: Core,
    environment_id: str,
    ttl_seconds: int,
    move: MoveDeadline,
    month_limit: float = inf,
    *,
    max_ttl: float = inf,
) -> EnvironmentRow:
    """At least `ttl_seconds` from now on: first for the watchdog on the machine, by `move`, then in the lease.

    It lives no longer than `max_ttl` seconds in all: it gets what is left of them, ConflictError when there is nothing.
    BudgetError when its owner would come over `month_limit` (USD) by the longer lease.

    Whoever dies between the two leaves a watchdog that is later than the lease, and the reaper ends it at the lease.
    """
    now = core.clock()
    with core.database.read() as session:
        row = _existing(session, environment_id)
        planned = extend(lease_of(row), _allowed(row, ttl_seconds, max_ttl, now), now)
        offered, longer = offer_of(row.provider, now.wall), (row.expires_at, planned.expires_at)
        cost = budget.check(session, row.owner, offered, month_limit, now=now.wall, lease=longer)
    armed = _has_watchdog(row)
    with core.write(durable=False) as session:
        # The machine takes seconds to be told: silence must not end it meanwhile.
        idle_work.touch(session, environment_id, "person", now)
    if armed:
        move(row, planned.expires_at)
    _crashpoints.reach("extend.moved")
    with core.write() as session:
        row = _existing(session, environment_id)
        if _has_watchdog(row) != armed:
            raise _busy(row)
        lease = later(lease_of(row), planned, core.clock())
        values = lease_values(lease)
        # Whoever wants it to live longer is at work with it.
        values |= idle_work.values(row, "person", core.clock())
        ends, later_end = {"expires_at": row.expires_at}, {"expires_at": lease.expires_at}
        environments.change(session, environment_id, **values, check_at=core.clock().wall)
        core.audit(session, "environment.extend", environment_id, before=ends, after=later_end)
        events.append(session, environment_id, [core.event("remote.update", {"ttl_seconds": lease.ttl_seconds})])
        budget.warn(session, row, cost, month_limit, now.wall)
        return _existing(session, environment_id)


def _allowed(row: EnvironmentRow, ttl_seconds: int, max_ttl: float, now: Now) -> int:
    """How many seconds from now it may have; ConflictError when it has all that there are already."""
    lease = lease_of(row)
    allowed = within(lease, ttl_seconds, max_ttl, now)
    if allowed < ttl_seconds and allowed <= lease.seconds_left(now) and row.ended_at is None:
        raise ConflictError(
            f"{row.name} lives for {policy.words(max_ttl)} in all, and no more is allowed on this server",
            hint="push what is in it, and start a new one: fuelctl up",
            code="at_the_limit",
            where=row.name,
        )
    return allowed


def _has_watchdog(row: EnvironmentRow) -> bool:
    """Whether its lease is kept on a machine too; ConflictError while its lease cannot be extended."""
    if row.ended_at is not None or row.status == Status.TERMINATING:
        raise ConflictError(
            f"{row.name} is {row.status}", hint="start a new one: fuelctl up", code="not_live", where=row.name
        )
    if row.operation is not None:
        raise _busy(row)
    # One whose source is still on its way has no machine yet.
    return row.status != Status.PROVISIONING


def _busy(row: EnvironmentRow) -> ConflictError:
    doing = "ended" if row.operation == Operation.TERMINATE else "provisioned"
    return ConflictError(
        f"{row.name} is being {doing}",
        hint=f"extend it when that is over; see fuelctl status {row.name}",
        code="busy",
        where=row.name,
    )


def lease_of(row: EnvironmentRow | Due) -> Lease:
    """The row's lease."""
    return Lease(row.ttl_seconds, row.idle_seconds, row.expires_at, row.lease_boot_id, row.lease_boottime)


def lease_values(lease: Lease) -> dict[str, Any]:
    """The lease as the row's columns."""
    return {
        "ttl_seconds": lease.ttl_seconds,
        "idle_seconds": lease.idle_seconds,
        "expires_at": lease.expires_at,
        "lease_boot_id": lease.boot_id,
        "lease_boottime": lease.boottime,
    }


def _insert(
    core: Core,
    wanted: NewEnvironment,
    claim: idempotency.Claim | None,
    *,
    offer: Offer,
    month_limit: float,
    most_live: float,
) -> EnvironmentRow:
    now = core.clock()
    token = random_secrets.token_urlsafe(32)
    blueprint = json.dumps(wanted.blueprint, sort_keys=True, separators=(",", ":"), allow_nan=False)
    try:
        with core.write() as session:
            budget.take_turn(session, wanted.owner)
            budget.check_count(session, wanted.owner, most_live)
            lease = (now.wall, now.wall + wanted.ttl_seconds)
            cost = budget.check(session, wanted.owner, offer, month_limit, now=now.wall, lease=lease)
            row = EnvironmentRow(
                id=new_ulid(now.wall),
                owner=wanted.owner,
                name=_name(session, wanted),
                status=Status.PROVISIONING,
                attempt=1,
                fence=0,
                version=1,
                operation_options={},
                retries=0,
                provider=wanted.provider | {"offer": {"hourly": offer.hourly, "ceiling": offer.ceiling}},
                blueprint=wanted.blueprint,
                blueprint_sha256=hashlib.sha256(blueprint.encode("utf-8")).hexdigest(),
                repository=wanted.repository,
                workspace_id=workspaces.of_repository(core, session, wanted.repository),
                source={**wanted.source, "complete": False} if wanted.source else None,
                agent_home=wanted.agent_home,
                keep_on_error=wanted.keep_on_error,
                idle_discard=wanted.idle_discard,
                idle_stops=wanted.idle_stops,
                rescue=wanted.rescue,
                created_at=now.wall,
                conditions=[],
                stages=[],
                token_sha256=hashlib.sha256(token.encode("ascii")).hexdigest(),
                **lease_values(new_lease(wanted.ttl_seconds, wanted.idle_seconds, now)),
            )
            environments.add(session, row, check_at=now.wall)
            resources.intend(session, row.id, row.attempt, now.wall)
            core.safe.put(session, row.id, {**wanted.secrets, CALLBACK_TOKEN: token})
            events.append(session, row.id, [core.event("remote.update", {"status": row.status})])
            budget.warn(session, row, cost, month_limit, now.wall)
            core.audit(session, "environment.create", row.id, after=_facts(row))
            if claim is not None:
                idempotency.complete(session, claim, row.id)
            return row
    except IntegrityError as error:
        raise _taken(wanted.name or "that name") from error


def _facts(row: EnvironmentRow) -> dict[str, Any]:
    """What the audit log says of a new environment."""
    told = {"owner": row.owner, "name": row.name, "provider": row.provider["name"], "ttl_seconds": row.ttl_seconds}
    return {**told, "blueprint_sha256": row.blueprint_sha256}


def _name(session: Session, wanted: NewEnvironment) -> str:
    query = select(EnvironmentRow.name).where(EnvironmentRow.owner == wanted.owner, EnvironmentRow.ended_at.is_(None))
    taken = set(session.scalars(query))
    if wanted.name is not None:
        if check_environment_name(wanted.name) in taken:
            raise _taken(wanted.name)
        return wanted.name
    stem = _NOT_IN_A_NAME.sub("-", str(wanted.repository.get("name") or "").lower()).strip("-") or "environment"
    for number in range(1, _MOST_NAMES_TRIED):
        ending = f"-{number}" if number > 1 else ""
        name = stem[: _LONGEST_NAME - len(ending)].strip("-") + ending
        if name not in taken:
            return check_environment_name(name)
    raise _taken(stem)


def _taken(name: str) -> ConflictError:
    return ConflictError(
        f"the name {name} is taken by an environment that is still there",
        hint=f"choose another with --name, or end it: fuelctl down {name}",
        code="name_taken",
        where=name,
    )


def _existing(session: Session, environment_id: str) -> EnvironmentRow:
    row = environments.get(session, environment_id)
    if row is None:
        raise NotFoundError(
            "there is no such environment", hint="see fuelctl ls --all", where=environment_id, code="not_found"
        )
    return row
