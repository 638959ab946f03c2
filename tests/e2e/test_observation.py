# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in an environment comes home by itself, and one that ended by itself is known to have ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .harness import BASE_IMAGE, Fuelctl, docker, leftovers, make_repository, write_blueprint

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def environment(user: Fuelctl, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A ready environment whose control plane asks every two seconds."""
    user.environment["FUELCTL_OBSERVE_SECONDS"] = "2"
    repository = make_repository(tmp_path_factory.mktemp("observed") / "repo")
    write_blueprint(repository, f"version: 1\nimage: {BASE_IMAGE}\n")
    document: dict[str, Any] = user.run("up", str(repository), "--name=observed", "--yes", "--json").json
    return document


def wait_until(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_what_a_hook_tells_reaches_the_log_once(user: Fuelctl, environment: dict[str, Any]) -> None:
    hook = "/usr/local/lib/fuel-code/hook"
    said = '{"session_id":"observed-1","hook_event_name":"SessionStart","source":"startup"}'
    user.run("exec", "observed", "--", hook, "session.start", stdin=said)
    wait_until(lambda: "session.start" in user.run("logs", "observed", "--json").stdout)
    assert user.show("observed")["status"] == "active"
    time.sleep(5)
    assert user.run("logs", "observed", "--json").stdout.count('"session.start"') == 1


def test_a_stopped_container_shows(user: Fuelctl, environment: dict[str, Any]) -> None:
    container = environment["connection"]["container"]

    def conditions() -> list[str]:
        return [condition["type"] for condition in user.show("observed")["conditions"]]

    docker("stop", "-t", "1", container)
    wait_until(lambda: conditions() == ["stopped"])
    docker("start", container)
    wait_until(lambda: conditions() == [])
    assert user.run("exec", "observed", "--", "true").returncode == 0


def test_what_somebody_removed_by_hand_ends_with_a_receipt(user: Fuelctl, environment: dict[str, Any]) -> None:
    for name in leftovers(environment["id"]):
        for kind in ("rm", "volume rm", "network rm", "rmi"):
            docker(*kind.split(), *(["-f"] if kind != "network rm" else []), name, check=False)
    assert leftovers(environment["id"]) == []
    ended = user.wait_for("observed", "terminated")
    assert ended["ended_by"] == "machine"
    assert ended["receipt"]["complete"] is True
    assert not list(Path(user.base["FUELCTL_HOME"]).rglob(f"keys/{environment['id']}/*"))
