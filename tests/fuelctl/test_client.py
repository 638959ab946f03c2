# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against a real socket: answers, problems, broken connections, and an upload that goes on."""

from __future__ import annotations

import io
import socket
from pathlib import Path
from typing import Any

import pytest

from fuelctl import answers
from fuelctl import client as client_module
from fuelctl.client import ApiError, Client, ServerUnreachableError
from tests.fuelctl.wire import Answer, HangUpError, Request, serving

#: As they are for people.
_IN_FLIGHT_DELAYS = answers.IN_FLIGHT_DELAYS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RETRY_DELAYS", "AWAY_DELAYS", "IN_FLIGHT_DELAYS"):
        monkeypatch.setattr(answers, name, (0.0, 0.0, 0.0))


def make(path: Path, **fields: Any) -> Client:
    return Client(socket_path=str(path), timeout=120, **fields)


def test_a_call_sends_what_the_contract_says(path: Path) -> None:
    def route(request: Request) -> Answer:
        return 202, {"echo": request.json(), "key": request.headers["idempotency-key"]}

    with serving(path, route) as seen:
        answer = make(path).create({"name": "a"}, key="k1")
    assert answer == {"echo": {"name": "a"}, "key": "k1"}
    assert (seen[0].method, seen[0].path) == ("POST", "/api/remote")
    assert seen[0].headers["user-agent"].startswith("fuelctl/")


def test_references_cannot_leave_their_place_in_the_path(path: Path) -> None:
    with serving(path, lambda _: (200, {})) as seen:
        make(path).environment("../server/stop?x=1#y")
    assert seen[0].path == "/api/remote/..%2Fserver%2Fstop%3Fx%3D1%23y"


def test_problem_becomes_an_error_with_everything_it_says(path: Path) -> None:
    problem = {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "the name a is taken",
        "hint": "choose another",
        "code": "name_taken",
        "details": {"where": "a", "more": 1},
    }
    with serving(path, lambda _: (409, problem)), pytest.raises(ApiError) as caught:
        make(path).environments()
    error = caught.value
    assert (error.status, error.message, error.hint, error.code) == (
        409,
        "the name a is taken",
        "choose another",
        "name_taken",
    )
    assert (error.where, error.details) == ("a", {"more": 1})


@pytest.mark.parametrize(
    ("status", "content"),
    [(502, b"<html>Bad gateway</html>"), (500, b""), (200, b"[1, 2]"), (200, b"\xff\xfe"), (404, b'{"a": 1}')],
)
def test_an_answer_that_is_not_ours_is_one_clear_error(path: Path, status: int, content: bytes) -> None:
    with serving(path, lambda _: (status, content)), pytest.raises(ApiError) as caught:
        make(path).environments()
    assert caught.value.code == "bad_answer"
    assert str(status) in caught.value.message


def test_nobody_there(path: Path) -> None:
    with pytest.raises(ServerUnreachableError) as caught:
        make(path).health()
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_dead_server_is_revived_and_asked_again(path: Path) -> None:
    revived: list[Any] = []
    running: list[Any] = []

    def revive() -> None:
        revived.append(1)
        if not running:
            context = serving(path, lambda _: (200, {"environments": []}))
            context.__enter__()
            running.append(context)

    try:
        assert make(path, revive=revive).environments() == {"environments": []}
    finally:
        for context in running:
            context.__exit__(None, None, None)
    assert revived == [1]


def test_a_reply_lost_after_create_is_repeated_with_the_same_key(path: Path) -> None:
    keys: list[str] = []

    def route(request: Request) -> Answer:
        request.body()
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            raise HangUpError
        return 202, {"id": "x"}

    with serving(path, route):
        assert make(path).create({}, key="same") == {"id": "x"}
    assert keys == ["same", "same"]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_a_server_behind_it_is_asked_again(path: Path, status: int) -> None:
    def route(_request: Request) -> Answer:
        return (status, b"<html>nginx</html>") if len(seen) < 3 else (200, {"environments": []})

    with serving(path, route) as seen:
        assert make(path).environments() == {"environments": []}
    assert len(seen) == 3


@pytest.mark.parametrize("turns", [2, 100])
def test_a_request_that_is_being_worked_on_is_repeated_with_the_same_key(path: Path, turns: int) -> None:
    def route(request: Request) -> Answer:
        request.body()
        if len(seen) > turns:
            return 202, {"id": "x"}
        return 409, {"detail": "the same request is being worked on", "code": "idempotency_in_flight"}

    with serving(path, route) as seen:
        if turns == 2:
            assert make(path).create({}, key="same") == {"id": "x"}
        else:
            with pytest.raises(ApiError, match="worked on"):
                make(path).create({}, key="same")
    assert [request.headers["idempotency-key"] for request in seen] == ["same"] * (3 if turns == 2 else 4)
    assert 30 < sum(_IN_FLIGHT_DELAYS) < 120


@pytest.mark.parametrize(
    ("status", "code"), [(401, "unauthorized"), (403, "forbidden"), (409, "name_taken"), (503, "no_worker")]
)
def test_what_is_refused_is_asked_once(path: Path, status: int, code: str) -> None:
    with serving(path, lambda _: (status, {"detail": "no", "hint": "ask", "code": code})) as seen:
        with pytest.raises(ApiError) as caught:
            make(path).extend("a", ttl_seconds=60)
        assert (caught.value.status, caught.value.code, caught.value.hint) == (status, code, "ask")
    assert len(seen) == 1


def test_where_as_many_wait_as_may_it_comes_back_without_waiting(path: Path) -> None:
    def route(request: Request) -> Answer:
        if request.query["wait"] == "0":
            return 200, {"events": [], "cursor": 7}
        return 503, {"detail": "too many", "code": "too_many_waiting"}

    with serving(path, route) as seen:
        assert make(path).events("a", after=7, wait=1) == {"events": [], "cursor": 7}
    assert [request.query["wait"] for request in seen] == ["1", "0"]


@pytest.mark.parametrize("sent", [b"", b'{"id": "E", "sta'])
def test_an_answer_that_breaks_off_is_asked_for_again(path: Path, sent: bytes) -> None:
    def route(request: Request) -> Answer:
        if len(seen) == 1:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
            request.handler.wfile.write(head + sent)
            raise HangUpError
        return 200, {"id": "E", "status": "ready"}

    with serving(path, route) as seen:
        assert Client(socket_path=str(path)).environment("E") == {"id": "E", "status": "ready"}
    assert len(seen) == 2


def test_a_lost_reply_with_the_key_is_asked_for_again_as_the_same_request(path: Path) -> None:
    lost = [True, True]

    def route(_request: Request) -> Answer:
        if lost:
            lost.pop()
            raise HangUpError
        return 200, {"private_key": "P"}

    with serving(path, route) as seen:
        assert make(path).ssh_key("01", key="k" * 20) == {"private_key": "P"}
    assert [request.headers["idempotency-key"] for request in seen] == ["k" * 20] * 3


class Store:
    """The server's side of an upload, with a script of mishaps."""

    def __init__(self, size: int, mishaps: list[str]) -> None:
        self.size = size
        self.mishaps = mishaps
        self.received = b""

    def route(self, request: Request) -> Answer:
        if request.method == "PUT":
            offset = int(request.query["offset"])
            mishap = self.mishaps.pop(0) if self.mishaps else ""
            if mishap == "refuse":
                return 409, {"detail": "not now", "code": "upload_in_progress"}
            if offset != len(self.received):
                return 409, {"detail": "wrong", "code": "wrong_offset", "details": {"received": len(self.received)}}
            if mishap.startswith("break"):
                self.received += request.body(int(mishap.removeprefix("break")))
                raise HangUpError
            self.received += request.body()
        return 200, {"received": len(self.received), "size": self.size, "complete": len(self.received) == self.size}


@pytest.mark.parametrize("mishaps", [[], ["break0"], ["break1000", "break500"], ["refuse"], ["", "break7", "refuse"]])
def test_upload_goes_on_where_it_broke(path: Path, monkeypatch: pytest.MonkeyPatch, mishaps: list[str]) -> None:
    monkeypatch.setattr(client_module, "UPLOAD_PIECE", 4096)
    monkeypatch.setattr(client_module, "_BLOCK", 512)
    content = bytes(range(256)) * 40
    store = Store(len(content), mishaps)
    told: list[int] = []
    with serving(path, store.route):
        make(path).upload("01", io.BytesIO(content), len(content), told.append)
    assert store.received == content
    assert told[-1] == len(content)


def test_upload_takes_up_what_an_earlier_command_sent(path: Path) -> None:
    content = b"x" * 1000 + b"y" * 1000
    store = Store(2000, [])
    store.received = content[:1000]
    with serving(path, store.route) as seen:
        make(path).upload("01", io.BytesIO(content), 2000)
    assert store.received == content
    assert [request.query["offset"] for request in seen if request.method == "PUT"] == ["1000"]


def test_upload_that_is_refused_for_good_says_why(path: Path) -> None:
    def route(request: Request) -> Answer:
        if request.method == "PUT":
            # Answered without reading the body: the client must find the answer behind its broken pipe.
            return 422, {"detail": "its SHA-256 differs", "code": "wrong_digest"}
        return 200, {"received": 0, "size": 30_000_000, "complete": False}

    with serving(path, route), pytest.raises(ApiError) as caught:
        make(path).upload("01", io.BytesIO(b"x" * 30_000_000), 30_000_000)
    assert caught.value.code == "wrong_digest"


def test_upload_gives_up_when_the_connection_keeps_breaking(path: Path) -> None:
    store = Store(5000, ["break0"] * 10)
    with serving(path, store.route), pytest.raises(ServerUnreachableError):
        make(path).upload("01", io.BytesIO(b"x" * 5000), 5000)
    assert len(store.mishaps) == 10 - 4


def test_an_empty_source_is_complete_at_once(path: Path) -> None:
    with serving(path, Store(0, []).route):
        make(path).upload("01", io.BytesIO(b""), 0)


def test_tcp_with_prefix_and_token() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        seen: list[bytes] = []

        def answer() -> None:
            connection, _address = listener.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        import threading

        thread = threading.Thread(target=answer)
        thread.start()
        client = Client(url=f"http://127.0.0.1:{port}/team/", token="t0ken")
        assert client.health() == {}
        thread.join()
    assert seen[0].startswith(b"GET /team/healthz HTTP/1.1\r\n")
    assert b"Authorization: Bearer t0ken\r\n" in seen[0]
    assert not client.embedded


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://", "file:///etc/passwd"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(Exception, match=r"server\.url"):
        Client(url=url)
