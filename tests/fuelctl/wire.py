# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HTTP server on a Unix socket whose answers a test writes down: for what a healthy server never does."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    """What arrived. `body` only when the handler read it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    handler: BaseHTTPRequestHandler = field(repr=False)

    def body(self, limit: int | None = None) -> bytes:
        length = int(self.headers.get("content-length", "0"))
        return self.handler.rfile.read(length if limit is None else min(limit, length))

    def json(self) -> Any:
        return json.loads(self.body())


class HangUpError(Exception):
    """Raised by a route: close the connection without an answer."""


Answer = tuple[int, Any]
Route = Callable[[Request], Answer]


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of these tests."""


@contextmanager
def serving(path: Path, route: Route) -> Iterator[list[Request]]:
    """Answer every request by `route`; yields the requests so far. A bytes answer goes out as it is."""
    seen: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            headers = {key.lower(): value for key, value in self.headers.items()}
            request = Request(self.command, parts.path, query, headers, self)
            seen.append(request)
            try:
                status, document = route(request)
            except HangUpError:
                self.close_connection = True
                return
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _any  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def address_string(self) -> str:
            return "unix"

    server = _Server(str(path), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        path.unlink(missing_ok=True)
