# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane on a disk that is full, or becomes full: one line that says so, nothing half-made, and on it goes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fuelctl import paths
from fuelctl._shared._errors import FuelError
from fuelctl.client import ApiError
from fuelctl.serve_start import ensure_running, stop_running
from tests.fuelctl.test_cli_start import run
from tests.fuelctl.test_serve import Server
from tests.fuelctl.test_supervise import wait_until

BODY = {
    "provider": {"name": "local"},
    "blueprint": {"image": "debian:bookworm"},
    "repository": {"name": "app"},
    "ttl_seconds": 600,
}


@pytest.fixture
def disk(home: Path) -> Iterator[Callable[[str], None]]:
    """Mount a disk of this size as the home."""
    home.mkdir()

    def mount(size: str) -> None:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(home)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 and not os.environ.get("CI"):
            pytest.skip(f"mounting takes root: {done.stderr}")
        assert done.returncode == 0, done.stderr

    try:
        yield mount
    finally:
        if home.is_mount():
            subprocess.run(["umount", str(home)], check=True)


def fill(home: Path) -> Path:
    """Take every byte that is left."""
    file = home / "fill"
    with file.open("wb", buffering=0) as opened:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    opened.write(bytes(size))
            except OSError:
                continue
    return file


def test_it_does_not_start_on_a_full_disk_and_says_so_at_once(home: Path, disk: Callable[[str], None]) -> None:
    disk("200k")
    done = run("ls")
    # It is said before a server is begun, for whose start 60 s are waited.
    assert not paths.server_log().exists()
    assert done.returncode == 1
    first, hint = done.stderr.splitlines()
    assert first == f"error: {paths.state_folder()}: the control plane's disk is full"
    assert "free some space" in hint
    foreground = run("server", "run")
    assert foreground.returncode == 1
    assert foreground.stderr.endswith(done.stderr)
    assert not paths.server_socket().exists()


def test_a_disk_that_fills_later_is_told_of_and_nothing_is_half_made(home: Path, disk: Callable[[str], None]) -> None:
    disk("14m")
    server = Server()
    server.start()
    try:
        kept = server.up()
        server.wait(kept, "ready")
        filling = fill(home)
        # More than what is left inside the database's own files.
        wish = {**BODY, "provider": {"name": "local", "options": {"x": "x" * 1_000_000}}}
        with pytest.raises(ApiError) as caught:
            server.client.create(wish, key="one")
        assert (caught.value.status, caught.value.code) == (507, "disk_full")
        assert caught.value.message == "the control plane's disk is full"
        assert [item["id"] for item in server.client.environments()["environments"]] == [kept]
        filling.unlink()
        # The same request, with the same key, as a client repeats it: nobody is working on it any more.
        again = server.client.create(wish, key="one")
        server.client.terminate(again["id"], discard=True)
        server.wait(again["id"], "terminated")
        # Work that was under way when the disk filled goes on when there is space again.
        made = server.up(sleep=2)
        wait_until(lambda: len(server.containers()) == 2)
        filling = fill(home)
        time.sleep(4)
        filling.unlink()
        assert server.wait(made, "ready", seconds=180)["connection"]
        assert len(server.client.environments()["environments"]) == 2
    finally:
        server.stop()


def test_a_worker_that_cannot_begin_ends_the_server_with_its_reason(home: Path) -> None:
    # The parent process can use its database; what the worker needs besides is no database.
    paths.private_folder(paths.state_folder())
    paths.workflows_file().mkdir()
    with pytest.raises(FuelError) as caught:
        ensure_running()
    assert str(paths.workflows_file()) in caught.value.message
    assert "\n" not in caught.value.message
    assert "Traceback" not in caught.value.message
    paths.workflows_file().rmdir()
    ensure_running()
    assert stop_running(0)
