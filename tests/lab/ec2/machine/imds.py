# SPDX-License-Identifier: GPL-3.0-or-later
"""The instance metadata service (IMDSv2) of the lab's machines, on 169.254.169.254:80 of their network.

    imds.py FOLDER

Who asks is told by the source address: FOLDER/<address>.json holds `{"hop_limit", "user_data", "meta_data": {...},
"document": {...}}`. It runs in a container beside the machines, not inside them, so that a hop is a hop: the answer to
a token request leaves with the hop limit as its IP TTL, and is lost when the machine has to forward it to a container.
A request without a token gets 401, as with HttpTokens=required.
"""

from __future__ import annotations

import json
import secrets
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

LIMIT = 21600
ENOUGH_HOPS = 64


class Handler(BaseHTTPRequestHandler):
    folder: Path
    tokens: ClassVar[dict[str, tuple[str, float]]] = {}

    def _instance(self) -> dict[str, Any] | None:
        try:
            loaded: dict[str, Any] = json.loads((self.folder / f"{self.client_address[0]}.json").read_text())
        except (OSError, ValueError):
            return None
        return loaded

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        instance = self._instance()
        if instance is None or self.path != "/latest/api/token":
            self._answer(404)
            return
        try:
            seconds = int(self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", ""))
        except ValueError:
            seconds = 0
        if not 1 <= seconds <= LIMIT or self.headers.get("X-Forwarded-For"):
            self._answer(400)
            return
        token = secrets.token_urlsafe(40)
        self.tokens[token] = (self.client_address[0], time.monotonic() + seconds)
        self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(instance["hop_limit"]))
        self._answer(200, token.encode(), X_aws_ec2_metadata_token_ttl_seconds=str(seconds))

    def do_GET(self) -> None:
        self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ENOUGH_HOPS)
        instance = self._instance()
        owner, until = self.tokens.get(self.headers.get("X-aws-ec2-metadata-token", ""), ("", 0.0))
        if instance is None or owner != self.client_address[0] or until < time.monotonic():
            self._answer(401)
            return
        body = lookup(instance, self.path)
        self._answer(404 if body is None else 200, body or b"")

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (the name is BaseHTTPRequestHandler's)
        pass


def lookup(instance: dict[str, Any], path: str) -> bytes | None:
    """What `path` (`/<version>/meta-data/...`, `/user-data`, `/dynamic/...`) holds; None when there is nothing."""
    inside = path.lstrip("/").partition("/")[2]
    parts = [part for part in inside.split("/") if part]
    if parts == ["user-data"]:
        text = instance["user_data"]
        return text.encode() if text else None
    node: Any = {"meta-data": instance["meta_data"], "dynamic": {"instance-identity": {"document": ""}}}
    if parts == ["dynamic", "instance-identity", "document"]:
        return json.dumps(instance["document"]).encode()
    for part in parts:
        # A key pair is listed as `0=name` and asked for as `0`.
        found = [key for key in node if key.partition("=")[0] == part] if isinstance(node, dict) else []
        if not found:
            return None
        node = node[found[0]]
    if isinstance(node, dict):
        return "\n".join(
            key if "=" in key or not isinstance(value, dict) else f"{key}/" for key, value in node.items()
        ).encode()
    return str(node).encode()


def main() -> None:
    Handler.folder = Path(sys.argv[1])
    server = ThreadingHTTPServer(("169.254.169.254", 80), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
