# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to a control plane: JSON over HTTP, on a Unix socket or TCP, with the standard library alone.

Every failure leaves as a FuelError: `ApiError` when the server answered with a problem, `ServerUnreachableError` when
it did not answer. A call that may be repeated is repeated: a server that is being restarted is an everyday thing.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO
from urllib.parse import SplitResult, urlencode, urlsplit

from fuelctl import __version__
from fuelctl._shared import _unix_socket
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.answers import ApiError, Json, ServerUnreachableError, decode, pauses

_BLOCK = 256 * 1024
_MAX_REPLY = 64 * 1024 * 1024


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = _unix_socket.connect(self._path, self.timeout)


class Transport:
    """Sends requests; `call` returns the decoded JSON object.

    :param socket_path: Unix socket of the embedded server.
    :param url: `http(s)://host[:port][/prefix]` of a team's server; one of the two is given.
    :param token: bearer token for `url`.
    :param revive: called before a repeat, to start an embedded server that has died.
    :param revive_follower: the same, once `only_follow` was called; what it raises is what the call raises.
    """

    def __init__(
        self,
        *,
        socket_path: str | None = None,
        url: str | None = None,
        token: str | None = None,
        revive: Callable[[], object] | None = None,
        revive_follower: Callable[[], object] | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.embedded = url is None
        self.endpoint = url if url is not None else f"unix:{socket_path}"
        self._socket_path = socket_path
        self._token = token
        self._revive = revive
        self._revive_follower = revive_follower or revive
        self._timeout = timeout
        self._prefix = ""
        if url is not None:
            self._parts = _checked_url(url)
            self._prefix = self._parts.path.rstrip("/")
        elif socket_path is None:
            raise ValueError("either socket_path or url")

    def only_follow(self) -> None:
        """From here on this client watches: it does not start a server again that a person has stopped."""
        self._revive = self._revive_follower

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: dict[str, str | None] | None = None,
        headers: dict[str, str] | None = None,
        repeat: bool = False,
        timeout: float | None = None,
    ) -> Json:
        """Send one request and decode its answer; with `repeat`, again as `pauses` says."""
        given = {key: value for key, value in (query or {}).items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        fields = dict(headers or {})
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            fields["Content-Type"] = "application/json"
        attempt = 0
        while True:
            try:
                return self._exchange(method, target, payload, fields, timeout or self._timeout)
            except (ServerUnreachableError, ApiError) as error:
                if not repeat:
                    raise
                self._pause(error, attempt)
            attempt += 1

    def _pause(self, error: FuelError, attempt: int) -> None:
        """Before the next attempt, where there is to be one; raises `error` otherwise."""
        delays = pauses(error)
        if attempt >= len(delays):
            raise error
        time.sleep(delays[attempt])
        if self._revive is not None and isinstance(error, ServerUnreachableError):
            self._revive()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._socket_path is not None and self.embedded:
            return _UnixConnection(self._socket_path, timeout)
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=timeout)

    def _exchange(
        self,
        method: str,
        target: str,
        body: bytes | Iterator[bytes] | None,
        headers: dict[str, str],
        timeout: float,
        *,
        into: BinaryIO | None = None,
    ) -> Json:
        fields = {"Accept": "application/json", "User-Agent": f"fuelctl/{__version__}", "Connection": "close"} | headers
        if self._token:
            fields["Authorization"] = f"Bearer {self._token}"
        connection = self._connection(timeout)
        try:
            try:
                connection.request(method, self._prefix + target, body=body, headers=fields)
            except (BrokenPipeError, ConnectionResetError):
                # The server may have refused the body and hung up; its answer is worth more than our broken pipe.
                if connection.sock is None:
                    raise
            reply = connection.getresponse()
            if into is not None and reply.status == http.client.OK:
                while block := reply.read(_BLOCK):
                    into.write(block)
                return {}
            content = reply.read(_MAX_REPLY + 1)
            if reply.length:
                # A bounded read takes what a dying server got out for the whole, and nothing for an empty answer.
                raise http.client.IncompleteRead(content, reply.length)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise ServerUnreachableError(
                f"The fuelctl server at {self.endpoint} does not answer ({reason})",
                hint="see `fuelctl server status` and `fuelctl doctor`"
                if self.embedded
                else "check server.url, or the address of `fuelctl login`",
                code="server_unreachable",
            ) from error
        finally:
            connection.close()
        after = reply.headers.get("Retry-After")
        return decode(reply.status, reply.reason, content, self.endpoint, retry_after=after)


def _checked_url(url: str) -> SplitResult:
    """The parts of an address that can be asked; UsageError for anything else."""
    try:
        parts = urlsplit(url)
        # Its port is looked at when it is asked for.
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[!-~]+", url):
        raise UsageError(f"server.url {url[:200]!r} is no http(s) URL", hint="for example https://fuel.example.org")
    return parts
