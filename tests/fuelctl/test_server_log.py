# SPDX-License-Identifier: GPL-3.0-or-later
"""server.log of a real server that runs for months: bounded, and complete from its newest line backwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuelctl import paths
from fuelctl.client import Client
from fuelctl.serve_start import _document, ensure_running, stop_running
from tests.fuelctl.test_serve import health
from tests.fuelctl.test_supervise import wait_until

SIZE = 3000


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("FUELCTL_MAX_LOG_BYTES", str(SIZE))
    # A provider that is not there: each round of the observer would be silent, but each new worker has its say.
    yield Client(socket_path=str(ensure_running()))
    stop_running(0)


def logs() -> list[Path]:
    return sorted(paths.state_folder().glob("server.log*"))


def test_it_is_rotated_while_the_server_runs_and_nothing_goes_to_an_old_one(embedded: Client) -> None:
    parent = int(str(_document()["pid"]))
    workers: set[int] = set()
    for turn in range(8):
        worker = int(health(embedded)["pid"])
        workers.add(worker)
        # gunicorn's parent process tells of a worker that it lost, and the new one of what it began with.
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: _answers(embedded))
        log = paths.server_log()
        with log.open("a") as opened:
            opened.write("x" * SIZE + f" turn {turn}\n")
    assert len(workers) == 8
    names = [file.name for file in logs()]
    assert names == ["server.log", "server.log.1", "server.log.2", "server.log.3"]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in logs())
    newest = logs()[0].stat()
    worker = int(health(embedded)["pid"])
    # Logged by the parent process after all those rotations.
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: _answers(embedded))
    worker = int(health(embedded)["pid"])
    told = "".join(file.read_text() for file in logs()[:2])
    assert "was sent SIGKILL" in told or "exited with code -9" in told or "terminated due to signal" in told, told[
        -800:
    ]
    descriptors = [Path(f"/proc/{worker}/fd/{number}") for number in (1, 2)]
    wait_until(lambda: {each.stat().st_ino for each in descriptors} == {paths.server_log().stat().st_ino})
    assert parent == int(str(_document()["pid"]))
    assert newest.st_size < 3 * SIZE


def _answers(client: Client) -> bool:
    try:
        return bool(client.health())
    except Exception:  # noqa: BLE001 - it is being restarted
        return False


def test_another_standard_error_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from fuelctl import _server_log

    paths.private_folder(paths.state_folder())
    paths.server_log().write_text("")
    with (tmp_path / "elsewhere").open("w") as opened:
        monkeypatch.setattr("sys.stderr", opened)
        assert not _server_log.follow()
