# SPDX-License-Identifier: GPL-3.0-or-later
"""WS /api/ws?environment=&workspace=&after=: the stored event log from a cursor, then live."""

from __future__ import annotations

from flask import Response, request
from flask_openapi3 import OpenAPI
from flask_openapi3.types import ResponseDict
from pydantic import ValidationError

from fuelctl.environments.workspaces import normal
from fuelctl.server.followers import hub_of
from fuelctl.server.guard import caller
from fuelctl.server.hand_over import Detached, Follow, Ticket, handshake, take_out, too_many, turn_away
from fuelctl.server.parts import Parts, parts
from fuelctl.server.problems import Problem, on_validation_error
from fuelctl.server.remote import find
from fuelctl.server.requests import request_id
from fuelctl.server.types import ProblemOut, StreamQuery
from fuelctl.store import workspaces

_RESPONSES: ResponseDict = {"4XX": ProblemOut, "5XX": ProblemOut}
#: A channel between two processes carries so much at once.
_LONGEST_TARGET = 8190


def init_app(app: OpenAPI, given: Parts) -> None:
    """Register the route."""

    @app.get("/api/ws", summary="Follow the event log by WebSocket", responses=_RESPONSES)
    def plain(query: StreamQuery) -> Response:  # noqa: ARG001 - it is what the document shows
        """Stored events from a cursor, then live ones; one JSON object per message."""
        raise Problem(426, "this address speaks WebSocket only", hint="poll /api/remote/REF/events", code="upgrade")

    hub = hub_of(given.core, given.settings)
    # The router tells the two apart by the request's Upgrade header.
    app.add_url_rule("/api/ws", "stream.follow", lambda: _follow(given.follow or hub.take), websocket=True)


def _follow(follow: Follow) -> Response:
    given = parts()
    try:
        query = StreamQuery.model_validate(_arguments())
    except ValidationError as error:
        return on_validation_error(error)
    ticket = Ticket(
        headers=handshake(request.headers),
        target=request.full_path[:_LONGEST_TARGET],
        environments=[find(ref).id for ref in query.environment],
        workspaces=_workspaces(given, query.workspace),
        after=query.after,
        token_id=caller().token_id,
        actor=caller().name,
        request_id=request_id(),
    )
    connection, kind = take_out(request.environ)
    try:
        follow(connection, ticket)
    except OSError:
        # Too many are on their way, or who serves them is being begun again.
        turn_away(connection, too_many(ticket.request_id))
        return Detached(kind, 503)
    return Detached(kind)


def _workspaces(given: Parts, words: list[str]) -> list[str]:
    """Ids of those that are meant; Problem 404 for a word that means none, which must not come to mean everything."""
    found: list[str] = []
    with given.core.database.read() as session:
        for word in words:
            meant = workspaces.meant(session, word, normal(word))
            if not meant:
                raise Problem(
                    404, f"there is no workspace {word[:64]!r}", hint="see GET /api/workspaces", code="not_found"
                )
            found += meant
    return found


def _arguments() -> dict[str, object]:
    several = ("environment", "workspace")
    given = request.args.to_dict(flat=False)
    return {name: values if name in several else values[-1] for name, values in given.items()}
