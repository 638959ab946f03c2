# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment tells about itself, with its own token: good for its own callbacks only, dead at its end."""

from __future__ import annotations

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint

from fuelctl._shared._activity import parse_sample
from fuelctl.environments import idle_work, interruption
from fuelctl.environments.activity import take_in
from fuelctl.environments.registry import authenticate
from fuelctl.environments.states import Operation
from fuelctl.server.guard import count_failure
from fuelctl.server.parts import parts
from fuelctl.server.problems import Problem
from fuelctl.server.types import AcceptedOut, EventsIn, HeartbeatIn, ProblemOut, RefPath, ReportIn
from fuelctl.store import events
from fuelctl.store.events import NewEvent

#: Bytes. The spool sends at most 200 lines of 4 KiB at a time.
_LARGEST_BODY = 1024 * 1024

api = APIBlueprint(
    "callbacks", __name__, url_prefix="/api/remote", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut}
)


@api.post("/<ref>/events", responses={200: AcceptedOut}, summary="Report events")
def report(path: RefPath, body: EventsIn) -> Response:
    """A batch of `session.*` and `tool.*` events, in any order; known ones (by id) are passed over."""
    core = parts().core
    now = core.clock().wall
    told = [NewEvent(item.type, item.data, item.at or now, item.id) for item in body.events]
    own = _allowed(path.ref, len(told))
    with core.write(durable=False) as session:
        accepted = take_in(core, session, own, told)
        if accepted:
            idle_work.touch(session, own, "agent", core.clock())
    return jsonify(accepted=accepted)


@api.post("/<ref>/heartbeat", responses={200: AcceptedOut}, summary="Say that it lives")
def heartbeat(path: RefPath, body: HeartbeatIn) -> Response:
    """Its sample is taken in as a look into it is; the same again, or an older one, changes nothing. Written soon."""
    given = parts()
    own = _allowed(path.ref)
    sample = parse_sample(body.sample.replace("|", "\n")) if body.sample else None
    given.heartbeats.take(given.core, own, sample)
    if body.notice is not None:
        operation_id = interruption.noticed(given.core, own, body.notice.model_dump())
        if operation_id is not None:
            given.start(Operation.TERMINATE, own, operation_id)
    return jsonify(accepted=1)


@api.post("/<ref>/ready", responses={200: AcceptedOut}, summary="Say that it is up")
def ready(path: RefPath, body: ReportIn) -> Response:
    """Recorded as an event: what makes an environment ready is the control plane's own check."""
    return _recorded(path.ref, "remote.report.ready", body)


@api.post("/<ref>/error", responses={200: AcceptedOut}, summary="Say that something is wrong")
def error(path: RefPath, body: ReportIn) -> Response:
    """Recorded as an event."""
    return _recorded(path.ref, "remote.report.error", body)


def _recorded(ref: str, type_: str, body: ReportIn) -> Response:
    core = parts().core
    environment_id = _allowed(ref)
    with core.write() as session:
        events.append(session, environment_id, [core.event(type_, {"message": body.message, **body.data})])
    return jsonify(accepted=1)


@api.before_request
def _small() -> None:
    """What an environment says is brief; a flood is refused before it is read."""
    request.max_content_length = _LARGEST_BODY


def _allowed(ref: str, count: int = 1) -> str:
    """The environment's id when the request carries its token, the same 401 whatever is wrong; 429 when it is too much.

    Asked by reading alone: who is refused keeps nobody from writing.
    """
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    with parts().core.database.read() as session:
        known = scheme.lower() == "bearer" and authenticate(session, ref, token)
    if not known:
        count_failure(parts())
        raise Problem(
            401,
            "this is not the token of that environment",
            hint="send `Authorization: Bearer TOKEN` with its own token; it is good until the environment ends",
            code="unauthorized",
        )
    wait = parts().rates.take(ref.upper(), count)
    if wait:
        raise Problem(
            429,
            "this environment tells too much at once",
            hint=f"send it again after {wait} s; events that were sent twice are taken in once",
            code="too_many_events",
            headers={"Retry-After": str(wait)},
        )
    return ref.upper()
