# SPDX-License-Identifier: GPL-3.0-or-later
"""The private key of an environment: handed out once, then gone."""

from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from fuelctl import paths
from fuelctl.server.parts import parts
from fuelctl.server.problems import Problem
from fuelctl.server.remote import find
from fuelctl.server.types import KeyOut, ProblemOut, RefPath
from fuelctl.store import events
from fuelctl.store.models import EnvironmentRow

api = APIBlueprint("keys", __name__, url_prefix="/api/remote", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})


@api.get("/<ref>/ssh-key", responses={200: KeyOut}, summary="Take the key, once")
def take(path: RefPath) -> Response:
    """200 for the first who asks, 410 for everybody after; both are in the event log."""
    core = parts().core
    row = find(path.ref)
    folder = paths.key_folder(row.id)
    private = folder / "id_ed25519"
    with core.write() as session:
        # The row is locked while we look, so that of any number of parallel requests one wins.
        current = session.get_one(EnvironmentRow, row.id, with_for_update=True)
        won = current.key_served_at is None
        if won and not private.exists():
            raise Problem(
                409, f"{row.name} has no key yet; it is {row.status}", hint="wait until it is ready", code="no_key"
            )
        if won:
            current.key_served_at = core.clock().wall
        events.append(session, row.id, [core.event("remote.key", {"outcome": "served" if won else "refused"})])
    if not won:
        raise Problem(
            410,
            f"the key of {row.name} was handed out already",
            hint="if that was not you, end the environment: fuelctl down",
            code="key_gone",
        )
    try:
        content = {
            "private_key": private.read_text(encoding="ascii"),
            "public_key": (folder / "id_ed25519.pub").read_text(encoding="ascii"),
        }
        private.unlink()
    except OSError as error:
        raise Problem(410, f"the key of {row.name} is not there any more", code="key_gone") from error
    response = jsonify(content)
    response.headers["Cache-Control"] = "no-store"
    return response
