# SPDX-License-Identifier: GPL-3.0-or-later
"""The source's upload: one tar file, streamed to where every worker finds it, resumable, checked by its SHA-256."""

from __future__ import annotations

from flask import Request, Response, jsonify, request
from flask_openapi3 import APIBlueprint

from fuelctl._shared._errors import FuelError
from fuelctl.environments.states import Status
from fuelctl.server.parts import parts
from fuelctl.server.problems import Problem
from fuelctl.server.remote import find, start_provisioning
from fuelctl.server.types import ProblemOut, RefPath, SourceOut, SourceQuery
from fuelctl.store.files import WrongOffsetError, source_key
from fuelctl.store.models import EnvironmentRow

api = APIBlueprint("source", __name__, url_prefix="/api/remote", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})
_BLOCK = 1 << 20


@api.get("/<ref>/source", responses={200: SourceOut}, summary="How much of the source has arrived")
def state(path: RefPath) -> Response:
    """Where an upload goes on after a break."""
    row = _expecting(find(path.ref))
    return _answer(row, _received(row), complete=bool((row.source or {}).get("complete")))


@api.put("/<ref>/source", responses={200: SourceOut}, summary="Upload the source")
def upload(path: RefPath, query: SourceQuery) -> Response:
    """The body is the tar file's bytes from `offset`; provisioning starts when all are there and the SHA-256 fits."""
    given = parts()
    row = _expecting(find(path.ref))
    source = row.source or {}
    size = int(source["size"])
    if source.get("complete"):
        return _answer(row, size, complete=True)
    if row.status != Status.PROVISIONING or row.operation is not None:
        raise Problem(
            409,
            f"{row.name} is {row.status} and takes no source",
            hint="make a new one with this source: POST /api/remote",
            code="not_provisioning",
        )
    request.max_content_length = given.settings.max_source_bytes
    files, file = given.core.files, source_key(row.id)
    received = _received(row)
    if query.offset != received:
        raise _wrong_offset(received, query.offset)
    received = _store(request, row.id, received, size)
    if received < size:
        return _answer(row, received, complete=False)
    if files.sha256(file) != source["sha256"]:
        files.delete(file)
        raise Problem(
            422,
            "the uploaded source is not the one announced: its SHA-256 differs",
            hint="upload it again",
            code="wrong_digest",
        )
    start_provisioning(given, row.id)
    return _answer(row, size, complete=True)


def _store(incoming: Request, environment_id: str, received: int, size: int) -> int:
    """Append what comes; what has been taken in stays when the connection breaks. Of two uploads, one goes on."""
    if not size:
        parts().core.files.put(source_key(environment_id), b"")
    while block := incoming.stream.read(min(_BLOCK, size - received + 1)):
        if received + len(block) > size:
            raise Problem(
                422,
                f"more than the {size} bytes announced were sent",
                hint="announce the size of what is sent, in `source.size`",
                code="source_too_large",
            )
        received = _append(environment_id, received, block)
    return received


def _append(environment_id: str, received: int, block: bytes) -> int:
    try:
        return parts().core.files.append(source_key(environment_id), received, block)
    except WrongOffsetError as error:
        expected = error.received
    except FuelError as error:
        raise Problem(507, error.message, hint=str(error.hint), code=error.code) from error
    raise _wrong_offset(expected, received)


def _wrong_offset(received: int, given: int) -> Problem:
    return Problem(
        409,
        f"the next byte expected is {received}, not {given}",
        hint=f"go on with ?offset={received}",
        code="wrong_offset",
        details={"received": received},
    )


def _expecting(row: EnvironmentRow) -> EnvironmentRow:
    if row.source is None:
        raise Problem(
            409,
            f"{row.name} was made without a source",
            hint="nothing is to be sent; follow its events instead",
            code="no_source_expected",
        )
    return row


def _received(row: EnvironmentRow) -> int:
    if (row.source or {}).get("complete"):
        return int((row.source or {})["size"])
    return parts().core.files.size(source_key(row.id)) or 0


def _answer(row: EnvironmentRow, received: int, *, complete: bool) -> Response:
    return jsonify(received=received, size=int((row.source or {})["size"]), complete=complete)
