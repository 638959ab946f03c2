# SPDX-License-Identifier: GPL-3.0-or-later
"""The source's upload: raw bytes of one tar file, streamed to disk, resumable, checked by its SHA-256."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Request, Response, jsonify, request
from flask_openapi3 import APIBlueprint

from fuelctl import paths
from fuelctl.environments.states import Status
from fuelctl.server.parts import parts
from fuelctl.server.problems import Problem
from fuelctl.server.remote import find, start_provisioning
from fuelctl.server.types import ProblemOut, RefPath, SourceOut, SourceQuery
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
    with _alone(row.id) as file:
        received = _received(row)
        if query.offset != received:
            raise Problem(
                409,
                f"the next byte expected is {received}, not {query.offset}",
                hint=f"go on with ?offset={received}",
                code="wrong_offset",
                details={"received": received},
            )
        received = _store(request, file, received, size)
        if received < size:
            return _answer(row, received, complete=False)
        if _sha256(file) != source["sha256"]:
            file.unlink()
            raise Problem(
                422,
                "the uploaded source is not the one announced: its SHA-256 differs",
                hint="upload it again",
                code="wrong_digest",
            )
        start_provisioning(given, row.id)
    return _answer(row, size, complete=True)


def _store(incoming: Request, file: Path, received: int, size: int) -> int:
    """Append what comes; what has been written stays when the connection breaks."""
    try:
        with file.open("ab") as opened:
            while block := incoming.stream.read(min(_BLOCK, size - received + 1)):
                if received + len(block) > size:
                    raise Problem(
                        422,
                        f"more than the {size} bytes announced were sent",
                        hint="announce the size of what is sent, in `source.size`",
                        code="source_too_large",
                    )
                opened.write(block)
                received += len(block)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        failure = paths.storage_error(error, file)
        raise Problem(507, failure.message, hint=str(failure.hint), code=failure.code) from error
    return received


@contextmanager
def _alone(environment_id: str) -> Iterator[Path]:
    """The upload's file, with no other request writing to it."""
    folder = paths.private_folder(paths.source_folder(environment_id))
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder / "source.tar"
    except BlockingIOError as error:
        raise Problem(
            409,
            "another upload of this source is under way",
            hint="GET this address says how far it is; go on when it has ended",
            code="upload_in_progress",
        ) from error
    finally:
        os.close(descriptor)


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
    try:
        return (paths.source_folder(row.id) / "source.tar").stat().st_size
    except FileNotFoundError:
        return 0


def _answer(row: EnvironmentRow, received: int, *, complete: bool) -> Response:
    return jsonify(received=received, size=int((row.source or {})["size"]), complete=complete)


def _sha256(file: Path) -> str:
    file.touch(mode=0o600)
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
