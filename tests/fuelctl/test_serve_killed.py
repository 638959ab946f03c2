# SPDX-License-Identifier: GPL-3.0-or-later
"""The server killed at every point of its work: taken up again by the next, with one container, or none."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuelctl import _crashpoints
from tests.fuelctl.test_serve import Server
from tests.fuelctl.test_supervise import wait_until

pytestmark = pytest.mark.once

#: Points that one operation can pass in this order, dying at each. After the word that ends it, it is not run again,
#: so what comes later needs a run of its own.
PROVISIONING = [
    [
        "create.committed",
        "provision.committed",
        "provision.fenced",
        "provision.up.before",
        "stage.container.start",
        "stage.container.ok",
        "provision.up.done",
        "provision.up.recorded",
        "provision.publish.before",
        "provision.publish.done",
    ],
    ["provision.publish.recorded"],
    ["provision.clean.before"],
]
FAILING = [
    [
        "provision.undo.before",
        "provision.undo.done",
        "provision.undo.recorded",
        "provision.report.before",
        "provision.report.done",
    ],
    ["provision.report.recorded"],
]
TERMINATING = [
    "terminate.committed",
    "terminate.fenced",
    "terminate.down.before",
    "stage.destroy.start",
    "stage.destroy.ok",
    "terminate.down.done",
    "terminate.down.recorded",
    "terminate.clean.before",
    "terminate.clean.done",
    "terminate.clean.recorded",
    "terminate.settle.before",
    "terminate.settle.done",
]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


def _killed(server: Server, tmp_path: Path, points: list[str]) -> Path:
    """Start a server that dies once at each of these points, one after the other; where it notes which it reached."""
    reached = tmp_path / "reached"
    reached.touch()
    server.start(FUELCTL_CRASH_AT=",".join(points), FUELCTL_CRASH_ONCE=str(reached))
    return reached


@pytest.mark.parametrize("points", PROVISIONING, ids=lambda points: points[0])
def test_killed_at_every_point_of_provisioning(server: Server, tmp_path: Path, points: list[str]) -> None:
    reached = _killed(server, tmp_path, points)
    made = server.up()
    item = server.wait(made, "ready")
    assert item["connection"]["container"] == f"fuel-code-{made.lower()}-1"
    assert server.containers() == [f"fuel-code-{made.lower()}-1"]
    wait_until(lambda: sorted(reached.read_text().split()) == sorted(points))
    types = [event["type"] for event in server.patiently(lambda: server.client.events(made, after=0))["events"]]
    assert types.count("remote.provision.ready") == 1


def test_killed_at_every_point_of_terminating(server: Server, tmp_path: Path) -> None:
    reached = _killed(server, tmp_path, TERMINATING)
    made = server.up()
    server.wait(made, "ready")
    server.patiently(lambda: server.client.terminate(made, discard=False))
    item = server.wait(made, "terminated")
    assert item["receipt"]["complete"]
    assert server.containers() == []
    wait_until(lambda: sorted(reached.read_text().split()) == sorted(TERMINATING))
    types = [event["type"] for event in server.patiently(lambda: server.client.events(made, after=0))["events"]]
    assert types.count("remote.terminate.done") == 1


@pytest.mark.parametrize("points", FAILING, ids=lambda points: points[0])
def test_killed_at_every_point_while_a_failure_is_undone(server: Server, tmp_path: Path, points: list[str]) -> None:
    reached = _killed(server, tmp_path, points)
    made = server.up(fail=True)
    item = server.wait(made, "error")
    assert (item["error"]["code"], item["receipt"]["complete"]) == ("no_image", True)
    assert server.containers() == []
    wait_until(lambda: sorted(reached.read_text().split()) == sorted(points))


def test_killed_and_ended_at_once(server: Server) -> None:
    server.start()
    made = server.up(waits=True)
    wait_until(lambda: bool(server.containers()))
    os.kill(server.worker(), signal.SIGKILL)
    server.patiently(lambda: server.client.terminate(made, discard=False))
    assert server.wait(made, "terminated")["receipt"]["complete"]
    assert server.containers() == []


def test_every_crash_point_is_known_once() -> None:
    assert len(_crashpoints.names()) == len(set(_crashpoints.names()))
