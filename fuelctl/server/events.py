# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment's event log: everything after a cursor, held open until there is something new."""

from __future__ import annotations

import time
from dataclasses import asdict

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from fuelctl.environments.views import event_view
from fuelctl.server.parts import parts
from fuelctl.server.remote import find
from fuelctl.server.types import EventsOut, EventsQuery, ProblemOut, RefPath
from fuelctl.store import events
from fuelctl.store.models import EventRow

api = APIBlueprint("events", __name__, url_prefix="/api/remote", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})
_LOOK_AT_LEAST = 1.0


@api.get("/<ref>/events", responses={200: EventsOut}, summary="Follow an environment")
def follow(path: RefPath, query: EventsQuery) -> Response:
    """Events beyond `after`; with `wait`, the answer is held for up to that many seconds until there is one."""
    environment_id = find(path.ref).id
    found = _beyond(environment_id, query.after)
    if not found and query.wait:
        with parts().held.one():
            found = _waited_for(environment_id, query)
    cursor = found[-1].seq if found else query.after
    return jsonify(events=[asdict(event_view(row)) for row in found], cursor=cursor)


def _waited_for(environment_id: str, query: EventsQuery) -> list[EventRow]:
    given = parts()
    end = time.monotonic() + query.wait
    while True:
        rung = given.core.bell.count()
        found = _beyond(environment_id, query.after)
        left = end - time.monotonic()
        if found or left <= 0 or given.stopping():
            return found
        given.core.bell.wait(rung, min(left, _LOOK_AT_LEAST))


def _beyond(environment_id: str, cursor: int) -> list[EventRow]:
    with parts().core.database.read() as session:
        return events.after(session, cursor, environment_id=environment_id)
