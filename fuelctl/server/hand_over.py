# SPDX-License-Identifier: GPL-3.0-or-later
"""A follower's connection, taken out of the request that asked for it and given to whoever serves followers.

Who they are and what they may see was settled before, by the same guard as of any request. What goes on with the
connection is plain data and a socket, so it may be another process: no thread that answers requests is held.
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from flask import Response
from werkzeug.datastructures import Headers

from fuelctl.server.problems import problem

#: Seconds for which who serves followers may be busy with others.
_BUSY_SECONDS = 1.0
_RETRY_AFTER = 30
#: What a handshake is made of.
_HEADERS = ("Host", "Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol")


@dataclass(frozen=True)
class Ticket:
    """What somebody follows, and as whom. Without `environments` and `workspaces`: everything.

    `headers`: of the handshake. `token_id`: theirs, which is asked for again; None on the embedded server's socket.
    `after`: the cursor; None for what comes from now on.
    """

    headers: dict[str, str]
    target: str
    environments: list[str]
    workspaces: list[str]
    after: int | None
    token_id: str | None
    actor: str
    request_id: str

    def pack(self) -> bytes:
        """As it goes to another process."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def unpack(cls, content: bytes) -> Ticket:
        """What `pack` made."""
        return cls(**json.loads(content))


#: `follow(connection, ticket)`: the connection is theirs from here on; but BlockingIOError when too many are waiting.
Follow = Callable[[socket.socket, Ticket], None]


def handshake(headers: Headers) -> dict[str, str]:
    """Of a request's headers, those that the answer to an upgrade depends on."""
    return {name: headers[name] for name in _HEADERS if name in headers}


def take_out(environ: Mapping[str, Any]) -> tuple[socket.socket, str]:
    """The connection under a WSGI request, as a socket of our own, and what kind of server it was taken from.

    What the server has left is dead: whatever it does to end the request, the connection does not feel it.
    """
    for kind in ("gunicorn", "werkzeug"):
        theirs = environ.get(f"{kind}.socket")
        if theirs is not None:
            ours: socket.socket = theirs.dup()
            near, far = socket.socketpair()
            with near, far:
                os.dup2(near.fileno(), theirs.fileno(), inheritable=False)
            return ours, kind
    raise RuntimeError("this server does not show the connection under a request")


class Detached(Response):
    """The answer of a view whose connection has been taken out: the server must write nothing to it."""

    def __init__(self, kind: str, status: int = 101) -> None:
        super().__init__(status=status)
        self._kind = kind

    def __call__(self, _environ: Any, _start_response: Any) -> Iterable[bytes]:
        if self._kind == "gunicorn":
            raise StopIteration
        raise ConnectionError


def refusal(status: int, detail: str, *, code: str, hint: str, request_id: str) -> bytes:
    """The whole answer to a handshake, in bytes, where no server is there any more to write one."""
    told = problem(status, detail, code=code, hint=hint)
    head = [f"HTTP/1.1 {told.status}", f"Content-Type: {told.mimetype}", "Connection: close"]
    head += [f"Content-Length: {len(told.get_data())}", f"Retry-After: {_RETRY_AFTER}", f"X-Request-ID: {request_id}"]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + told.get_data()


def too_many(request_id: str) -> bytes:
    """The answer to one follower more than are served."""
    hint = "poll /api/remote/REF/events"
    return refusal(503, "too many followers", code="too_many_followers", hint=hint, request_id=request_id)


def turn_away(connection: socket.socket, answer: bytes) -> None:
    """Say so, and hang up."""
    with connection, suppress(OSError):
        connection.settimeout(_BUSY_SECONDS)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)


def send_over(channel: socket.socket) -> Follow:
    """Hands followers to the process that reads the other end of `channel` (datagrams)."""

    def follow(connection: socket.socket, ticket: Ticket) -> None:
        content = ticket.pack()
        # Not `socket.send_fds`, which forgets its flags, and waits for ever for a process that hangs.
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connection.fileno()]))]
        end = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                channel.sendmsg([content], rights, socket.MSG_DONTWAIT)
            except BlockingIOError:
                # The kernel keeps ten for a process that is busy: a crowd that comes at once is more.
                left = end - time.monotonic()
                if left <= 0:
                    raise
                select.select([], [channel], [], left)
            else:
                connection.close()
                return

    return follow


def receive(channel: socket.socket) -> tuple[socket.socket, Ticket] | None:
    """The next follower that `send_over` handed to this process; None for a message that is none."""
    content, descriptors, _flags, _address = socket.recv_fds(channel, 256 * 1024, 1)
    if len(descriptors) != 1:
        return None
    connection = socket.socket(fileno=descriptors[0])
    try:
        return connection, Ticket.unpack(content)
    except (ValueError, TypeError):
        connection.close()
        return None
