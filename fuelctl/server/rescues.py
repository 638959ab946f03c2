# SPDX-License-Identifier: GPL-3.0-or-later
"""/api/rescues: work that was saved before an environment ended. Its owner's, and an admin's, to see and to fetch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint
from pydantic import BaseModel, Field

from fuelctl.accounts.roles import Action, allowed
from fuelctl.environments import rescues
from fuelctl.server.guard import caller, demand
from fuelctl.server.parts import parts
from fuelctl.server.problems import Problem
from fuelctl.server.types import ProblemOut, RefPath
from fuelctl.store.models import RescueRow

api = APIBlueprint("rescues", __name__, url_prefix="/api/rescues", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})
_BLOCK = 1 << 20


class RescueOut(BaseModel):
    """One rescue."""

    id: str
    environment_id: str
    name: str
    owner: str
    created_at: str
    size: int = Field(description="Of its content, one tar file, in bytes.")
    sha256: str
    complete: bool = Field(description="Whether no work had to be left out.")
    commit: str | None
    branch: str | None
    counts: dict[str, int] | None
    left_out: dict[str, Any] | None
    unfinished: list[str] | None
    blueprint: dict[str, Any] | None
    repository: dict[str, Any] | None
    provider: dict[str, Any] | None


class RescuesOut(BaseModel):
    """Rescues, newest first."""

    rescues: list[RescueOut]


class RescuesQuery(BaseModel):
    """Which."""

    environment: str | None = Field(default=None, max_length=26, description="The id of an environment.")
    everybody: bool = Field(default=False, description="For admins: everybody's.")


@api.get("", responses={200: RescuesOut}, summary="List rescues")
def listing(query: RescuesQuery) -> Response:
    """One's own; an admin's view of everybody's."""
    identity = caller()
    whose = None if query.everybody else identity.name
    demand(whose or "")
    with parts().core.database.read() as session:
        found = rescues.listing(session, owner=whose, environment=query.environment)
    return jsonify(rescues=[rescues.view(row) for row in found])


@api.get("/<ref>", responses={200: RescueOut}, summary="Show a rescue")
def show(path: RefPath) -> Response:
    """What is in it, what did not go along, and what its environment was made of."""
    return jsonify(rescues.view(find(path.ref)))


@api.get("/<ref>/content", summary="Fetch a rescue")
def content_of(path: RefPath) -> Response:
    """Its one tar file; `sha256` of the rescue is its digest."""
    row = find(path.ref)
    stream = rescues.content(parts().core, row)
    core = parts().core
    with core.write() as session:
        core.audit(session, "rescue.fetch", row.id, after={"environment": row.environment_id, "owner": row.owner})
    answer = Response(_blocks(stream), mimetype="application/x-tar")
    answer.content_length = row.size
    answer.headers["Cache-Control"] = "no-store"
    return answer


@api.delete("/<ref>", responses={200: RescueOut}, summary="Forget a rescue")
def remove(path: RefPath) -> Response:
    """Its content is gone for good."""
    row = find(path.ref)
    rescues.remove(parts().core, row.id)
    return jsonify(rescues.view(row))


def find(ref: str) -> RescueRow:
    """The rescue meant, the caller's own before others of that name; 404, or 403 when it is not theirs to have."""
    identity = caller()
    with parts().core.database.read() as session:
        row = rescues.resolve(session, ref, prefer=identity.name)
    own = row.owner == identity.name
    if not allowed(identity.role, identity.scope, Action.CHANGE, own=own):
        # Also where the route itself asks for less: to make an environment of somebody else's work is to have it.
        raise Problem(403, f"this rescue is {row.owner}'s", hint="ask them, or an admin", code="not_yours")
    return row


def content(row: RescueRow) -> BinaryIO:
    """The bytes of its tar file; to be closed."""
    return rescues.content(parts().core, row)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while block := stream.read(_BLOCK):
            yield block
