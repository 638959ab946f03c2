# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control plane answered: the decoded object, or the error that it means, and whether to ask once more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fuelctl._shared._errors import FuelError

Json = dict[str, Any]

#: Seconds between the attempts of a call that is safe to repeat, while nobody answers.
RETRY_DELAYS = (0.1, 0.3, 0.8, 2.0)
#: The same while a proxy answers for a server that is being begun again, as by an upgrade.
AWAY_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0)
#: The same while an earlier request with this Idempotency-Key is being worked on: about a minute.
IN_FLIGHT_DELAYS = (0.2, 0.5, 1.0, 2.0, *(4.0,) * 14)
_AWAY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
#: Another upload of the same source is at work, or a request of ours that broke off is still being read.
_UPLOADING = ("wrong_offset", "upload_in_progress")
#: What is no problem document of ours.
_BAD_ANSWER = "bad_answer"


class ApiError(FuelError):
    """The server answered with a problem; `status` is the HTTP status, `code` and `details` are the server's.

    `retry_after`: seconds, where it says when to come back.
    """

    def __init__(self, status: int, message: str, *, retry_after: float | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.status = status
        self.retry_after = retry_after


class ServerUnreachableError(FuelError):
    """Nothing answered, or the connection broke before the answer was complete."""


def pauses(error: FuelError) -> Sequence[float]:
    """Seconds before each further attempt of a call that may be repeated; none when this answer is final."""
    if isinstance(error, ServerUnreachableError):
        return RETRY_DELAYS
    if not isinstance(error, ApiError):
        return ()
    if error.code == "idempotency_in_flight":
        return IN_FLIGHT_DELAYS
    if error.code in _UPLOADING:
        return RETRY_DELAYS
    return AWAY_DELAYS if error.code == _BAD_ANSWER and error.status in _AWAY else ()


def decode(status: int, reason: str, content: bytes, endpoint: str, *, retry_after: str | None = None) -> Json:
    """The answer's JSON object; ApiError for a problem document or any other answer that is not success."""
    try:
        document = json.loads(content) if content else {}
    except ValueError:
        document = None
    if 200 <= status < 300 and isinstance(document, dict):
        return document
    if not isinstance(document, dict) or not (document.get("detail") or document.get("title")):
        raise ApiError(
            status,
            f"The server at {endpoint} answered {status} {reason} and no JSON object that says more",
            hint="is this the address of a fuelctl server? Its own log says more",
            code=_BAD_ANSWER,
        )
    details = document.get("details")
    facts = dict(details) if isinstance(details, dict) else {}
    where = facts.pop("where", None)
    raise ApiError(
        status,
        str(document.get("detail") or document.get("title")),
        # A date, which HTTP allows, is none of ours.
        retry_after=float(retry_after) if retry_after and retry_after.isdecimal() else None,
        hint=str(document["hint"]) if document.get("hint") else None,
        where=str(where) if where else None,
        code=str(document.get("code") or "failed"),
        details=facts,
    )
