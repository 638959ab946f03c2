# SPDX-License-Identifier: GPL-3.0-or-later
"""/api/remote: make, list, show, end and extend environments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint
from sqlalchemy.orm import Session

from fuelctl import _crashpoints, prices, provider_traits
from fuelctl._reserved import check_keys
from fuelctl._shared._blueprint import from_dict, to_dict
from fuelctl._shared._errors import UsageError
from fuelctl._shared._prices._offer import check_ceiling
from fuelctl.environments import reaping, registry
from fuelctl.environments.access import let_in
from fuelctl.environments.policy import Granted, Policy, grant, words
from fuelctl.environments.power import set_power
from fuelctl.environments.registry import NewEnvironment
from fuelctl.environments.states import ENTERABLE, Operation, Status
from fuelctl.environments.views import detail_view, environment_view
from fuelctl.environments.workspaces import normal
from fuelctl.server import rescues
from fuelctl.server.guard import caller, demand, refusals
from fuelctl.server.paging import cursor, position
from fuelctl.server.parts import Parts, parts
from fuelctl.server.requests import is_about
from fuelctl.server.types import (
    AuthorizeIn,
    CreateHeader,
    CreateIn,
    EnvironmentOut,
    ExtendIn,
    ListOut,
    ListQuery,
    PowerIn,
    ProblemOut,
    RefPath,
    ShowQuery,
    TerminateIn,
)
from fuelctl.store import devices, environments, events, figures, settings, workspaces
from fuelctl.store.environments import Wanted
from fuelctl.store.files import source_key
from fuelctl.store.models import EnvironmentRow, RescueRow

api = APIBlueprint("remote", __name__, url_prefix="/api/remote", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})


@api.post("", responses={202: EnvironmentOut}, summary="Make an environment")
def create(header: CreateHeader, body: CreateIn) -> tuple[Response, int]:
    """Commits the intent and answers; work begins when the source has arrived (at once when there is none)."""
    given = parts()
    saved = rescues.find(body.from_rescue) if body.from_rescue is not None else None
    granted = grant(_policy(given), body.ttl_seconds, body.idle_seconds)
    wanted = _wanted(given, body, granted, saved)
    # Whose it is: its owner's own; or an admin's, on somebody's behalf.
    demand(wanted.owner)
    offered = prices.offer(prices.load().book, body.provider.name, _asked(wanted))
    check_ceiling(offered, body.max_price_hour)
    limits = {
        "month_limit": given.settings.month_limit_usd,
        "most_live": given.settings.max_environments_per_owner,
    }
    with refusals("environment.create", wanted.owner):
        row = registry.create(given.core, wanted, header.idempotency_key, offer=offered, **limits)
    _crashpoints.reach("create.committed")
    if saved is not None and row.status == Status.PROVISIONING and row.operation is None:
        # Where an uploaded source would be; a repeat of the request puts it there once more.
        with rescues.content(saved) as stream:
            given.core.files.put(source_key(row.id), stream, private=True)
        start_provisioning(given, row.id)
    if row.source is None and row.status == Status.PROVISIONING:
        start_provisioning(given, row.id)
    return shown(row, granted.warnings), 202


@api.get("", responses={200: ListOut}, summary="List environments")
def listing(query: ListQuery) -> Response:
    """The newest first; ended and failed ones only with `include_terminated` (or when `status` names them).

    `cursor` of the answer goes into the next request, with the same filters; null after the last page.
    """
    core = parts().core
    with core.database.read() as session:
        wanted = _filter(session, query)
        # One more than is shown, so that the last page says that it is.
        rows = environments.page(session, wanted, after=position(query.cursor), limit=query.limit + 1)
        reaper, working = settings.reaper(session), figures.workers(session)
    shown, more = rows[: query.limit], len(rows) > query.limit
    now = core.clock().wall
    _look(query.observe, shown)
    following = cursor(shown[-1].created_at, shown[-1].id) if more else None
    return jsonify(
        environments=[environment_view(row, now) for row in shown],
        reaper=reaping.shown(reaper, now, parts().settings.reaper_seconds),
        workers=working,
        cursor=following,
    )


def _filter(session: Session, query: ListQuery) -> Wanted:
    """What the query asks for; UsageError for a status that there is not."""
    status = tuple(word for word in (query.status or "").split(",") if word)
    for word in status:
        if word not in set(Status):
            raise UsageError(f"{word!r} is no status", hint=f"one of {', '.join(Status)}", code="invalid_status")
    places = None
    if query.workspace is not None:
        places = tuple(workspaces.meant(session, query.workspace, normal(query.workspace)))
    return Wanted(query.include_terminated, status, query.owner, places)


@api.get("/<ref>", responses={200: EnvironmentOut}, summary="Show an environment")
def show(path: RefPath, query: ShowQuery) -> Response:
    """The environment that an id, a unique prefix of one, or a name means."""
    row = find(path.ref)
    _look(query.observe, [row])
    return shown(row)


@api.post("/<ref>/terminate", responses={202: EnvironmentOut}, summary="End an environment")
def terminate(path: RefPath, body: TerminateIn) -> tuple[Response, int]:
    """Twice is harmless. Without `discard` it is refused (as an event) when work would be lost.

    With `rescue` its work is saved first; all of it saved, nothing is lost.
    """
    given = parts()
    row, operation_id = registry.begin_termination(
        given.core, find(path.ref).id, discard=body.discard, by="user", rescue=body.rescue
    )
    if operation_id is not None:
        given.start(Operation.TERMINATE, row.id, operation_id)
    return shown(row), 202


@api.post("/<ref>/extend", responses={200: EnvironmentOut}, summary="Extend the lease")
def extend(path: RefPath, body: ExtendIn) -> Response:
    """It lives at least `ttl_seconds` from now; a lease is never shortened. 503 when its machine cannot be told.

    Nothing lives longer than `max_ttl_seconds` in all: it gets what is left of them, with a warning; 409 at their end.
    """
    given = parts()
    limit, most, row = given.settings.month_limit_usd, given.settings.max_ttl_seconds, find(path.ref)
    asked_for = given.core.clock().wall + body.ttl_seconds
    with refusals("environment.extend", row.owner):
        row = registry.extend_lease(given.core, row.id, body.ttl_seconds, given.move_deadline, limit, max_ttl=most)
    told = []
    if row.expires_at < asked_for - 1:
        told.append(f"it ends before that: nothing lives longer than {words(most)} in all on this server")
    return shown(row, told)


@api.post("/<ref>/power", responses={200: EnvironmentOut}, summary="Stop its machine, or start it again")
def power(path: RefPath, body: PowerIn) -> Response:
    """What is on its volume is kept; its lease goes on. Answers when its machine is so. Harmless when it is repeated.

    409 where its provider stops no machines, nobody can enter, or a started one would cost more than its owner's month
    allows; 503 when the provider could not be told.
    """
    given, row = parts(), find(path.ref)
    with refusals("environment.power", row.owner):
        limit = given.settings.month_limit_usd
        return shown(set_power(given.core, row, body.state, given.power, month_limit=limit))


@api.post("/<ref>/authorize-ip", responses={200: EnvironmentOut}, summary="Let an address in")
def authorize_ip(path: RefPath, body: AuthorizeIn) -> Response:
    """Opens SSH of its machine to this address, in the place of the ones before; answers when it is open.

    409 where its provider has no such rule; 503 when the provider could not be told.
    """
    given = parts()
    return shown(let_in(given.core, find(path.ref), body.address, given.authorize))


def _look(wanted: bool, rows: list[EnvironmentRow]) -> None:
    """Have the machines asked, when somebody wants to know and there is one that can have something to say."""
    if wanted and any(row.status in ENTERABLE and row.operation is None for row in rows):
        parts().look()


def find(ref: str) -> EnvironmentRow:
    """The environment meant, the caller's own before others of that name; 404, 409, or 403 when it may not be."""
    with parts().core.database.read() as session:
        row = registry.resolve(session, ref, prefer=caller().name)
    is_about(row)
    demand(row.owner)
    return row


def shown(row: EnvironmentRow, warnings: Sequence[str] = ()) -> Response:
    """The environment object, with its device, its timeline, and what is to be said of this request."""
    core = parts().core
    with core.database.read() as session:
        device = devices.of_environment(session, row.id)
        log = events.timeline(session, row.id)
    return jsonify(detail_view(row, core.clock().wall, device=device, log=log, warnings=warnings))


def start_provisioning(given: Parts, environment_id: str) -> None:
    """Everything is there: begin."""
    operation_id = registry.begin_provisioning(given.core, environment_id)
    if operation_id is not None:
        given.start(Operation.PROVISION, environment_id, operation_id)


def _wanted(given: Parts, body: CreateIn, granted: Granted, saved: RescueRow | None) -> NewEnvironment:
    if body.source is not None and body.source.size > given.settings.max_source_bytes:
        raise UsageError(
            f"the source has {body.source.size} bytes; this server takes {given.settings.max_source_bytes}",
            hint="leave large files out of the repository, or raise control_plane.max_source_bytes",
            code="source_too_large",
        )
    if saved is not None and body.source is not None:
        raise UsageError("a rescue is its own source", hint="give one of the two", code="two_sources")
    if body.agent_home is not None and not (given.embedded and Path(body.agent_home).is_absolute()):
        raise UsageError(
            "agent_home must be an absolute path, and only this user's own server can read it",
            hint="leave it out, or use your own server",
            code="agent_home_unusable",
        )
    check_keys(body.provider.options, "provider.options")
    check_keys(body.blueprint, "blueprint")
    blueprint = from_dict(body.blueprint, "blueprint")
    source = body.source.model_dump() if body.source else None
    return NewEnvironment(
        provider={"name": body.provider.name, "options": body.provider.options, "engine": given.engine},
        # Complete, so that what was launched can be read off it when defaults have changed.
        blueprint=to_dict(blueprint),
        repository=_repository(body),
        ttl_seconds=granted.ttl_seconds,
        owner=body.owner or caller().name,
        name=body.name,
        idle_seconds=granted.idle_seconds,
        idle_discard=body.idle_discard,
        idle_stops=blueprint.when_idle == "stop" and provider_traits.of(body.provider.name).stops,
        rescue=body.rescue and blueprint.rescue,
        secrets=body.secrets,
        agent_home=body.agent_home,
        keep_on_error=body.keep_on_error,
        source={"sha256": saved.sha256, "size": saved.size} if saved is not None else source,
    )


def _asked(wanted: NewEnvironment) -> dict[str, Any]:
    """The blueprint with the options that are going to be used, which need not be its own."""
    return {**wanted.blueprint, "provider": {**wanted.blueprint["provider"], "options": wanted.provider["options"]}}


def _repository(body: CreateIn) -> dict[str, Any]:
    return body.repository.model_dump()


def _policy(given: Parts) -> Policy:
    settings = given.settings
    return Policy(settings.default_ttl_seconds, settings.max_ttl_seconds, settings.max_idle_seconds)
