# SPDX-License-Identifier: GPL-3.0-or-later
"""The door of a machine: knocked at by the CLI, opened by the API, over real sockets and a real store."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from fuelctl import paths, ssh_config
from fuelctl.cli import _ingress
from fuelctl.client import Client
from fuelctl.config import Settings
from fuelctl.environments import registry
from fuelctl.environments.access import LetIn
from fuelctl.environments.core import Core, MachineError
from fuelctl.environments.journal import Journal
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store import resources
from fuelctl.store.models import EnvironmentRow

HOME, CAFE = "198.51.100.7", "198.51.100.8"
ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


class Door:
    """A port that greets as an SSH server does while it is `open`, and otherwise accepts and says nothing.

    `opens_after`: so many knocks more, and it is open.
    """

    def __init__(self) -> None:
        self.open = True
        self.opens_after: int | None = None
        self.knocks = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._kept: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            self.knocks += 1
            self._kept.append(connection)
            if self.opens_after is not None:
                self.open = self.opens_after == 0
                self.opens_after = max(0, self.opens_after - 1)
            if self.open:
                connection.sendall(b"SSH-2.0-it\r\n")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        for each in [self._socket, *self._kept]:
            each.close()


class Service:
    """Says the caller's address; hangs while `hangs`."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer = f"{CAFE}\n"
        self.hangs = threading.Event()
        self.hangs_no_more = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked += 1
                if service.hangs.is_set():
                    service.hangs_no_more.wait(600)
                with suppress(OSError):
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(service.answer.encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                """Nothing is said of it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads, self._server.block_on_close = True, False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.hangs_no_more.set()
        self._server.shutdown()
        self._server.server_close()


class Server(Client):
    """What the CLI asks of a control plane, which opens the `door`: not for the next who knocks, but then."""

    def __init__(self, door: Door | None = None) -> None:
        super().__init__(url="http://127.0.0.1:9")
        self.asked: list[tuple[str, str]] = []
        self._door = door

    def authorize_ip(self, ref: str, *, address: str) -> dict[str, Any]:
        self.asked.append((ref, address))
        if self._door is not None:
            self._door.opens_after = 1
        return {}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUELCTL_HOME", str(tmp_path / "home"))
    # A team's server: nothing of this machine's credentials is looked at.
    monkeypatch.setenv("FUELCTL_SERVER_URL", "http://127.0.0.1:9")
    paths.private_folder(paths.ssh_key_file(ID).parent)
    # Whoever answers does so in time, however busy this machine is.
    for name in ("_ASK", "_ASK_ALL", "_OPENING"):
        monkeypatch.setattr(_ingress, name, 120.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of a door, for a test in which none stays closed."""
    monkeypatch.setattr(_ingress, "_KNOCK", 120.0)


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.close()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


def environment(door: Door, services: list[str], networks: list[str] | None = None) -> dict[str, Any]:
    networks = [f"{HOME}/32"] if networks is None else networks
    return {
        "id": ID,
        "name": "shop",
        "status": "ready",
        "provider": {"name": "ec2", "let_in": {"networks": networks, "services": services}},
        "connection": {"machine": {"address": "127.0.0.1", "port": door.port}},
    }


@pytest.mark.usefixtures("patient")
def test_a_machine_that_answers_needs_nothing_and_is_left_alone_for_a_while(
    door: Door, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ingress, "_STILL_OPEN", 3600.0)
    server, it = Server(), environment(door, [service.url])
    _ingress.open_door(server, it)
    _ingress.open_door(server, it)
    assert (server.asked, service.asked, door.knocks) == ([], 0, 1)
    long_ago = time.time() - 3601
    os.utime(ssh_config.answered_file(ID), (long_ago, long_ago))
    _ingress.open_door(server, it)
    assert door.knocks == 2
    with ssh_config.locked():
        ssh_config.remove([ID])
    assert not ssh_config.answered_file(ID).exists()


def test_a_provider_without_such_a_rule_costs_nothing(door: Door) -> None:
    it = environment(door, [])
    for provider in ({"name": "local"}, {"name": "ssh", "let_in": None}):
        _ingress.open_door(Server(), {**it, "provider": provider})
    assert door.knocks == 0


def test_who_comes_from_elsewhere_is_let_in(door: Door, service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    door.open = False
    server = Server(door)
    _ingress.open_door(server, environment(door, ["http://127.0.0.1:9", service.url]))
    assert server.asked == [(ID, CAFE)]
    assert ssh_config.answered_file(ID).exists()
    # One more where the open door's word came later than it is waited for.
    assert 2 <= door.knocks <= 6, "it is entered when it is open"
    assert CAFE in capsys.readouterr().err


def test_a_door_that_stays_closed_is_not_taken_for_open(
    door: Door, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.open = False
    monkeypatch.setattr(_ingress, "_OPENING", 1.0)
    _ingress.open_door(Server(), environment(door, [service.url]))
    assert not ssh_config.answered_file(ID).exists()


def test_who_is_let_in_already_is_not_let_in_again(door: Door, service: Service) -> None:
    door.open = False
    server = Server()
    _ingress.open_door(server, environment(door, [service.url], [f"{CAFE}/32"]))
    assert server.asked == []


@pytest.mark.parametrize("answer", ["<html>", "127.0.0.1", "0.0.0.0/0", ""])
def test_without_an_answer_nobody_is_let_in(
    door: Door, service: Service, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    door.open, service.answer = False, answer
    server = Server()
    _ingress.open_door(server, environment(door, [service.url]))
    assert server.asked == []
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: the machine of shop does not answer")


def test_a_dead_service_is_not_waited_for(door: Door, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_ASK", 1.0), ("_ASK_ALL", 2.0)):
        monkeypatch.setattr(_ingress, name, seconds)
    door.open = False
    service.hangs.set()
    server, begun = Server(), time.monotonic()
    _ingress.open_door(server, environment(door, [service.url, service.url, service.url]))
    assert server.asked == []
    assert time.monotonic() - begun < 300, "each of the three would take ten minutes"


# The API


class Provider:
    """Lets addresses in, as a playbook does; `trouble` is raised."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble: MachineError | None = None
        self.slow = 0.0

    def __call__(self, _row: EnvironmentRow, address: str) -> LetIn:
        self.asked.append(address)
        time.sleep(self.slow)
        if self.trouble is not None:
            raise self.trouble
        return LetIn([f"{address}/32"], [{"kind": "ingress_rule", "name": f"sg-1 port 22 from {address}/32"}])


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def http(core: Core, provider: Provider) -> FlaskClient:
    return create_app(Parts(core, lambda *_: None, Settings(), authorize=provider)).test_client()


def ready(http: FlaskClient, core: Core, **provider: Any) -> str:
    body = {"provider": {"name": "ec2"}, "blueprint": {}, "repository": {}, "ttl_seconds": 3600}
    made = http.post("/api/remote", json=body).json
    operation_id = registry.begin_provisioning(core, made["id"])
    assert operation_id is not None
    results = {"conditions": [], "connection": {"container": "c"}, "agent": None, "provider": provider, "resources": []}
    Journal.open(core, made["id"], operation_id).ready(results)
    return str(made["id"])


def closed_to_all_but(*addresses: str) -> dict[str, Any]:
    return {"let_in": {"networks": [f"{each}/32" for each in addresses], "services": ["https://one.example"]}}


def test_an_address_is_let_in_shown_and_journaled(http: FlaskClient, core: Core, provider: Provider) -> None:
    made = ready(http, core, **closed_to_all_but(HOME))
    shown = http.post(f"/api/remote/{made}/authorize-ip", json={"address": CAFE})
    assert shown.status_code == 200, shown.json
    assert shown.json["provider"]["let_in"] == closed_to_all_but(CAFE)["let_in"]
    with core.database.read() as session:
        [rule] = [each for each in resources.of_environment(session, made) if each.kind == "ingress_rule"]
    assert (rule.name, rule.state) == (f"sg-1 port 22 from {CAFE}/32", "created")


def test_commands_that_ask_at_once_are_let_in_once(http: FlaskClient, core: Core, provider: Provider) -> None:
    made = ready(http, core, **closed_to_all_but(HOME))
    provider.slow = 0.5

    def ask(_number: int) -> int:
        return (
            http.application.test_client().post(f"/api/remote/{made}/authorize-ip", json={"address": CAFE}).status_code
        )

    with ThreadPoolExecutor(5) as pool:
        assert set(pool.map(ask, range(5))) == {200}
    assert provider.asked == [CAFE]


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "127.0.0.1", "224.0.0.1", "169.254.1.1", "10.0.0.0/8", "1.2.3", "::1", "2001:db8::1", "{{ 7 }}"],
)
def test_only_a_single_address_is_let_in(http: FlaskClient, core: Core, provider: Provider, address: str) -> None:
    made = ready(http, core, **closed_to_all_but(HOME))
    assert http.post(f"/api/remote/{made}/authorize-ip", json={"address": address}).status_code == 422
    assert provider.asked == []


def test_where_nobody_can_be_let_in(http: FlaskClient, core: Core, provider: Provider) -> None:
    made = ready(http, core)
    answer = http.post(f"/api/remote/{made}/authorize-ip", json={"address": CAFE})
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (409, "no_ingress_rule")
    made = ready(http, core, **closed_to_all_but(HOME))
    http.post(f"/api/remote/{made}/terminate", json={})
    answer = http.post(f"/api/remote/{made}/authorize-ip", json={"address": CAFE})
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (409, "not_enterable")
    assert provider.asked == []


def test_what_its_provider_refuses_changes_nothing(http: FlaskClient, core: Core, provider: Provider) -> None:
    made = ready(http, core, **closed_to_all_but(HOME))
    provider.trouble = MachineError("AWS does not allow it", hint="add it", code="ec2_permission")
    answer = http.post(f"/api/remote/{made}/authorize-ip", json={"address": CAFE})
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (503, "ec2_permission")
    assert http.get(f"/api/remote/{made}").json["provider"]["let_in"] == closed_to_all_but(HOME)["let_in"]
