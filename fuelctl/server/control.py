# SPDX-License-Identifier: GPL-3.0-or-later
"""The server about itself: health, readiness, its contract, and its end."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

from flask import Response, current_app, jsonify
from flask_openapi3 import APIBlueprint
from sqlalchemy.exc import SQLAlchemyError

from fuelctl import __version__
from fuelctl.environments import reaping
from fuelctl.server import health
from fuelctl.server.parts import parts
from fuelctl.server.types import HealthOut, ProblemOut, ReadyOut, ServerOut, StopIn, StopOut
from fuelctl.store import figures

api = APIBlueprint("control", __name__, abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})


@api.get("/healthz", responses={200: HealthOut}, summary="Does it live")
def healthz() -> Response:
    """No database is asked."""
    given = parts()
    return jsonify(
        status="ok",
        version=__version__,
        pid=os.getpid(),
        instance=given.core.instance,
        stopping=given.stopping() or given.draining(),
        operations=len(given.operations()),
    )


@api.get("/readyz", responses={200: ReadyOut, 503: ReadyOut}, summary="Can it work")
def readyz() -> tuple[Response, int]:
    """Whether the database answers and is of this version, the disk has room, workers are there, the reaper goes round.

    A server that has just begun is given a few periods for its first round.
    """
    state = health.look(parts(), time.monotonic() - parts().began)
    answer = jsonify(
        status="ok" if state.good else "unavailable",
        database=state.database,
        migrated=state.migrated,
        disk=state.disk,
        workers=state.workers,
        reaper=state.reaper,
    )
    return answer, 200 if state.good else 503


@api.get("/api/server", responses={200: ServerOut}, summary="What there is to know of the server")
def server() -> Response:
    """For people; monitoring reads /readyz and /metrics."""
    given = parts()
    with given.core.database.read() as session:
        found = figures.read(session)
    now = given.core.clock().wall
    return jsonify(
        version=__version__,
        database="sqlite" if given.core.database.is_sqlite else "postgresql",
        live=sum(found.statuses.values()),
        operations=sum(found.operations.values()),
        workers=found.workers,
        reaper=reaping.shown(reaping.last(given.core), now, given.settings.reaper_seconds),
    )


@api.get("/api/openapi.json", summary="This contract", doc_ui=False)
def document() -> Response:
    """The OpenAPI document."""
    app: Any = current_app
    return jsonify(app.api_doc)


@api.post("/api/server/stop", responses={202: StopOut}, summary="Stop the server")
def stop(body: StopIn) -> tuple[Response, int]:
    """Waits for work under way; what is not done by then is parked and goes on when the server starts again."""
    core = parts().core
    # A server that cannot write any more can still be stopped.
    with suppress(SQLAlchemyError), core.write() as session:
        core.audit(session, "server.stop", "server", after={"wait_seconds": body.wait_seconds})
    return jsonify(stopping=True, waiting_for=parts().stop(body.wait_seconds)), 202
