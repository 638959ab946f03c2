# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the home's path is too long for a socket: another user who makes the stand-in's folder first gets nothing."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fuelctl import __version__, paths, serve, serve_start
from fuelctl._shared import _unix_socket
from fuelctl._shared._errors import FuelError
from fuelctl._shared._inventory._control_plane import ask
from fuelctl._shared._inventory._user import User
from fuelctl.client import Client

STRANGER = 54321


class Stranger:
    """Another user's server in the folder where ours belongs, and what it heard."""

    def __init__(self, path: Path) -> None:
        self.heard: list[bytes] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    self.heard.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                except OSError:
                    self.heard.append(b"")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stranger]:
    monkeypatch.setenv("FUELCTL_HOME", str(tmp_path / ("x" * 120)))
    shared = tmp_path / "t"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setattr(_unix_socket, "SHARED", str(shared))
    paths.private_file(paths.server_file(), f'{{"version": "{__version__}"}}'.encode())
    folder = paths.server_socket().parent
    folder.mkdir()
    assert folder.parent == shared
    made = Stranger(paths.server_socket())
    if os.geteuid() == 0:
        os.chown(folder, STRANGER, STRANGER)
        os.chown(paths.server_socket(), STRANGER, STRANGER)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    yield made
    made.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda: Client(socket_path=str(paths.server_socket())).create({"secrets": {"TOKEN": "canary"}}, key="k"),
        serve_start.ensure_running,
        lambda: serve_start.stop_running(wait_seconds=0),
        lambda: serve_start._call(paths.server_socket(), "GET", "/healthz", None),
        lambda: ask(socket_path=User(os.environ).socket(), token="canary"),
    ],
    ids=["client", "start", "stop", "health", "inventory"],
)
def test_nothing_is_said_to_another_user_s_socket(stranger: Stranger, call: Callable[[], object]) -> None:
    with pytest.raises(FuelError, match="is not trusted: its folder belongs to another user") as caught:
        call()
    assert stranger.heard == []
    assert caught.value.code == "socket_not_private"
    assert caught.value.where == str(paths.server_socket().parent)


def test_no_server_begins_in_another_user_s_folder(stranger: Stranger) -> None:
    with pytest.raises(FuelError, match="belongs to another user"):
        serve.run()
    assert not paths.database_file().exists()


def test_no_server_begins_where_others_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUELCTL_HOME", str(tmp_path / "home"))
    paths.private_folder(paths.state_folder()).chmod(0o770)
    with pytest.raises(FuelError, match="can be written by other users"):
        serve.run()
    assert not paths.database_file().exists()


@pytest.mark.parametrize(
    "environ",
    [
        {"FUELCTL_HOME": "/h"},
        {"FUELCTL_HOME": "/deep/" + "x" * 120},
        {"FUELCTL_HOME": "/deep/../" + "x" * 120 + "//y/./z/"},
        {"FUELCTL_HOME": "~/" + "é" * 60},
        {"FUELCTL_HOME": "relative/" + "x" * 120},
        {"FUELCTL_HOME": "", "XDG_STATE_HOME": "/state", "XDG_DATA_HOME": "/data"},
        {"FUELCTL_HOME": "", "XDG_STATE_HOME": "/" + "x" * 120},
        {"FUELCTL_HOME": "", "XDG_STATE_HOME": "relative", "XDG_CONFIG_HOME": ""},
        {"FUELCTL_HOME": "", "HOME": "/" + "h" * 120},
    ],
)
def test_the_plugin_finds_the_same_places(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    user = User(os.environ)
    assert user.socket() == str(paths.server_socket())
    assert [user.folder(kind) for kind in ("config", "state", "data")] == [
        str(found()) for found in (paths.config_folder, paths.state_folder, paths.data_folder)
    ]
    assert user.ssh_config() == str(paths.ssh_config_file())


def test_a_home_of_nobody_is_refused_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUELCTL_HOME", "~nobody-of-that-name/x")
    for find in (paths.server_socket, User(os.environ).socket):
        with pytest.raises(FuelError, match="not known here"):
            find()
