# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of repositories that fail, fall silent, or lead elsewhere: git's own clone against real TLS."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fuelctl import git, source
from fuelctl._shared._errors import FuelError, UsageError
from tests.fuelctl import receiver

pytestmark = pytest.mark.usefixtures("git_settings")
#: Says how a connection goes on after the request's head was read.
Answer = Callable[[ssl.SSLSocket, threading.Event], None]
_REFS = b"001e# service=git-upload-pack\n0000"


class Host:
    """A host of repositories whose answers are the test's."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.answer: Answer = lambda _connection, _over: None
        self.asked: list[str] = []
        self.over = threading.Event()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/team/app.git"

    def _accept(self) -> None:
        while not self.over.is_set():
            with suppress(OSError):
                plain, _address = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(plain,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with plain, suppress(OSError), self._context.wrap_socket(plain, server_side=True) as connection:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := connection.recv(65536)):
                    return
                head += more
            self.asked.append(head.split(b"\r\n", 1)[0].decode())
            self.answer(connection, self.over)

    def close(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(120)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    context, _client = receiver.certificate(tmp_path, "localhost")
    monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "localhost.pem"))
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Host(context)
    yield made
    made.close()


def status(line: str, body: bytes = b"", kind: str = "text/html", **more: str) -> Answer:
    def answer(connection: ssl.SSLSocket, _over: threading.Event) -> None:
        head = [f"HTTP/1.1 {line}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close"]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)

    return answer


def silence(connection: ssl.SSLSocket, over: threading.Event) -> None:
    """Heard, and not a word."""
    over.wait(500)


def silent_in_the_middle(connection: ssl.SSLSocket, over: threading.Event) -> None:
    """It begins, and then says nothing any more."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 9999\r\n\r\n"
    )
    connection.sendall(head + _REFS)
    over.wait(500)


def cut_off(connection: ssl.SSLSocket, _over: threading.Event) -> None:
    """It begins, and is gone."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 9999\r\n\r\n"
    )
    connection.sendall(head + _REFS)


def refused(host: Host) -> str:
    """The one line for a clone that could not be."""
    with pytest.raises(FuelError) as caught:
        source.inspect(host.url)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert "Cannot clone https://localhost" in said
    assert not source_left()
    return said


def helpers(url: str) -> list[bytes]:
    """Processes of git's own that speak to this host."""
    lines = []
    for file in Path("/proc").glob("[1-9]*/cmdline"):
        with suppress(OSError):
            lines.append(file.read_bytes())
    return [line for line in lines if b"git-remote-https" in line and url.encode() in line]


def until(condition: Callable[[], object], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not (holds := bool(condition())) and time.monotonic() < end:
        time.sleep(0.05)
    return holds


def source_left() -> list[Path]:
    from fuelctl import paths

    return [each for each in (paths.cache_folder()).rglob("clone-*/*/*") if each.is_file()]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (status("500 Internal Server Error"), "500"),
        (status("503 Service Unavailable", Retry_After="120"), "503"),
        (status("404 Not Found"), "not found"),
        (status("401 Unauthorized", WWW_Authenticate='Basic realm="git"'), "could not read Username"),
        (status("403 Forbidden"), "403"),
        (cut_off, ""),
        (
            status("200 OK", b"<!doctype html><title>Sign in</title>\n<form action=/login></form>\n"),
            "is this a git repository",
        ),
        (status("200 OK"), "no git repository"),
    ],
)
def test_one_that_fails_is_one_line(host: Host, answer: Answer, expected: str) -> None:
    host.answer = answer
    assert expected in refused(host)


@pytest.mark.parametrize("answer", [silence, silent_in_the_middle])
def test_one_that_falls_silent_is_given_up(host: Host, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two minutes; here after two seconds."""
    monkeypatch.setenv("GIT_HTTP_LOW_SPEED_TIME", "2")
    host.answer = answer
    assert "low" in refused(host), "operation too slow"
    assert not host.over.is_set()


def test_one_that_never_begins_tls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After two and a half minutes; here after a second. curl by itself takes five."""
    monkeypatch.setattr(git, "_FIRST_WORD", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://localhost:{mute.getsockname()[1]}/team/app.git"
        with pytest.raises(FuelError, match="nothing was heard for 1 s"):
            source.inspect(url)
        assert not source_left()
        assert until(lambda: not helpers(url)), "its helpers end with it"


def test_helpers_of_one_that_is_interrupted_end_with_it() -> None:
    """They are in a session of their own, where Ctrl-C does not reach them."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://localhost:{mute.getsockname()[1]}/team/app.git"
        line = "import sys\nfrom fuelctl import source\nsource.inspect(sys.argv[1])"
        with subprocess.Popen([sys.executable, "-c", line, url], stderr=subprocess.DEVNULL) as asking:
            assert until(lambda: helpers(url)), "it asks"
            asking.send_signal(signal.SIGINT)
            asking.wait()
        assert until(lambda: not helpers(url)), "its helpers end with it"


def test_an_empty_repository_is_no_page(host: Host) -> None:
    none = b"0" * 40 + b" capabilities^{}\0agent=git/2\n"
    listed = _REFS + f"{len(none) + 4:04x}".encode() + none + b"0000"
    host.answer = status("200 OK", listed, "application/x-git-upload-pack-advertisement")
    with pytest.raises(UsageError, match="the repository is empty"):
        source.inspect(host.url)


def test_no_redirect_leads_to_where_no_address_could_have(host: Host) -> None:
    """To plain HTTP, as a cloud's metadata service speaks it; not a byte arrives there."""
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.setblocking(False)
        at = inside.getsockname()[1]
        for line in ("301 Moved Permanently", "302 Found", "307 Temporary Redirect"):
            for target in (f"http://127.0.0.1:{at}/latest/", f"ftp://127.0.0.1:{at}/x", "file:///etc/passwd"):
                host.answer = status(line, Location=target)
                refused(host)
        with pytest.raises(BlockingIOError):
            inside.accept()
    assert len(host.asked) == 9
