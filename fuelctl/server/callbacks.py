# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment tells about itself, with its own token: good for its own callbacks only, dead at its end."""

from __future__ import annotations

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint

from fuelctl._shared._activity import parse_sample
from fuelctl.environments import handlers, interruption
from fuelctl.environments.handlers import Teller
from fuelctl.environments.states import Operation
from fuelctl.server.guard import bearer, count_failure
from fuelctl.server.parts import parts
from fuelctl.server.problems import Problem
from fuelctl.server.types import AcceptedOut, EventsIn, HeartbeatIn, ProblemOut, RefPath, ReportIn
from fuelctl.store.events import NewEvent

#: Bytes. The spool sends at most 200 lines of 4 KiB at a time.
LARGEST_BODY = 1024 * 1024

api = APIBlueprint(
    "callbacks", __name__, url_prefix="/api/remote", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut}
)


@api.post("/<ref>/events", responses={200: AcceptedOut}, summary="Report events")
def report(path: RefPath, body: EventsIn) -> Response:
    """A batch of `session.*` and `tool.*` events, in any order; known ones (by id) are passed over."""
    now = parts().core.clock().wall
    return _told(path.ref, [NewEvent(item.type, item.data, item.at or now, item.id) for item in body.events])


@api.post("/<ref>/heartbeat", responses={200: AcceptedOut}, summary="Say that it lives")
def heartbeat(path: RefPath, body: HeartbeatIn) -> Response:
    """Its sample is taken in as a look into it is; the same again, or an older one, changes nothing. Written soon."""
    given = parts()
    own = _allowed(path.ref)
    sample = parse_sample(body.sample.replace("|", "\n")) if body.sample else None
    given.heartbeats.take(given.core, own, sample)
    if body.notice is not None:
        operation_id = interruption.noticed(given.core, own, body.notice.model_dump(), own_word=True)
        if operation_id is not None:
            given.start(Operation.TERMINATE, own, operation_id)
    return jsonify(accepted=1)


@api.post("/<ref>/ready", responses={200: AcceptedOut}, summary="Say that it is up")
def ready(path: RefPath, body: ReportIn) -> Response:
    """Recorded as an event: what makes an environment ready is the control plane's own check. 409 while it is ended."""
    return _told(path.ref, [_report("remote.provision.ready", body)], durable=True)


@api.post("/<ref>/error", responses={200: AcceptedOut}, summary="Say that something is wrong")
def error(path: RefPath, body: ReportIn) -> Response:
    """Recorded as an event."""
    return _told(path.ref, [_report("remote.provision.error", body)], durable=True)


def _report(type_: str, body: ReportIn) -> NewEvent:
    return parts().core.event(type_, {"message": body.message, **body.data})


def _told(ref: str, told: list[NewEvent], *, durable: bool = False) -> Response:
    """Hand them to their handlers, on behalf of the environment whose token it is."""
    core, own = parts().core, _allowed(ref, max(1, len(told)))
    with core.write(durable=durable) as session:
        accepted = handlers.take_in(core, session, Teller(own), told)
    return jsonify(accepted=accepted)


@api.before_request
def _small() -> None:
    """What an environment says is brief; a flood is refused before it is read."""
    request.max_content_length = LARGEST_BODY


def _allowed(ref: str, count: int = 1) -> str:
    """The environment's id when the request carries its token, the same 401 whatever is wrong; 429 when it is too much.

    Asked by reading alone: who is refused keeps nobody from writing.
    """
    given = parts()
    own = given.own_tokens.whose(given.core.database, bearer())
    if own is None or own != ref.upper():
        raise not_its_token()
    take_turn(own, count)
    return own


def not_its_token() -> Problem:
    """401; 429 when there have been too many from that address."""
    count_failure(parts())
    return Problem(
        401,
        "this is not the token of that environment",
        hint="send `Authorization: Bearer TOKEN` with its own token; it is good until the environment ends",
        code="unauthorized",
    )


def take_turn(whose: str, count: int) -> None:
    """Problem 429 when whoever tells has told too much."""
    wait = parts().rates.take(whose, max(1, count))
    if wait:
        raise Problem(
            429,
            "this environment tells too much at once",
            hint=f"send it again after {wait} s; events that were sent twice are taken in once",
            code="too_many_events",
            headers={"Retry-After": str(wait)},
        )
