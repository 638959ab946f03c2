# SPDX-License-Identifier: GPL-3.0-or-later
"""A team's server as real processes: `fuelctl server run --bind HOST:PORT`, on a database of either kind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import CloseConnection, Ping, RejectConnection, RejectData, Request, TextMessage

from fuelctl import _supervise
from tests.fuelctl.api import BODY
from tests.ports import free_port

ROOT = Path(__file__).parents[2]


class TeamServer:
    """One server with a home of its own; `database` is a Postgres URL, or empty for SQLite.

    `host`: where it listens, besides or instead of loopback.
    """

    host = "127.0.0.1"

    def __init__(self, home: Path, database: str = "", **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.environment = {
            **os.environ,
            "FUELCTL_HOME": str(home),
            "FUELCTL_REAPER_SECONDS": "1",
            "FUELCTL_DATABASE": database,
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""

    def start(self, *, wait: bool = True) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "fuelctl", "server", "run", "--bind", f"{self.host}:{self.port}"]
        with (self.home / "told").open("ab") as told:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=told, stderr=told, start_new_session=True
            )
        if wait:
            self.wait(lambda: self.ask("GET", "/healthz")[0] == 200)
            file = self.home / "state" / "server.token"
            self.token = self.token or file.read_text().strip()

    def told(self) -> str:
        return (self.home / "told").read_text()

    def wait(self, until: Callable[[], Any], seconds: float = 240.0) -> float:
        """Until that is so; how long it took."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            assert self.process is not None
            assert self.process.poll() is None, self.told()
            with suppress(OSError, http.client.HTTPException):
                if until():
                    return time.monotonic() - begun
            time.sleep(0.02)
        raise AssertionError(f"not so within {seconds} s\n{self.told()[-4000:]}")

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, decoded body (text when it is no JSON) and headers of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        try:
            fields = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}", **headers}
            connection.request(method, target, None if body is None else json.dumps(body), fields)
            answer = connection.getresponse()
            content = answer.read().decode()
            known = {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()
        try:
            return answer.status, json.loads(content), known
        except ValueError:
            return answer.status, content, known

    def make(self, **fields: Any) -> str:
        status, made, _headers = self.ask("POST", "/api/remote", {**BODY, "source": SOURCE, **fields})
        assert status == 202, made
        return str(made["id"])

    def parts(self) -> dict[str, int]:
        """Name -> process id of the crew's parts."""
        assert self.process is not None
        found = {}
        for pid in _supervise._descendants(self.process.pid):
            words = _words(pid)
            if "fuelctl.serving.part" in words and _parent(pid) == self.process.pid:
                found[words[words.index("fuelctl.serving.part") + 1]] = pid
        return found

    def everybody(self) -> list[int]:
        assert self.process is not None
        return [self.process.pid, *_supervise._descendants(self.process.pid)]

    def stop(self) -> None:
        if self.process is None:
            return
        everybody = self.everybody()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(180)
        for pid in everybody:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


#: A source that nobody uploads: the environment waits for it, and no work begins.
SOURCE = {"sha256": "0" * 64, "size": 10}


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


class Follower:
    """A WebSocket client that does nothing by itself. One that is `deaf` answers no ping."""

    def __init__(self, port: int, token: str, query: str = "", *, receive_buffer: int = 0, deaf: bool = False) -> None:
        self.deaf = deaf
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(120)
        self.peer = WSConnection(ConnectionType.CLIENT)
        self.status = 0
        self.refusal = b""
        self.headers: dict[str, str] = {}
        self.closed: tuple[int, str] | None = None
        self._text = ""
        self._ready: list[dict[str, Any]] = []
        headers = [(b"Authorization", f"Bearer {token}".encode())]
        target = f"/api/ws{'?' + query if query else ''}"
        try:
            self.socket.connect(("127.0.0.1", port))
            self.socket.sendall(self.peer.send(Request(host="127.0.0.1", target=target, extra_headers=headers)))
            while self.status == 0 and self.closed is None:
                self.read()
        except OSError:
            # Nobody has it yet who could: what is left open is told of in whatever test comes next.
            self.leave()
            raise

    def read(self) -> None:
        """Take in what has come, at least something."""
        content = self.socket.recv(65536)
        self.peer.receive_data(content or None)
        for event in self.peer.events():
            if isinstance(event, RejectConnection):
                self.status = event.status_code
                self.headers = {name.decode().lower(): value.decode() for name, value in event.headers}
            elif isinstance(event, RejectData):
                self.refusal += event.data
            elif isinstance(event, TextMessage):
                self._text += event.data
                if event.message_finished:
                    self._ready.append(json.loads(self._text))
                    self._text = ""
            elif isinstance(event, CloseConnection):
                self.closed = (event.code, event.reason or "")
                with suppress(OSError):
                    self.socket.sendall(self.peer.send(event.response()))
            elif isinstance(event, Ping) and self.deaf:
                continue
            elif isinstance(event, Ping):
                self.socket.sendall(self.peer.send(event.response()))
            elif self.status == 0:
                self.status = 101
        if not content and self.closed is None:
            self.closed = (1006, "")

    def next(self) -> dict[str, Any]:
        while not self._ready:
            assert self.closed is None, self.closed
            self.read()
        return self._ready.pop(0)

    def told(self) -> list[dict[str, Any]]:
        """What has been read and not taken by `next`."""
        return list(self._ready)

    def forget(self) -> None:
        """What has been read so far."""
        self._ready.clear()

    def until(self, type_: str) -> dict[str, Any]:
        while True:
            told = self.next()
            if told["type"] == type_:
                return told

    def leave(self) -> None:
        self.socket.close()


def refused(server: TeamServer, token: str | None = None, query: str = "") -> tuple[int, bytes]:
    """How one who wants to follow is answered: (101, ...) for one who may."""
    follower = Follower(server.port, server.token if token is None else token, query)
    try:
        while follower.status != 101 and follower.closed is None:
            follower.read()
    finally:
        follower.leave()
    return follower.status, follower.refusal
