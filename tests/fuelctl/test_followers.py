# SPDX-License-Identifier: GPL-3.0-or-later
"""Followers of a team's server as it runs: as many as may, one more, the slow, the silent, and those who poll."""

from __future__ import annotations

import json
import select
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from fuelctl.client import Client
from fuelctl.config import Settings
from fuelctl.environments.core import Core
from fuelctl.server.app import create_app
from fuelctl.server.hand_over import receive, send_over
from fuelctl.server.parts import Parts
from fuelctl.store.ulids import new_ulid
from tests.fuelctl.databases import database_of
from tests.fuelctl.team_server import Follower, TeamServer
from tests.fuelctl.team_server import refused as refused_or_not

_HANDSHAKE = (
    b"GET /api/ws?after=0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MOST = 150
#: Seconds: those who read and answer have them, also when this machine stands still for a moment.
PATIENCE = 5.0
PING = 10.0
THREADS = 8


@pytest.fixture(scope="module")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    with database_of(postgres, "followers") as shared:
        settings: dict[str, object] = {"MAX_FOLLOWERS": MOST, "THREADS": THREADS, "METRICS_OPEN": "true"}
        settings |= {"FOLLOWER_PATIENCE_SECONDS": PATIENCE, "PING_SECONDS": PING}
        given = {f"FUELCTL_{name}": str(value) for name, value in settings.items()}
        made = TeamServer(tmp_path_factory.mktemp("followed") / "home", shared.url, **given)
        made.start()
        yield made
        made.stop()


def figure(server: TeamServer, name: str) -> float:
    lines = str(server.ask("GET", "/metrics")[1]).splitlines()
    return float(next((line.split()[1] for line in lines if line.startswith(name + " ")), "0"))


def nobody(server: TeamServer) -> None:
    """Those of the test before may not all have been noticed to be gone."""
    server.wait(lambda: figure(server, "fuelctl_followers") == 0)


class Crowd:
    """Many followers, read by one thread as what is for them comes in: that also answers their pings."""

    def __init__(self, server: TeamServer, count: int, query: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._going = True
        self.all: list[Follower] = []
        self._lock = threading.Lock()
        thread = threading.Thread(target=self._read, daemon=True)
        thread.start()

        def come(_number: int) -> None:
            follower = Follower(server.port, server.token, query)
            with self._lock:
                self.all.append(follower)
                if follower.status == 101:
                    self._selector.register(follower.socket, selectors.EVENT_READ, follower)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(come, range(count)))

    def _read(self) -> None:
        while self._going:
            for key, _events in self._selector.select(0.1):
                follower: Follower = key.data
                with suppress(OSError):
                    follower.read()
                if follower.closed is not None:
                    self._selector.unregister(follower.socket)

    def statuses(self) -> set[int]:
        return {each.status for each in self.all}

    def leave(self) -> None:
        self._going = False
        for each in self.all:
            each.leave()


def test_as_many_as_may_follow_and_one_more_polls(server: TeamServer) -> None:
    nobody(server)
    made = server.make(name="watched")
    crowd = Crowd(server, MOST, f"environment={made}&after=0")
    try:
        assert crowd.statuses() == {101}
        assert figure(server, "fuelctl_followers") == MOST
        refused = Follower(server.port, server.token)
        while refused.closed is None:
            refused.read()
        refused.leave()
        assert (refused.status, refused.headers["retry-after"]) == (503, "30")
        assert json.loads(refused.refusal)["code"] == "too_many_followers"
        # A command polls, whoever follows.
        client = Client(url=f"http://127.0.0.1:{server.port}", token=server.token)
        with ThreadPoolExecutor(1) as pool:
            known = client.events(made, after=0)
            waits = pool.submit(client.events, made, after=known["cursor"], wait=20)
            server.ask("POST", f"/api/remote/{made}/terminate", {})
            assert waits.result(240)["events"][0]["type"] == "remote.terminate.start"
        last = client.events(made, after=0)["events"]
        server.wait(lambda: all(len(each.told()) >= len(last) for each in crowd.all))
        for each in crowd.all:
            assert [event["seq"] for event in each.told()] == [event["seq"] for event in last]
        # There is room again when one has gone.
        crowd.all[0].leave()
        server.wait(lambda: refused_or_not(server)[0] == 101)
    finally:
        crowd.leave()


def tell_much(server: TeamServer, made: str, batches: int) -> None:
    """Events of 4 kB each, 200 at once."""
    for _turn in range(batches):
        told = [
            {"id": new_ulid(time.time()), "type": "session.note", "environment": made, "data": {"text": "x" * 3900}}
            for _number in range(200)
        ]
        status, answer, _headers = server.ask("POST", "/api/events", {"events": told})
        assert (status, answer) == (200, {"accepted": 200})


def is_let_go(server: TeamServer, request: str, reason: str) -> bool:
    return any(request in line and reason in line for line in server.told().splitlines())


def test_one_that_does_not_read_is_let_go_and_comes_back_for_the_rest(server: TeamServer) -> None:
    nobody(server)
    made = server.make(name="much")
    # More than the kernel's buffers on the way hold.
    tell_much(server, made, 10)
    slow = Follower(server.port, server.token, f"environment={made}&after=0", receive_buffer=4096)
    other = Crowd(server, 1, f"environment={made}&after=0")
    try:
        server.wait(lambda: is_let_go(server, "read too slowly", '"code": 1013'))
        got: list[dict[str, Any]] = []
        while slow.closed is None:
            slow.read()
            got += slow.told()
            slow.forget()
        assert slow.closed[0] == 1013
        assert "after=" in slow.closed[1]
        everything = read_all(server, made)
        seqs = [event["seq"] for event in got]
        assert seqs == everything[: len(seqs)]
        assert 0 < len(seqs) < len(everything)
        back = Follower(server.port, server.token, f"environment={made}&after={seqs[-1]}")
        while len(seqs) < len(everything):
            seqs.append(back.next()["seq"])
        assert seqs == everything
        back.leave()
        # Who reads has noticed nothing of it.
        (quick,) = other.all
        server.wait(lambda: len(quick.told()) == len(everything))
        assert quick.closed is None
    finally:
        slow.leave()
        other.leave()


def read_all(server: TeamServer, made: str) -> list[int]:
    seqs: list[int] = []
    while found := server.ask("GET", f"/api/remote/{made}/events?after={seqs[-1] if seqs else 0}")[1]["events"]:
        seqs += [event["seq"] for event in found]
    return seqs


def test_one_that_answers_no_ping_is_let_go(server: TeamServer) -> None:
    nobody(server)
    deaf = Follower(server.port, server.token, deaf=True)
    awake = Crowd(server, 1, "")
    try:
        begun = time.monotonic()
        while deaf.closed is None:
            deaf.read()
        assert deaf.closed == (1008, "no answer to a ping")
        assert time.monotonic() - begun >= PING
        assert awake.all[0].closed is None
        deaf.leave()
        server.wait(lambda: figure(server, "fuelctl_followers") == 1)
    finally:
        awake.leave()


def test_one_for_whom_there_is_no_way_over_is_answered(core: Core) -> None:
    """The kernel keeps so many on their way to a process that is busy; who is beyond them is told to poll."""
    give, take = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with give, take:
        give.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        app = create_app(Parts(core, lambda *_: None, Settings(), follow=send_over(give)))
        web = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            waiting: list[socket.socket] = []
            turned_away: list[socket.socket] = []
            while not turned_away:
                asks = socket.create_connection(("127.0.0.1", web.server_port), 120)
                asks.sendall(_HANDSHAKE)
                waiting.append(asks)
                turned_away = select.select(waiting, [], [], 0.3)[0]
            answer = b""
            while more := turned_away[0].recv(65536):
                answer += more
            head, _empty, content = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 30" in head
            assert json.loads(content)["code"] == "too_many_followers"
            # Who was sent over before is there, unharmed.
            take.settimeout(120)
            found = receive(take)
            assert found is not None
            connection, ticket = found
            assert connection.getpeername() in [each.getsockname() for each in waiting]
            assert ticket.after == 0
            connection.close()
            for each in waiting:
                each.close()
        finally:
            web.shutdown()
            thread.join()
            web.server_close()


def test_who_waits_for_events_leaves_room_for_everybody_else(server: TeamServer) -> None:
    made = server.make(name="quiet")
    cursor = server.ask("GET", f"/api/remote/{made}/events")[1]["cursor"]
    path = f"/api/remote/{made}/events?after={cursor}"
    room = 2 * (THREADS * 3 // 4)
    with ThreadPoolExecutor(3 * room) as pool:
        waiting = [pool.submit(server.ask, "GET", f"{path}&wait=30") for _number in range(3 * room)]
        status, told, headers = next(as_completed(waiting, timeout=240)).result()
        assert (status, told["code"], headers["retry-after"]) == (503, "too_many_waiting", "2")
        server.wait(lambda: sum(each.done() for each in waiting) >= room)
        # Whoever does not wait is answered while they do, and a command comes back by itself.
        assert server.ask("GET", path)[1] == {"events": [], "cursor": cursor}
        assert 0 < figure(server, "fuelctl_waiting_requests") <= room
        client = Client(url=f"http://127.0.0.1:{server.port}", token=server.token)
        assert client.events(made, after=cursor, wait=1) == {"events": [], "cursor": cursor}
        server.ask("POST", f"/api/remote/{made}/terminate", {})
        answers = [each.result(240) for each in waiting]
    heard = [told for status, told, _headers in answers if status == 200]
    assert 0 < len(heard) <= room
    assert all(told["events"][0]["type"] == "remote.terminate.start" for told in heard)
    assert {status for status, _told, _headers in answers} == {200, 503}
    server.wait(lambda: figure(server, "fuelctl_waiting_requests") == 0)


def test_its_log_says_why(server: TeamServer) -> None:
    lines = [json.loads(line) for line in Path(server.home / "told").read_text().splitlines() if line.startswith("{")]
    let_go = {line["code"]: line for line in lines if "is let go" in line["message"]}
    assert {1008, 1013} <= set(let_go)
    assert all(line["actor"] and line["request"] for line in let_go.values())
