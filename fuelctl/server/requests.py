# SPDX-License-Identifier: GPL-3.0-or-later
"""Every request has an id, a line in the log, and a place in the figures, whatever becomes of it.

But for heartbeats that were taken in: thousands of machines send one every 30 s. They are counted, and not told of.
"""

from __future__ import annotations

import logging
import re
import time
from http import HTTPStatus

from flask import Flask, Response, g, request

from fuelctl import _server_log
from fuelctl.environments import about
from fuelctl.server import metrics
from fuelctl.server.parts import parts
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.ulids import new_ulid

_logger = logging.getLogger("fuelctl.access")
HEADER = "X-Request-ID"
#: Somebody else's id, as a proxy makes them; anything else could be an attempt to write into our log.
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
#: Of a request for what there is not: its path is the sender's own invention.
NO_ROUTE = "-"
_BEAT = "/heartbeat"


def init_app(app: Flask) -> None:
    """Register what goes before and after each request; before anything else does."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_over)


def request_id() -> str:
    """The id of this request."""
    return str(g.get("request_id", ""))


def is_about(row: EnvironmentRow) -> None:
    """What is logged of this request from here on says which environment it is about, and which machine."""
    g.about = about.of(row)
    # Ended with the request, as what was said at its beginning.
    _server_log.push(**g.about)


def _begin() -> None:
    offered = request.headers.get(HEADER, "")
    g.request_id = offered if _SANE.fullmatch(offered) else new_ulid(time.time())
    g.began = time.perf_counter()
    g.said = _server_log.push(request=g.request_id)


def _end(response: Response) -> Response:
    response.headers[HEADER] = request_id()
    route = request.url_rule.rule if request.url_rule is not None else NO_ROUTE
    seconds = time.perf_counter() - g.get("began", time.perf_counter())
    metrics.request(request.method, route, response.status_code, seconds)
    if _is_told_of(route, response.status_code):
        ref = str((request.view_args or {}).get("ref", ""))
        who = g.get("caller")
        facts = {
            "method": request.method,
            "route": route,
            "status": response.status_code,
            "seconds": round(seconds, 4),
            "actor": who.name if who is not None else "-",
            "address": request.remote_addr or "",
        }
        if (told := g.get("about")) is not None:
            facts |= told
        elif _ULID.fullmatch(ref):
            facts["environment"] = ref.upper()
        _logger.info("%s %s %d", request.method, route, response.status_code, extra=facts)
    return response


def _is_told_of(route: str, status: int) -> bool:
    """Whether a request is worth a line: on one's own server what went wrong, on a team's all but a heartbeat."""
    if parts().embedded:
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return status >= HTTPStatus.BAD_REQUEST or not route.endswith(_BEAT)


def _over(_error: BaseException | None) -> None:
    said = g.pop("said", None)
    if said is not None:
        _server_log.pop(said)
