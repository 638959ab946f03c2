# SPDX-License-Identifier: GPL-3.0-or-later
"""A small Messages API on loopback, so that a real coding agent can be run without its vendor.

It streams. To the first request that offers the tool Bash it answers with one use of it, afterwards with one sentence.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What the agent is told to run, and what it is told in the end.
COMMAND = "echo made by the agent > made-by-the-agent"
SENTENCE = "The file is there."


@dataclass
class Api:
    """A running server: its address and what it was asked."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


@contextmanager
def messages_api(command: str = COMMAND) -> Iterator[Api]:
    """Serve on a free port of loopback until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    api = Api(f"http://127.0.0.1:{server.server_address[1]}")
    server.api, server.command = api, command  # type: ignore[attr-defined]  # how a handler of http.server is told things
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if not self.path.startswith("/v1/messages") or "count_tokens" in self.path:
            self._json(404, {"type": "error", "error": {"type": "not_found_error", "message": "not here"}})
            return
        api: Api = self.server.api  # type: ignore[attr-defined]  # set by messages_api
        api.requests.append(body)
        api.keys.append(self.headers.get("x-api-key") or self.headers.get("Authorization") or "")
        block = self._answer(body)
        if not body.get("stream"):
            self._json(200, {**_message(body), "content": [block], "stop_reason": _reason(block)})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in _events(_message(body), block):
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        self.close_connection = True

    def do_GET(self) -> None:
        self._json(404, {"type": "error", "error": {"type": "not_found_error", "message": "not here"}})

    def do_HEAD(self) -> None:
        self._json(200, {})

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        tools = {tool.get("name") for tool in body.get("tools") or ()}
        used = "tool_result" in json.dumps(body.get("messages", []))
        if "Bash" in tools and not used:
            command: str = self.server.command  # type: ignore[attr-defined]  # set by messages_api
            return {
                "type": "tool_use",
                "id": "toolu_lab",
                "name": "Bash",
                "input": {"command": command, "description": "make it"},
            }
        return {"type": "text", "text": SENTENCE}

    def _json(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""


def _message(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_lab",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "lab"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }


def _reason(block: dict[str, Any]) -> str:
    return "tool_use" if block["type"] == "tool_use" else "end_turn"


def _events(message: dict[str, Any], block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": message}
    if block["type"] == "tool_use":
        yield {"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}}}
        yield _delta({"type": "input_json_delta", "partial_json": json.dumps(block["input"])})
    else:
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        yield _delta({"type": "text_delta", "text": block["text"]})
    yield {"type": "content_block_stop", "index": 0}
    stop = {"stop_reason": _reason(block), "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 5}}
    yield {"type": "message_stop"}


def _delta(delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}
