# SPDX-License-Identifier: GPL-3.0-or-later
"""/api/tokens: one's own personal tokens; an admin's view of everybody's."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from fuelctl.accounts import tokens
from fuelctl.accounts.roles import Action, allowed
from fuelctl.accounts.users import existing
from fuelctl.environments.clock import rfc3339
from fuelctl.server.account_types import NewTokenOut, TokenIn, TokenOut, TokenPath, TokensOut, TokensQuery
from fuelctl.server.guard import caller, demand
from fuelctl.server.parts import parts
from fuelctl.server.types import ProblemOut
from fuelctl.store import users
from fuelctl.store.models import TokenRow, UserRow

api = APIBlueprint("tokens", __name__, url_prefix="/api/tokens", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})
#: Of nobody: only who may do it to everybody's tokens may do it to all of them.
_EVERYBODY = ""


@api.get("", responses={200: TokensOut}, summary="List tokens")
def listing(query: TokensQuery) -> Response:
    """One's own, without their secrets; for an admin those of `user`, or of everybody."""
    whose = _EVERYBODY if query.everybody else query.user or caller().name
    demand(whose)
    core = parts().core
    with core.database.read() as session:
        user = users.by_name(session, whose) if whose else None
        # The machine's own user, on the embedded server, has none and needs none.
        found = users.tokens(session, user.id if user else None) if user or query.everybody else []
        return jsonify(tokens=[token_view(row, of, core.clock().wall) for row, of in found])


@api.post("", responses={201: NewTokenOut}, summary="Make a token")
def create(body: TokenIn) -> tuple[Response, int]:
    """Its secret is in this answer and never again. It does not outlive the one it is made with, unless by an admin."""
    whose = body.user or caller().name
    demand(whose)
    core = parts().core
    with core.write() as session:
        user = existing(session, whose)
        issued = tokens.issue(core, session, user, name=body.name, scope=body.scope, days=body.days, by=caller())
    return secret({**token_view(issued.row, issued.user, core.clock().wall), "token": issued.text}), 201


@api.delete("/<id>", responses={200: TokenOut}, summary="Revoke a token")
def revoke(path: TokenPath) -> Response:
    """From now on it opens nothing. Twice is harmless."""
    core = parts().core
    identity = caller()
    # What is not one's own is not found: whether there is such a token is nobody else's business.
    anybodys = allowed(identity.role, identity.scope, Action.TOKENS, own=False)
    with core.write() as session:
        row, user = tokens.revoke(core, session, path.id, of=None if anybodys else identity.name)
        return jsonify(token_view(row, user, core.clock().wall))


def token_view(row: TokenRow, user: UserRow, now: float) -> dict[str, Any]:
    """What is shown of a token."""
    times = {name: rfc3339(getattr(row, name)) for name in ("created_at", "expires_at", "revoked_at", "last_used_at")}
    facts = {"id": row.id, "user": user.name, "name": row.name, "scope": row.scope, "made_with": row.made_with}
    return {**facts, **times, "good": tokens.is_good(row, user, now)}


def secret(document: dict[str, Any]) -> Response:
    """An answer that no cache keeps."""
    response = jsonify(document)
    response.headers["Cache-Control"] = "no-store"
    return response
