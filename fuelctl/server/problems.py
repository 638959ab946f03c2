# SPDX-License-Identifier: GPL-3.0-or-later
"""Every error leaves as application/problem+json: type, title, status, detail, hint, code, details."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any, cast

from flask import Flask, Response, request
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from fuelctl import paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.environments.budget import BudgetError
from fuelctl.environments.core import MachineError
from fuelctl.environments.key_pair import KeyGoneError
from fuelctl.environments.registry import ConflictError, NotFoundError
from fuelctl.store.bucket import BucketError
from fuelctl.store.environments import FencedOffError
from fuelctl.store.idempotency import InFlightError

_logger = logging.getLogger(__name__)
_STATUS: tuple[tuple[type[FuelError], int], ...] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (InFlightError, HTTPStatus.CONFLICT),
    (FencedOffError, HTTPStatus.CONFLICT),
    (BudgetError, HTTPStatus.CONFLICT),
    (KeyGoneError, HTTPStatus.GONE),
    (UsageError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (MachineError, HTTPStatus.SERVICE_UNAVAILABLE),
    (BucketError, HTTPStatus.SERVICE_UNAVAILABLE),
)
_CONTRACT = "GET /api/openapi.json says what every call takes"
_HINTS: dict[int, str] = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "send less at a time; control_plane.max_body_bytes is the largest body taken",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "send JSON, with `Content-Type: application/json`",
}
_MOST_ERRORS = 20
_LONGEST_VALUE = 64


class Problem(FuelError):  # noqa: N818 - the field's own term, RFC 9457
    """An error whose HTTP status is known where it is raised; it always says what to do."""

    def __init__(
        self, status: int, message: str, *, hint: str, headers: dict[str, str] | None = None, **fields: Any
    ) -> None:
        super().__init__(message, hint=hint, **fields)
        self.status = int(status)
        self.headers = headers or {}


def init_app(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(FuelError, _on_fuel_error)
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(RecursionError, _on_recursion)
    app.register_error_handler(Exception, _on_exception)


def problem(status: int, detail: str, **fields: Any) -> Response:
    """The answer."""
    details: dict[str, Any] = fields.get("details") or {}
    if fields.get("where"):
        details = {"where": fields["where"], **details}
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "hint": fields.get("hint"),
        "code": fields.get("code") or "failed",
        "details": details,
    }
    response = Response(json.dumps(document), status=status, mimetype="application/problem+json")
    for name, value in (fields.get("headers") or {}).items():
        response.headers[name] = value
    return response


def on_validation_error(error: ValidationError) -> Response:
    """Every field at fault, without the value that was given: it may be a secret."""
    errors = [
        {"field": ".".join(str(part)[:_LONGEST_VALUE] for part in item["loc"]), "message": item["msg"]}
        for item in error.errors(include_url=False, include_context=False, include_input=False)[:_MOST_ERRORS]
    ]
    first = errors[0] if errors else {"field": "body", "message": "is wrong"}
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{first['field'] or 'the body'}: {first['message']}",
        hint=_CONTRACT,
        code="invalid_request",
        details={"errors": errors},
    )


def _on_fuel_error(error: FuelError) -> Response:
    status = getattr(error, "status", None)
    if status is None:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), None)
    if status is None and error.code == "disk_full":
        status = HTTPStatus.INSUFFICIENT_STORAGE
    if status is None:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        _logger.error("%s %s: %s", request.method, request.path, error)
    facts = {key: value for key, value in error.as_dict().items() if key != "message"}
    return problem(int(status), error.message, headers=getattr(error, "headers", {}), **facts)


def _on_http_exception(error: HTTPException) -> Response:
    if error.response is not None:
        made = cast("Response", error.response)
        return Response(made.get_data(), status=made.status_code, headers=list(made.headers))
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    code = HTTPStatus(status).phrase.lower().replace(" ", "_")
    hint = _HINTS.get(status, _CONTRACT)
    return problem(status, error.description or HTTPStatus(status).phrase, hint=hint, code=code, headers=headers)


def _on_recursion(_error: RecursionError) -> Response:
    return problem(HTTPStatus.BAD_REQUEST, "the body is nested too deeply", hint=_CONTRACT, code="too_deep")


def _on_exception(error: Exception) -> Response:
    if type(error).__module__.startswith("gunicorn."):
        # What reads the connection found that this is no body at all.
        return problem(HTTPStatus.BAD_REQUEST, "the body is not what its head says", hint=_CONTRACT, code="bad_body")
    # A database that cannot grow says "full", "I/O error" or "unable to open", by the file that it was about.
    full = paths.disk_full() if isinstance(error, (DBAPIError, OSError)) else None
    if full is not None:
        return _on_fuel_error(full)
    _logger.exception("%s %s", request.method, request.path)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the control plane failed; its log says more",
        hint="see fuelctl server status for the log's place",
        code="internal",
    )
