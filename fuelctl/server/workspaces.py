# SPDX-License-Identifier: GPL-3.0-or-later
"""/api/workspaces: the repositories, and folders of them, that environments belong to."""

from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from fuelctl._shared._errors import UsageError
from fuelctl.environments import workspaces as places
from fuelctl.environments.clock import rfc3339
from fuelctl.server.parts import parts
from fuelctl.server.place_types import PageQuery, WorkspaceIn, WorkspaceOut, WorkspacesOut
from fuelctl.server.types import ProblemOut
from fuelctl.store import workspaces
from fuelctl.store.models import WorkspaceRow

api = APIBlueprint(
    "workspaces", __name__, url_prefix="/api/workspaces", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut}
)


@api.get("", responses={200: WorkspacesOut}, summary="List workspaces")
def listing(query: PageQuery) -> Response:
    """Everybody's, the newest first, with how many of their environments live."""
    with parts().core.database.read() as session:
        rows = workspaces.page(session, after=query.cursor, limit=query.limit + 1)
        shown, more = rows[: query.limit], len(rows) > query.limit
        live = workspaces.live(session, [row.id for row in shown])
    found = [_view(row, live.get(row.id, 0)) for row in shown]
    return jsonify(workspaces=found, cursor=shown[-1].id if more else None)


@api.post("", responses={200: WorkspaceOut, 201: WorkspaceOut}, summary="Make a workspace")
def create(body: WorkspaceIn) -> tuple[Response, int]:
    """201; or 200 with the one that there is. Environments make theirs by themselves."""
    core, url = parts().core, places.normal(body.url)
    if url is None:
        raise UsageError(
            "that is no address of a repository that others could have", hint="https://HOST/PATH, or git@HOST:PATH",
            where="url", code="invalid_address",
        )  # fmt: skip
    folder = places.normal_folder(body.folder)
    with core.write() as session:
        row, new = places.put(core, session, url, folder)
        if new:
            core.audit(session, "workspace.create", row.id, after={"url": row.url, "folder": row.folder})
        live = workspaces.live(session, [row.id]).get(row.id, 0)
        return jsonify(_view(row, live)), 201 if new else 200


def _view(row: WorkspaceRow, live: int) -> dict[str, object]:
    facts = {"id": row.id, "url": row.url, "folder": row.folder, "name": row.name}
    return {**facts, "created_at": rfc3339(row.created_at), "live": live}
