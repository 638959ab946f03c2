# SPDX-License-Identifier: GPL-3.0-or-later
"""gunicorn's threaded worker for a network in which not everybody means well.

A thread is given to a request only when all of its head is there: until then a connection costs a few bytes in the
loop that accepts. A body has to come at some speed. Whoever is slow on purpose holds nobody up but themselves, and when
there are too many connections, those go first that have been at their head for longest.
"""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import TConn, ThreadWorker

from fuelctl.serving.threads import Threads

#: Seconds for the head of a request, and bytes of it.
HEAD_SECONDS = 10.0
LARGEST_HEAD = 64 * 1024
#: Seconds that a body may take whatever its size, and bytes a second of it beyond that.
BODY_SECONDS = 20.0
SLOWEST_BODY = 8 * 1024
#: Seconds for which one may not read what it is sent.
_SEND_SECONDS = 60
#: What is closed is drained for so long, so that the answer arrives before the end does.
_LINGER_SECONDS = 2.0
_LARGEST_LINGER = 1024 * 1024
#: For the rest of a body that was not read, when the connection is to be kept: it is there, or not.
_DRAIN_SECONDS = 0.05
#: Of the connections that there may be, the part beyond which the slowest have to go.
_CROWDED = 0.9
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Patience:
    """The receiving half of a connection, as gunicorn's parser reads it, with an end to waiting."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.begin()

    def begin(self) -> None:
        """A request begins."""
        self._until = time.monotonic() + BODY_SECONDS

    def recv(self, size: int) -> bytes:
        left = self._until - time.monotonic()
        if left <= 0:
            raise ConnectionResetError(errno.ECONNRESET, "the request comes too slowly")
        self._connection.settimeout(left)
        try:
            found = self._connection.recv(size)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the request comes too slowly") from error
        finally:
            self._connection.settimeout(None)
        self._until += len(found) / SLOWEST_BODY
        return found

    def gettimeout(self) -> float | None:
        return self._connection.gettimeout()

    def settimeout(self, seconds: float | None) -> None:
        """What gunicorn would rather have while it drains: no longer than that."""
        if seconds is not None:
            self._until = min(self._until, time.monotonic() + seconds)


class _Connection(TConn):
    """A connection that is not waited for when it is closed."""

    def __init__(self, worker: PatientWorker, connection: socket.socket, client: Any, server: Any) -> None:
        super().__init__(worker.cfg, connection, client, server)
        self.worker = worker
        self.head = bytearray()
        self.is_whole = False
        #: Of its next request the head has begun, or is waited for, by the loop.
        self.is_pending = False

    def close(self, graceful: bool = False) -> None:
        if graceful:
            self.worker.linger(self.sock)
        else:
            super().close()


class _Done:
    """What became of a request, as gunicorn asks for it: whether its connection is kept."""

    def __init__(self, kept: Any) -> None:
        self._kept = kept

    def cancelled(self) -> bool:
        return False

    def result(self) -> Any:
        return self._kept


class PatientWorker(ThreadWorker):
    """See above."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        #: Who handles requests, in the place of the library's executor, which has none.
        self._threads = Threads(self.cfg.threads)
        #: Connections that are closed on our side, and until when they are drained.
        self._lingering: deque[tuple[float, socket.socket]] = deque()

    def accept(self, listener: Any) -> None:
        """Take a connection in; nothing is read of it yet."""
        try:
            connection, client = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        # In the kernel: gunicorn takes away what is set on the socket before it answers.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_SECONDS, 0))
        self.nr_conns += 1
        if self.nr_conns > _CROWDED * self.worker_connections and self.pending_conns:
            self._drop(self.pending_conns[0])
        self.enqueue_req(_Connection(self, connection, client, listener.getsockname()))

    def enqueue_req(self, conn: Any) -> None:
        """Give it a thread when the head of its next request is whole, and wait for that otherwise."""
        if conn.is_whole:
            conn.is_whole = False
            self._threads.do(partial(self._serve, conn))
            return
        if conn.parser is not None:
            conn.head += conn.parser.unreader.take_buffered()
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + HEAD_SECONDS
        self.pending_conns.append(conn)
        conn.is_pending = True
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_head, conn))
        if b"\r\n\r\n" in conn.head:
            self._begin(conn)

    def run(self) -> None:
        """Until it is told to stop."""
        super().run()
        self._threads.shutdown()

    def _serve(self, conn: Any) -> None:
        """In a thread: one request, and what becomes of its connection, which is the loop's to do."""
        kept = False
        try:
            kept = self.handle(conn)
        finally:
            self.method_queue.defer(self.finish_request, conn, _Done(kept))

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        """The next request on a connection that was kept: mostly its whole head is there at once."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        conn.head += conn.parser.unreader.take_buffered()
        if self._on_head(conn, client):
            self.enqueue_req(conn)

    def murder_pending(self) -> None:
        """Close what has taken too long over its head, and what has lingered; at the end all of them."""
        now = time.monotonic()
        while self.pending_conns and ((self.pending_conns[0].timeout or 0.0) <= now or not self.alive):
            self._drop(self.pending_conns[0])
        while self._lingering and self._lingering[0][0] <= now:
            self._end(self._lingering.popleft()[1])

    def linger(self, connection: socket.socket) -> None:
        """Close our side, and the rest when the other end has closed its own, or a little later."""
        try:
            connection.shutdown(socket.SHUT_WR)
            connection.setblocking(False)
            self.poller.register(connection, selectors.EVENT_READ, partial(self._on_rest, [0]))
        except (OSError, ValueError, KeyError):
            connection.close()
            return
        self._lingering.append((time.monotonic() + _LINGER_SECONDS, connection))

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Whether there may be another request: not on a connection whose body nobody wanted, and that still comes."""
        return keepalive and bool(conn.parser.finish_body(deadline=time.monotonic() + _DRAIN_SECONDS))

    def _on_head(self, conn: _Connection, connection: socket.socket) -> bool:
        """Whether more of it has to come."""
        try:
            found = connection.recv(16 * 1024)
        except BlockingIOError:
            return True
        except OSError:
            found = b""
        if not found:
            self._drop(conn)
            return False
        begin = max(0, len(conn.head) - 3)
        conn.head += found
        if conn.head.find(b"\r\n\r\n", begin) >= 0:
            self._begin(conn)
            return False
        if len(conn.head) <= LARGEST_HEAD:
            return True
        with suppress(OSError):
            connection.send(_TOO_LARGE)
        self._forget(conn)
        self.nr_conns -= 1
        conn.close(graceful=True)
        return False

    def _begin(self, conn: Any) -> None:
        self._forget(conn)
        conn.sock.setblocking(True)
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
            conn.parser.unreader.sock = _Patience(conn.sock)
        conn.parser.unreader.sock.begin()
        conn.parser.unreader.unread(bytes(conn.head))
        conn.head.clear()
        conn.initialized = conn.data_ready = conn.is_whole = True
        self.enqueue_req(conn)

    def _forget(self, conn: Any) -> None:
        if not conn.is_pending:
            return
        conn.is_pending = False
        with suppress(KeyError, ValueError, OSError):
            self.poller.unregister(conn.sock)
        with suppress(ValueError):
            self.pending_conns.remove(conn)

    def _drop(self, conn: Any) -> None:
        self._forget(conn)
        self.nr_conns -= 1
        conn.close()

    def _on_rest(self, drained: list[int], connection: socket.socket) -> None:
        try:
            found = connection.recv(64 * 1024)
        except BlockingIOError:
            return
        except OSError:
            found = b""
        drained[0] += len(found)
        if not found or drained[0] > _LARGEST_LINGER:
            self._lingering = deque(each for each in self._lingering if each[1] is not connection)
            self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        with suppress(KeyError, ValueError, OSError):
            self.poller.unregister(connection)
        connection.close()
