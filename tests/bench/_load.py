# SPDX-License-Identifier: GPL-3.0-or-later
"""One process that sends requests over connections which it keeps, as a reverse proxy does, and times the answers.

    python tests/bench/_load.py < PLAN        (JSON, see `Plan`; answers with JSON, see `Answers`)

With a pace, a request that could not be sent when it was due, for all connections were waiting, has waited since then.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Plan:
    """`kind` of request; `environments`: (id, token) in turn, each once before any comes again.

    `per_second`: None for as many as are answered. `seconds` or `count`, whichever is over first.
    """

    kind: str
    port: int
    environments: list[tuple[str, str]]
    connections: int = 16
    seconds: float = 10.0
    count: int = 1_000_000
    per_second: float | None = None
    first: int = 0
    batch: int = 100


@dataclass
class Answers:
    """`latencies`: seconds, of each answer in turn. `elapsed`: from the first request to the last answer."""

    statuses: dict[str, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    elapsed: float = 0.0


def requests(plan: Plan) -> Iterator[bytes]:
    """Requests without end."""
    number = plan.first
    while True:
        for one, token in plan.environments:
            number += 1
            yield _request(plan, one, token, number)


def _request(plan: Plan, one: str, token: str, number: int) -> bytes:
    if plan.kind == "heartbeat":
        # A machine on which nothing happens, and its clock: 50 CPU milliseconds since the last one.
        sample = f"cpu us {1_000_000 + number}|tty /dev/pts/0 5 1|ssh 81 118|clock {int(time.time())} {number}.5 b|"
        return _post(f"/api/remote/{one}/heartbeat", token, {"sample": sample, "boot": "b", "notice": None})
    if plan.kind == "list":
        target = ("", "&status=ready", "&owner=bench")[number % 3]
        return f"GET /api/remote?limit=50{target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    if plan.kind == "events" or number % 4 < 2:
        told = [
            {"id": f"01{number * 1000 + each:024d}", "type": "tool.end", "data": {"session": "s", "tool": "Bash"}}
            for each in range(plan.batch)
        ]
        return _post(f"/api/remote/{one}/events", token, {"events": told})
    return _post(f"/api/remote/{one}/{('ready', 'error')[number % 2]}", token, {"message": "so it is", "data": {}})


def _post(path: str, token: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


class _Connection:
    """One connection, made anew when the server has closed it meanwhile."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._request = b""
        self.began = 0.0
        self._open()

    def _open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._content = b""

    def send(self, request: bytes, due: float) -> None:
        self.began, self._request, self._content = due, request, b""
        try:
            self.socket.sendall(request)
        except OSError:
            self._again()

    def _again(self) -> None:
        self.socket.close()
        self._open()
        self.socket.sendall(self._request)

    def read(self) -> str | None:
        """The answer's status when it is whole."""
        try:
            found = self.socket.recv(1 << 20)
        except ConnectionResetError:
            found = b""
        if not found:
            self._again()
            return None
        self._content += found
        head, whole, body = self._content.partition(b"\r\n\r\n")
        if not whole:
            return None
        length = head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0]
        return head[9:12].decode() if len(body) >= int(length) else None


def run(plan: Plan) -> Answers:
    """Send, wait, count."""
    answers, statuses = Answers(), Counter[str]()
    idle = deque(_Connection(plan.port) for _turn in range(plan.connections))
    began = time.perf_counter()
    sent = busy = 0
    ended = False
    with selectors.DefaultSelector() as selector:
        following = requests(plan)
        while busy or not ended:
            now = time.perf_counter()
            ended = ended or now - began >= plan.seconds or sent >= plan.count
            while idle and not ended and sent < plan.count:
                due = now if plan.per_second is None else began + sent / plan.per_second
                if due > now:
                    break
                connection = idle.popleft()
                connection.send(next(following), due)
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                sent, busy = sent + 1, busy + 1
            for key, _events in selector.select(0.002 if plan.per_second else 1.0):
                selector.unregister(key.fileobj)
                status = key.data.read()
                if status is None:
                    selector.register(key.data.socket, selectors.EVENT_READ, key.data)
                    continue
                answers.latencies.append(time.perf_counter() - key.data.began)
                statuses[status] += 1
                idle.append(key.data)
                busy -= 1
    answers.elapsed = time.perf_counter() - began
    answers.statuses = dict(statuses)
    return answers


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(run(Plan(**json.load(sys.stdin))))))
