# SPDX-License-Identifier: GPL-3.0-or-later
"""/api/remote/:ref/volume: the disk that outlives an environment's machine."""

from __future__ import annotations

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from fuelctl.environments import volume
from fuelctl.server.guard import refusals
from fuelctl.server.parts import parts
from fuelctl.server.remote import find
from fuelctl.server.types import CreateHeader, ProblemOut, RefPath
from fuelctl.server.volume_types import VolumeIn, VolumeOut

api = APIBlueprint("volumes", __name__, url_prefix="/api/remote", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})


@api.get("/<ref>/volume", responses={200: VolumeOut}, summary="Show the disk that outlives its machine")
def show(path: RefPath) -> Response:
    """Its size, its snapshots and what both cost, asked of its provider while the caller waits.

    409 where its provider has none, 503 when the provider could not be asked.
    """
    given = parts()
    return jsonify(volume.show(given.core, find(path.ref), given.ask_volume))


@api.post("/<ref>/volume", responses={200: VolumeOut}, summary="Extend the disk that outlives its machine")
def extend(path: RefPath, body: VolumeIn) -> Response:
    """It has this size, or had it; answers when it has. It never becomes smaller, and costs by its new size at once.

    409 where its provider has none, for less than it has, and where its owner's month does not allow it; 422 for a size
    that its provider gives nobody; 503 when the provider could not be told.
    """
    given, row = parts(), find(path.ref)
    with refusals("environment.volume", row.owner):
        limit = given.settings.month_limit_usd
        return jsonify(volume.extend(given.core, row, body.size_gb, given.ask_volume, month_limit=limit))


@api.post("/<ref>/volume/snapshots", responses={200: VolumeOut}, summary="Make a snapshot of that disk")
def snapshot(path: RefPath, header: CreateHeader) -> Response:
    """One snapshot more, `snapshot` of the answer; requests with one Idempotency-Key have the same.

    409 where its provider has none, 503 when the provider could not be told, or does not show the snapshot yet.
    """
    given = parts()
    return jsonify(volume.snapshot(given.core, find(path.ref), header.idempotency_key, given.ask_volume))
