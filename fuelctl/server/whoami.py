# SPDX-License-Identifier: GPL-3.0-or-later
"""/api/whoami: who a token makes you, and how you give it up."""

from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from fuelctl.accounts import tokens
from fuelctl.server.account_types import TokenOut, WhoamiOut
from fuelctl.server.guard import caller
from fuelctl.server.parts import parts
from fuelctl.server.problems import Problem
from fuelctl.server.tokens import token_view
from fuelctl.server.types import ProblemOut
from fuelctl.store import users

api = APIBlueprint("whoami", __name__, url_prefix="/api/whoami", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})


@api.get("", responses={200: WhoamiOut}, summary="Who am I")
def whoami() -> Response:
    """The user, the role, and the token that was sent."""
    identity, core = caller(), parts().core
    token = None
    if identity.token_id is not None:
        with core.database.read() as session:
            found = users.token(session, identity.token_id)
            token = token_view(*found, core.clock().wall) if found else None
    return jsonify(name=identity.name, role=identity.role, scope=identity.scope, token=token)


@api.delete("", responses={200: TokenOut}, summary="Give the token up")
def forget() -> Response:
    """The token that was sent opens nothing from now on, whatever its scope. 409 without one, on the own socket."""
    identity, core = caller(), parts().core
    if identity.token_id is None:
        raise Problem(409, "nobody needs a token here", hint="there is nothing to give up", code="no_token")
    with core.write() as session:
        row, user = tokens.revoke(core, session, identity.token_id)
        return jsonify(token_view(row, user, core.clock().wall))
