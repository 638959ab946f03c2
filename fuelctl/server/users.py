# SPDX-License-Identifier: GPL-3.0-or-later
"""/api/users: who may use this server. For admins."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from fuelctl.accounts import users
from fuelctl.environments.clock import rfc3339
from fuelctl.server.account_types import NewUserOut, UserChangeIn, UserIn, UserOut, UserPath, UsersOut
from fuelctl.server.guard import caller
from fuelctl.server.parts import parts
from fuelctl.server.tokens import secret, token_view
from fuelctl.server.types import ProblemOut
from fuelctl.store import users as rows
from fuelctl.store.models import UserRow

api = APIBlueprint("users", __name__, url_prefix="/api/users", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})


@api.get("", responses={200: UsersOut}, summary="List users")
def listing() -> Response:
    """Everybody, disabled ones too."""
    with parts().core.database.read() as session:
        return jsonify(users=[_view(user) for user in rows.all_users(session)])


@api.post("", responses={201: NewUserOut}, summary="Add a user")
def add(body: UserIn) -> tuple[Response, int]:
    """With a first token, which is shown in this answer and never again."""
    core = parts().core
    issued = users.add(core, body.name, body.role, days=body.days, by=caller())
    token = {**token_view(issued.row, issued.user, core.clock().wall), "token": issued.text}
    return secret({**_view(issued.user), "token": token}), 201


@api.patch("/<name>", responses={200: UserOut}, summary="Change a user")
def change(path: UserPath, body: UserChangeIn) -> Response:
    """Another role, or disabled, or enabled again; it holds from the next request on. The last admin stays one."""
    return jsonify(_view(users.change(parts().core, path.name, role=body.role, disabled=body.disabled)))


def _view(user: UserRow) -> dict[str, Any]:
    times = {"created_at": rfc3339(user.created_at), "disabled_at": rfc3339(user.disabled_at)}
    return {"name": user.name, "role": user.role, **times}
