# SPDX-License-Identifier: GPL-3.0-or-later
"""/api/devices: environments, and the laptops that people work from."""

from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from fuelctl.accounts.roles import Action, allowed
from fuelctl.environments import devices as register
from fuelctl.environments.views import device_view
from fuelctl.server.guard import caller
from fuelctl.server.parts import parts
from fuelctl.server.place_types import DeviceIn, DeviceOut, DevicesOut, DevicesQuery
from fuelctl.server.types import ProblemOut
from fuelctl.store import devices

api = APIBlueprint("devices", __name__, url_prefix="/api/devices", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})


@api.get("", responses={200: DevicesOut}, summary="List devices")
def listing(query: DevicesQuery) -> Response:
    """Every environment, and one's own laptops; an admin sees everybody's. Ended ones with `include_terminated`."""
    identity = caller()
    everybodys = allowed(identity.role, identity.scope, Action.ADMINISTER, own=False)
    with parts().core.database.read() as session:
        rows = devices.page(
            session,
            kind=query.kind,
            include_terminated=query.include_terminated,
            laptops_of=None if everybodys else identity.name,
            after=query.cursor,
            limit=query.limit + 1,
        )
    shown, more = rows[: query.limit], len(rows) > query.limit
    return jsonify(devices=[device_view(row) for row in shown], cursor=shown[-1].id if more else None)


@api.post("", responses={200: DeviceOut}, summary="Register a laptop")
def register_laptop(body: DeviceIn) -> Response:
    """One's own, by an id that it keeps; a repeat says that it was seen. `fuelctl login` does so."""
    core = parts().core
    with core.write() as session:
        told = body.model_dump(exclude={"id"}, exclude_none=True)
        return jsonify(device_view(register.of_person(core, session, caller().name, body.id, told)))
