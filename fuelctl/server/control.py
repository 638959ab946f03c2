# SPDX-License-Identifier: GPL-3.0-or-later
"""The server about itself: health, readiness, its contract, and its end."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, cast

from flask import Response, current_app, jsonify
from flask_openapi3 import APIBlueprint
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from fuelctl import __version__
from fuelctl.server.parts import parts
from fuelctl.server.types import HealthOut, ProblemOut, ReadyOut, StopIn, StopOut
from fuelctl.store.models import SettingRow

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
    """Asks the database, and says when the reaper last went round."""
    reaper: dict[str, Any] = {"last_cycle_at": None}
    try:
        with parts().core.database.read() as session:
            session.execute(text("SELECT 1"))
            row = session.get(SettingRow, "reaper")
            reaper = row.value if row else reaper
    except SQLAlchemyError:
        return jsonify(status="unavailable", database=False, reaper=reaper), 503
    return jsonify(status="ok", database=True, reaper=reaper), 200


@api.get("/api/openapi.json", summary="This contract", doc_ui=False)
def document() -> Response:
    """The OpenAPI document."""
    return jsonify(cast("Any", current_app).api_doc)


@api.post("/api/server/stop", responses={202: StopOut}, summary="Stop the server")
def stop(body: StopIn) -> tuple[Response, int]:
    """Waits for work under way; what is not done by then is parked and goes on when the server starts again."""
    core = parts().core
    # A server that cannot write any more can still be stopped.
    with suppress(SQLAlchemyError), core.write() as session:
        core.audit(session, "server.stop", "server", after={"wait_seconds": body.wait_seconds})
    return jsonify(stopping=True, waiting_for=parts().stop(body.wait_seconds)), 202
