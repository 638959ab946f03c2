# SPDX-License-Identifier: GPL-3.0-or-later
"""WS /api/ws?environment=&after=: the stored event log from a cursor, then live."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from flask import Response, request
from flask_openapi3 import OpenAPI
from flask_openapi3.types import ResponseDict
from pydantic import ValidationError
from simple_websocket import ConnectionClosed, Server
from wsproto.frame_protocol import CloseReason

from fuelctl.accounts import tokens
from fuelctl.environments.views import event_view
from fuelctl.server.guard import caller
from fuelctl.server.parts import Parts, parts
from fuelctl.server.problems import Problem, on_validation_error
from fuelctl.server.remote import find
from fuelctl.server.types import ProblemOut, StreamQuery
from fuelctl.store import events

_LOOK_AT_LEAST = 1.0
#: More followers than this are told to poll; each one holds a thread.
_SHARE_OF_THREADS = 2
_PING_SECONDS = 25
#: Whoever follows is asked for a good token as often.
_PROVE_AGAIN = 5.0
_RESPONSES: ResponseDict = {"4XX": ProblemOut, "5XX": ProblemOut}


class _Detached(Response):
    """The answer of a view whose socket has been taken over: the server must write nothing more to it."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def __call__(self, *arguments: Any, **named: Any) -> Iterable[bytes]:
        if self._mode == "gunicorn":
            raise StopIteration
        if self._mode == "werkzeug":
            raise ConnectionError
        return super().__call__(*arguments, **named)


def init_app(app: OpenAPI) -> None:
    """Register the route."""
    slots = threading.BoundedSemaphore(max(1, parts_of(app).settings.threads // _SHARE_OF_THREADS))

    @app.get("/api/ws", summary="Follow the event log by WebSocket", responses=_RESPONSES)
    def plain(query: StreamQuery) -> Response:  # noqa: ARG001 - it is what the document shows
        """Stored events from a cursor, then live ones; one JSON object per message."""
        raise Problem(426, "this address speaks WebSocket only", hint="poll /api/remote/REF/events", code="upgrade")

    def follow() -> Response:
        given = parts()
        try:
            query = StreamQuery.model_validate(request.args.to_dict())
        except ValidationError as error:
            return on_validation_error(error)
        environment_id = find(query.environment).id if query.environment else None
        if not slots.acquire(blocking=False):
            raise Problem(503, "too many followers", hint="poll /api/remote/REF/events", code="too_many_followers")
        try:
            socket = Server.accept(request.environ, ping_interval=_PING_SECONDS)
            with suppress(ConnectionClosed):
                _send(given, socket, environment_id, query.after)
                if given.stopping():
                    socket.close(CloseReason.GOING_AWAY, "server is stopping")
                else:
                    socket.close(CloseReason.POLICY_VIOLATION, "the token is not good any more")
            return _Detached(socket.mode)
        finally:
            slots.release()

    # The router tells the two apart by the request's Upgrade header.
    app.add_url_rule("/api/ws", "stream.follow", follow, websocket=True)


def parts_of(app: OpenAPI) -> Parts:
    """The parts of `app`."""
    from fuelctl.server.parts import EXTENSION

    found = app.extensions[EXTENSION]
    if not isinstance(found, Parts):
        raise TypeError("the app has no parts")
    return found


def _send(given: Parts, socket: Server, environment_id: str | None, cursor: int) -> None:
    token_id, looked = caller().token_id, time.monotonic()
    while not given.stopping():
        if token_id is not None and time.monotonic() - looked > _PROVE_AGAIN:
            looked = time.monotonic()
            if not tokens.still_good(given.core, token_id):
                return
        rung = given.core.bell.count()
        with given.core.database.read() as session:
            found = events.after(session, cursor, environment_id=environment_id)
        for row in found:
            socket.send(json.dumps(asdict(event_view(row))))
            cursor = row.seq
        if not found:
            # A closed connection is noticed here as well as when sending.
            socket.receive(timeout=0)
            given.core.bell.wait(rung, _LOOK_AT_LEAST)
