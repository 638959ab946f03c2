# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose socket it is: only in a folder into which nobody else can put one."""

from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _unix_socket
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError

STRANGER = 54321


def somebody_elses(path, monkeypatch):
    """Have `path` belong to another user: really where that can be done, else by being another user ourselves."""
    if os.geteuid() == 0:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    else:
        monkeypatch.setattr(_unix_socket.os, "geteuid", lambda: STRANGER)


class Listening(socket.socket):
    """A socket that knows where it is."""

    folder = None
    path = ""


@pytest.fixture
def listening(tmp_path):
    """A socket on which somebody listens, in a folder (0700) of ours."""
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    with Listening(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(folder / "s"))
        server.listen()
        server.settimeout(0.2)
        server.path = str(folder / "s")
        server.folder = folder
        yield server


def refused(listening, path=None):
    with pytest.raises(FuelError) as caught:
        _unix_socket.connect(path or listening.path, 5).close()
    with pytest.raises(socket.timeout):
        listening.accept()
    assert caught.value.code == "socket_not_private"
    return str(caught.value)


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o500])
def test_a_folder_of_ours_is_good(listening, mode):
    listening.folder.chmod(mode)
    _unix_socket.connect(listening.path, 5).close()
    listening.accept()[0].close()


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_folder_in_which_others_may_write_is_not(listening, mode):
    listening.folder.chmod(mode)
    assert "chmod go-w" in refused(listening)


def test_nor_is_somebody_else_s(listening, monkeypatch):
    somebody_elses(listening.folder, monkeypatch)
    said = refused(listening)
    assert said.startswith(f"{listening.folder}: the server's socket is not trusted")
    assert "belongs to another user" in said
    assert "FUELCTL_HOME" in said
    assert "\n" not in said


def test_nor_what_somebody_else_s_link_points_to(listening, tmp_path, monkeypatch):
    link = tmp_path / "link"
    link.symlink_to(listening.folder)
    _unix_socket.connect(f"{link}/s", 5).close()
    listening.accept()[0].close()
    somebody_elses(link, monkeypatch)
    refused(listening, f"{link}/s")


def test_nor_what_a_link_of_ours_to_somebody_else_s_folder_points_to(listening, tmp_path, monkeypatch):
    link = tmp_path / "link"
    link.symlink_to(listening.folder)
    somebody_elses(listening.folder, monkeypatch)
    refused(listening, f"{link}/s")


def test_nobody_there_is_an_error_of_the_system_s(tmp_path):
    for path in (tmp_path / "nobody", tmp_path / "no" / "folder"):
        with pytest.raises(FileNotFoundError):
            _unix_socket.connect(str(path), 5)
    (tmp_path / "file").touch()
    with pytest.raises(FuelError):
        _unix_socket.connect(str(tmp_path / "file" / "s"), 5)


def test_it_waits_no_longer_than_it_may(listening):
    connection = _unix_socket.connect(listening.path, 0.1)
    try:
        assert connection.gettimeout() == 0.1
        with pytest.raises(socket.timeout):
            connection.recv(1)
    finally:
        connection.close()


def test_what_is_too_long_has_a_stand_in():
    assert _unix_socket.stand_in("/home/alice/s") == "/home/alice/s"
    assert _unix_socket.stand_in("/" + "x" * 99) == "/" + "x" * 99
    first, second = (_unix_socket.stand_in("/" + letter * 100) for letter in "xy")
    assert first.startswith(f"/tmp/fuelctl-{os.getuid()}/")
    assert first != second
    # Counted are bytes.
    assert _unix_socket.stand_in("/" + "é" * 50).startswith("/tmp/")
