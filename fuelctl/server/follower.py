# SPDX-License-Identifier: GPL-3.0-or-later
"""One follower's connection: the handshake, frames out, pings, and an end that says why.

Each direction waits for the other end to read. One that does not is let go: it comes back with the cursor of the last
event that it got.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Pong, RejectConnection, RejectData, Request
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from fuelctl.server.hand_over import Ticket, refusal, too_many


class Log(Protocol):
    """What a follower is served from."""

    count: int
    most: int
    patience: float
    ping: float

    def came(self) -> None:
        """One more follower."""

    def went(self) -> None:
        """One less."""

    def good(self, token_id: str | None) -> bool:
        """Whether who follows may still."""

    async def after(self, cursor: int | None, ticket: Ticket) -> tuple[list[bytes], int]:
        """Frames of what `ticket` wants beyond `cursor`, waited for, and the cursor that they lead to."""


_logger = logging.getLogger(__name__)
#: Bytes that may wait to be sent to one follower, beyond what the kernel holds.
_MOST_UNSENT = 64 * 1024
#: Bytes of what a follower says; nothing of it is of interest.
_MOST_UNREAD = 4096
_HANDSHAKE_SECONDS = 10.0
#: Seconds for the reason to get out to one that is let go.
_LINGER = 10.0


class LetGoError(Exception):
    """This connection ends, with a code and a reason (RFC 6455)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Follower:
    """Serves one connection until either end ends it."""

    def __init__(self, hub: Log, connection: socket.socket, ticket: Ticket) -> None:
        self._hub = hub
        self._socket = connection
        self._ticket = ticket
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._cursor = ticket.after
        self._sent = 0
        self._answered = True

    async def serve(self) -> None:
        """From the handshake to the end; nothing that the other end does gets out of here."""
        began = time.monotonic()
        self._hub.came()
        try:
            reader, self._writer = await _streams(self._socket)
            try:
                if await self._enter():
                    _logger.info("%s follows", self._ticket.actor, extra=self._facts(began))
                    await self._both(reader)
            finally:
                self._writer.close()
        except (OSError, TimeoutError):
            pass
        finally:
            self._hub.went()
            _logger.info("%s follows no more", self._ticket.actor, extra=self._facts(began))
            self._socket.close()

    def _facts(self, began: float) -> dict[str, Any]:
        return {**self._ids(), "seconds": round(time.monotonic() - began, 3), "events": self._sent}

    def _ids(self) -> dict[str, Any]:
        return {"actor": self._ticket.actor, "request": self._ticket.request_id}

    async def _enter(self) -> bool:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._ticket.headers.items()]
        own = [(b"X-Request-ID", self._ticket.request_id.encode("latin-1"))] if self._ticket.request_id else []
        try:
            self._protocol.initiate_upgrade_connection(headers, self._ticket.target)
            [asked] = self._protocol.events()
        except (RemoteProtocolError, LocalProtocolError, ValueError):
            told = {"code": "bad_handshake", "hint": "see RFC 6455, 4.1", "request_id": self._ticket.request_id}
            await self._answer(refusal(400, "this is no WebSocket handshake", **told))
            return False
        if self._hub.count > self._hub.most:
            await self._answer(too_many(self._ticket.request_id))
            return False
        if not isinstance(asked, Request):
            return False
        await self._write(AcceptConnection(extra_headers=own))
        return True

    async def _answer(self, answer: bytes) -> None:
        self._writer.write(answer)
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            await self._writer.drain()

    async def _both(self, reader: asyncio.StreamReader) -> None:
        """Send, listen and ping, until one of them is over."""
        work = [asyncio.ensure_future(each) for each in (self._send(), self._listen(reader), self._ping())]
        try:
            done, _others = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            reason = next((error for each in done if isinstance(error := each.exception(), LetGoError)), None)
        except asyncio.CancelledError:
            reason = LetGoError(CloseReason.GOING_AWAY, "server is stopping")
        finally:
            for each in work:
                each.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        if reason is not None:
            _logger.info("%s is let go: %s", self._ticket.actor, reason, extra=self._ids() | {"code": int(reason.code)})
            await self._let_go(reason)

    async def _send(self) -> None:
        while True:
            frames, cursor = await self._hub.after(self._cursor, self._ticket)
            for piece in _pieces(frames):
                self._writer.write(piece)
                await self._drain()
            self._sent += len(frames)
            self._cursor = cursor

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while content := await reader.read(_MOST_UNREAD):
            try:
                self._protocol.receive_data(content)
                for event in self._protocol.events():
                    if await self._heard(event):
                        return
            except (RemoteProtocolError, LocalProtocolError) as error:
                raise LetGoError(CloseReason.PROTOCOL_ERROR, "this is no WebSocket frame") from error

    async def _heard(self, event: Event) -> bool:
        """Whether that was the end."""
        if isinstance(event, Pong):
            self._answered = True
        elif isinstance(event, Ping):
            await self._write(event.response())
        elif isinstance(event, CloseConnection):
            await self._write(event.response())
            return True
        elif isinstance(event, (RejectConnection, RejectData)):
            return True
        return False

    async def _ping(self) -> None:
        """Ask whether anybody is there, and whether they may still be: a connection can be half open for hours."""
        next_ping = time.monotonic() + self._hub.ping
        while True:
            await asyncio.sleep(min(1.0, self._hub.ping))
            if not self._hub.good(self._ticket.token_id):
                raise LetGoError(CloseReason.POLICY_VIOLATION, "the token is not good any more")
            if time.monotonic() < next_ping:
                continue
            if not self._answered:
                raise LetGoError(CloseReason.POLICY_VIOLATION, "no answer to a ping")
            self._answered = False
            next_ping = time.monotonic() + self._hub.ping
            await self._write(Ping())

    async def _write(self, event: Event) -> None:
        self._writer.write(self._protocol.send(event))
        await self._drain()

    async def _drain(self) -> None:
        """Wait until most of it is with the kernel; nothing more is made for one that does not read."""
        try:
            async with asyncio.timeout(self._hub.patience):
                await self._writer.drain()
        except TimeoutError as error:
            raise LetGoError(
                CloseReason.TRY_AGAIN_LATER, "read too slowly; go on with after= the last seq that you got"
            ) from error

    async def _let_go(self, why: LetGoError) -> None:
        with suppress(LocalProtocolError, TimeoutError, OSError):
            self._writer.write(self._protocol.send(CloseConnection(code=why.code, reason=str(why))))
            # All of it, and not most: nobody says it again.
            self._writer.transport.set_write_buffer_limits(high=0)
            async with asyncio.timeout(_LINGER):
                await self._writer.drain()
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()


async def _streams(connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_MOST_UNREAD)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _protocol = await loop.connect_accepted_socket(lambda: protocol, connection)
    transport.set_write_buffer_limits(high=_MOST_UNSENT)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _pieces(frames: list[bytes]) -> Iterator[bytes]:
    """Frames put together until there are as many bytes as may wait."""
    some: list[bytes] = []
    size = 0
    for frame in frames:
        some.append(frame)
        size += len(frame)
        if size >= _MOST_UNSENT:
            yield b"".join(some)
            some, size = [], 0
    if some:
        yield b"".join(some)
