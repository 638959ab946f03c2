# SPDX-License-Identifier: GPL-3.0-or-later
"""A real server on a network in which not everybody means well: others are served all the while."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from fuelctl.serving import worker
from tests.fuelctl.api import BODY
from tests.fuelctl.team_server import Follower, TeamServer

#: Threads of the server: far fewer than there are enemies.
THREADS = 8
MANY = 300
#: Seconds: far less than anybody is held up for who waits for one of them (10 for a head, 20 for a body).
SOON = 8.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    made = TeamServer(tmp_path_factory.mktemp("hostile") / "home", FUELCTL_THREADS=str(THREADS))
    made.start()
    yield made
    made.stop()


def connect(server: TeamServer) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", server.port), timeout=90)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def served(server: TeamServer, count: int = 30) -> float:
    """Ordinary requests, one after the other; the slowest of them."""
    took = []
    for _turn in range(count):
        begun = time.monotonic()
        assert server.ask("GET", "/api/whoami")[0] == 200
        took.append(time.monotonic() - begun)
    return max(took)


def held_up(server: TeamServer, attack: Callable[[ExitStack], None]) -> float:
    """The slowest of ordinary requests beside such an attack: the best of three, for a busy machine is slow too."""
    took: list[float] = []
    while len(took) < 3 and min(took, default=SOON) >= SOON:
        with ExitStack() as stack:
            attack(stack)
            took.append(served(server))
    return min(took)


def answer_to(server: TeamServer, content: bytes) -> bytes:
    """All that is answered to these bytes, until the server closes."""
    with connect(server) as enemy:
        found = b""
        with suppress(ConnectionResetError, BrokenPipeError):
            enemy.sendall(content)
            enemy.shutdown(socket.SHUT_WR)
            while some := enemy.recv(65536):
                found += some
        return found


def test_connections_that_say_nothing_or_half_a_head_hold_nobody_up(server: TeamServer) -> None:
    enemies: list[socket.socket] = []

    def attack(stack: ExitStack) -> None:
        enemies[:] = [stack.enter_context(connect(server)) for _turn in range(MANY)]
        for number, enemy in enumerate(enemies):
            if number % 2:
                enemy.sendall(b"GET /api/whoami HTTP/1.1\r\nHost: x\r\nX-A")

    def attack_on(stack: ExitStack) -> None:
        attack(stack)
        for _turn in range(4):
            for enemy in enemies[1::2]:
                with suppress(OSError):
                    enemy.sendall(b"a")
            assert served(server, 2)
            time.sleep(0.5)

    assert held_up(server, attack) < SOON
    assert held_up(server, attack_on) < SOON
    with ExitStack() as stack:
        attack(stack)
        # They are let go after their time, however they drip.
        begun = time.monotonic()
        with suppress(ConnectionResetError, BrokenPipeError):
            while time.monotonic() - begun < worker.HEAD_SECONDS + 200:
                enemies[1].sendall(b"a")
                time.sleep(0.5)
        enemies[1].settimeout(1)
        with suppress(ConnectionResetError):
            assert enemies[1].recv(100) == b""


def test_bodies_that_never_end_cost_a_stranger_nothing_but_his_own(server: TeamServer) -> None:
    head = "POST /api/remote HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n"

    def attack(stack: ExitStack) -> None:
        for _turn in range(3 * THREADS):
            enemy = stack.enter_context(connect(server))
            enemy.sendall(f"{head}\r\n{{".encode())

    # Nobody reads on after a stranger is refused.
    assert held_up(server, attack) < SOON


def test_a_body_that_comes_too_slowly_is_given_up(server: TeamServer) -> None:
    head = (
        "POST /api/remote HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n"
        f"Authorization: Bearer {server.token}\r\n\r\n"
    )
    with connect(server) as enemy:
        begun = time.monotonic()
        enemy.sendall(head.encode())
        with suppress(OSError):
            while time.monotonic() - begun < worker.BODY_SECONDS + 240:
                enemy.sendall(b" ")
                time.sleep(0.5)
        assert worker.BODY_SECONDS - 1 < time.monotonic() - begun < worker.BODY_SECONDS + 200
    assert served(server, 3)


@pytest.mark.parametrize("path", ["/api/remote", f"/api/remote/{'0' * 26}/events", "/nowhere", "/healthz"])
def test_ten_megabytes_are_refused_before_they_are_read(server: TeamServer, path: str) -> None:
    size = 10 * 1024 * 1024
    for framing in (f"Content-Length: {size}", "Transfer-Encoding: chunked"):
        with connect(server) as enemy:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n"
            enemy.sendall(f"{head}Authorization: Bearer {server.token}\r\n\r\n".encode())
            sent, told = 0, b""
            block = b"%x\r\n%s\r\n" % (65536, b" " * 65536) if "chunked" in framing else b" " * 65536
            enemy.settimeout(60)
            with suppress(OSError):
                while sent < size:
                    enemy.sendall(block)
                    sent += 65536
                if "chunked" in framing:
                    enemy.sendall(b"0\r\n\r\n")
            with suppress(OSError):
                told = enemy.recv(65536)
            status = told.split(b" ")[1:2]
            assert status in ([b"413"], [b"404"], [b"405"], [b"401"], [b"422"], []), told[:200]
    assert served(server, 3)


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: -1",
        "Content-Length: 1e3",
        "Content-Length: 5, 6",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked, chunked",
        "Content-Length : 5",
        "X-A: a\x00b",
        "X-A: a\rb",
        " folded: header",
    ],
)
def test_what_two_readers_could_take_for_two_things_is_refused(server: TeamServer, head: str) -> None:
    request = f"POST /api/remote HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n{head}\r\n\r\n"
    smuggled = "0\r\n\r\nGET /api/users HTTP/1.1\r\nHost: x\r\n\r\n"
    told = answer_to(server, (request + smuggled).encode())
    assert told == b"" or told.split(b" ")[1] in (b"400", b"401", b"413", b"415", b"422", b"431", b"501"), told[:300]
    assert told.count(b"HTTP/1.1") <= 1, "what followed was taken for a request of its own"


def test_bad_chunks_end_the_connection(server: TeamServer) -> None:
    head = (
        "POST /api/remote HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        f"Authorization: Bearer {server.token}\r\n\r\n"
    ).encode()
    long = b"5;" + b"x" * 100_000 + b"\r\n"
    for body in (b"zz\r\n", b"5\r\nabc\r\n0\r\n\r\n", b"-5\r\n", long, b"ffffffffffffffff\r\nx"):
        told = answer_to(server, head + body + b"GET /api/users HTTP/1.1\r\nHost: x\r\n\r\n")
        assert told.count(b"HTTP/1.1") <= 1, told
        assert not told or told.split(b" ")[1] in (b"400", b"413", b"422"), told[:300]


def test_floods_of_headers_and_long_lines_are_refused(server: TeamServer) -> None:
    flood = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(1000)) + b"\r\n"
    assert answer_to(server, flood).split(b" ")[1] in (b"400", b"431")
    long = b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert answer_to(server, long).split(b" ")[1] in (b"400", b"414", b"431")
    endless = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 300_000
    assert answer_to(server, endless).split(b" ")[1] in (b"400", b"431")
    assert served(server, 3)


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/api/%2e%2e/%2e%2e/etc/passwd", "/api/remote/..%2f..%2fstate%2fsecret.key", "//etc/passwd",
     "/api/remote/%00", "/static/../secret.key", "/api/remote/x/../../users", "http://evil/api/users"],
)  # fmt: skip
def test_no_path_leads_out(server: TeamServer, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {server.token}\r\n\r\n"
    told = answer_to(server, request.encode())
    assert b"root:" not in told
    assert told.split(b" ")[1] in (b"400", b"404", b"422", b"200", b"308"), told[:200]
    if told.split(b" ")[1] == b"200":
        # An absolute address of ours is an address of ours.
        assert json.loads(told.partition(b"\r\n\r\n")[2])["users"]


def test_a_follower_that_is_half_open_or_floods_is_let_go_and_others_are_served(server: TeamServer) -> None:
    made = server.make(name="followed")
    enemy = Follower(server.port, server.token)
    with suppress(OSError):
        # No frame of a client is unmasked.
        enemy.socket.sendall(b"\x81\x05hello" * 10_000)
    while enemy.closed is None:
        with suppress(OSError):
            enemy.read()
            continue
        break
    enemy.leave()
    follower = Follower(server.port, server.token, f"environment={made}&after=0")
    assert follower.next()["environment_id"] == made
    follower.leave()
    assert served(server, 3)


def test_the_server_never_failed(server: TeamServer) -> None:
    """After all of that: no traceback, and what it does it does."""
    assert "Traceback" not in server.told(), server.told()[-3000:]
    status, made, _headers = server.ask("POST", "/api/remote", BODY)
    assert status == 202, made
