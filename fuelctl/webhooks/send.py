# SPDX-License-Identifier: GPL-3.0-or-later
"""One POST to an address that was checked: resolved once, connected to by number, known by its name in TLS.

Redirects are not followed, proxies of the environment are not asked, and of the answer only the status is read.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from fuelctl import __version__
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.webhooks.guard import Network, check

#: Seconds for one address to take the connection.
_CONNECT = 5.0
_PORTS = {"http": 80, "https": 443}

#: `resolve(host, port)`: the addresses that a name means now.
Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Sent:
    """What came of it. `problem`: why it did not arrive, or none."""

    status: int | None
    seconds: float
    problem: str | None

    @property
    def arrived(self) -> bool:
        """Whether the receiver has it."""
        return self.problem is None


def system_resolve(host: str, port: int) -> list[str]:
    """As the machine's resolver says."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for _family, _kind, _protocol, _name, address in found))


def split(url: str) -> SplitResult:
    """The parts of a receiver's URL; UsageError when it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url[:200]!r} is no URL: {error}", hint="https://HOST/PATH", code="bad_url") from error
    plain = url.isascii() and url.isprintable() and " " not in url
    if not plain or parts.scheme not in _PORTS or not parts.hostname or port == 0 or parts.username is not None:
        raise UsageError(f"{url[:200]!r} is no address of a receiver", hint="https://HOST/PATH", code="bad_url")
    return parts


@dataclass(frozen=True)
class Sender:
    """Sends. `allowed`: networks that need not be public; `whole`: seconds for one exchange."""

    allowed: Sequence[Network] = ()
    resolve: Resolve = system_resolve
    context: ssl.SSLContext | None = None
    whole: float = 15.0

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Sent:
        """Send `body`; every way in which it can fail is in what is returned."""
        begun = time.monotonic()
        status: int | None = None
        problem: str | None = None
        try:
            status = self._exchange(split(url), body, headers)
            if not 200 <= status < 300:
                problem = f"it answered {status}" + (", and redirects are not followed" if 300 <= status < 400 else "")
        except FuelError as error:
            problem = str(error)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            late = time.monotonic() - begun >= self.whole
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            problem = f"it did not answer within {self.whole:g} s" if late else str(said)
        return Sent(status, round(time.monotonic() - begun, 3), problem[:300] if problem else None)

    def _exchange(self, url: SplitResult, body: bytes, headers: Mapping[str, str]) -> int:
        host = str(url.hostname)
        port = url.port or _PORTS[url.scheme]
        addresses = self.resolve(host, port)
        for address in addresses:
            # One that is refused among good ones is no accident: none of them is used.
            check(host, address, port, plain=url.scheme == "http", allowed=self.allowed)
        stream = _connect(addresses, port)
        stream.settimeout(self.whole)
        if url.scheme == "https":
            made = self.context or ssl.create_default_context()
            stream = made.wrap_socket(stream, server_hostname=host, do_handshake_on_connect=False)
        # A receiver that sends a byte now and then would keep every single wait short.
        end = threading.Timer(self.whole, _cut, [stream])
        end.daemon = True
        end.start()
        try:
            if isinstance(stream, ssl.SSLSocket):
                stream.do_handshake()
            connection = http.client.HTTPConnection(host, port, timeout=self.whole)
            connection.auto_open = 0
            connection.sock = stream
            given = {"Content-Type": "application/json", "User-Agent": f"fuelctl/{__version__}", **headers}
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("POST", path, body, {"Host": url.netloc, "Connection": "close", **given})
            return connection.getresponse().status
        finally:
            end.cancel()
            stream.close()


def _connect(addresses: Sequence[str], port: int) -> socket.socket:
    failed: OSError = OSError("its name means no address")
    for address in addresses[:4]:
        try:
            return socket.create_connection((address, port), timeout=_CONNECT)
        except OSError as error:
            failed = error
    raise failed


def _cut(stream: socket.socket) -> None:
    with suppress(OSError):
        # TLS's own way would take its state from under whoever reads.
        socket.socket.shutdown(stream, socket.SHUT_RDWR)
