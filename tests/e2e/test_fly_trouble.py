# SPDX-License-Identifier: GPL-3.0-or-later
"""Fly.io refuses, breaks, loses answers or shows late what there is; a machine ends while nobody is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.lab import dev_image
from tests.lab.fly.client import FlyLab

from . import fly
from .harness import Fuelctl

# A loaded machine takes its time, and each of these waits out what a person would.
pytestmark = [pytest.mark.docker, pytest.mark.soak, pytest.mark.timeout(3600)]

#: Seconds by which a machine may outlive its time.
LATE = 60


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fly.sample(tmp_path_factory)


@pytest.fixture
def lab() -> Iterator[FlyLab]:
    with FlyLab(machines=False, boot_delay=0) as started:
        yield started


@pytest.fixture
def user(lab: FlyLab, tmp_path: Path) -> Iterator[Fuelctl]:
    with fly.guest(lab, tmp_path / "home") as person:
        yield person


def up(repository: Path, name: str, *options: str) -> list[str]:
    return ["up", str(repository), "--provider=fly", f"--name={name}", "--yes", *options]


def trouble_at_every_call(lab: FlyLab) -> None:
    """Every call is refused for its rate, broken, and its connection cut before and after it took effect, once each."""
    lab.fault("*", each=True, code="rate_limited", retry_after=0)
    lab.fault("*", each=True, code="unavailable")
    lab.fault("*", "reset", each=True)
    lab.fault("*", "lost-reset", each=True)
    lab.fault("*", "lost-error", each=True)


def test_every_call_refused_broken_and_lost_while_lists_are_late(lab: FlyLab, user: Fuelctl, repository: Path) -> None:
    """One of each all the same, and nothing of it afterwards."""
    lab.configure(list_lag=1)
    trouble_at_every_call(lab)
    refused = user.run(*up(repository, "flaky", "--keep-on-error"), ok=False, timeout=1200)
    assert fly.END_OF_UP in refused.text
    environment = user.show("flaky")
    [machine] = lab.truth()["machines"]
    assert machine["metadata"]["fuel_code_environment"] == environment["id"]
    assert [each["machine"] for each in lab.volumes()] == [machine["id"]]
    app = f"fuel-code-{environment['id'].lower()}"
    addresses = [call for call in lab.calls("App_IPAssignments_create") if call["status"] == 200]
    assert len(lab.api("GET", f"/apps/{app}/ip_assignments")[1]["ips"]) == 1, addresses
    met = {call["action"] for call in lab.calls() if call["status"] in (429, 503)}
    assert met >= {"Apps_create", "Secrets_update", "Volumes_create", "Machines_create", "Machines_exec"}
    lab.heal()
    trouble_at_every_call(lab)
    user.run("down", "flaky", "--yes", "--discard", timeout=1200)
    ended = user.show("flaky")
    assert (ended["status"], ended["receipt"]["complete"]) == ("terminated", True)


@pytest.mark.parametrize("action", ["Machines_delete", "Volume_delete", "Apps_delete"])
def test_an_ending_that_is_refused_half_way_is_kept_until_it_is_done(
    lab: FlyLab, user: Fuelctl, repository: Path, action: str
) -> None:
    user.run(*up(repository, "half", "--keep-on-error"), ok=False, timeout=600)
    lab.fault(action, code="forbidden")
    refused = user.run("down", "half", "--yes", "--discard", ok=False, timeout=600)
    assert "Fly.io does not allow this token to do that" in refused.text, str(refused)
    kept = user.show("half")
    assert (kept["status"], bool(kept["receipt"] and kept["receipt"]["complete"])) == ("terminating", False)
    assert bool(lab.machines()) is (action == "Machines_delete")
    lab.heal()
    ended = user.wait_for("half", "terminated", seconds=400)
    assert ended["receipt"]["complete"] is True


def test_a_token_of_another_organization_ends_nothing_and_says_so(lab: FlyLab, user: Fuelctl, repository: Path) -> None:
    """To it everything looks gone: no receipt says so, and the right one ends it."""
    user.run(*up(repository, "theirs", "--keep-on-error"), ok=False, timeout=600)
    user.run("server", "stop")
    user.environment["FLY_API_TOKEN"] = f"{lab.token}@others"
    refused = user.run("down", "theirs", "--yes", "--discard", ok=False, timeout=600)
    assert "does not see the organization personal" in refused.text, str(refused)
    kept = user.show("theirs")
    assert (kept["status"], bool(kept["receipt"] and kept["receipt"]["complete"])) == ("terminating", False)
    assert len(lab.machines()) == 1
    user.run("server", "stop")
    user.environment["FLY_API_TOKEN"] = lab.token
    user.run("down", "theirs", "--yes", "--discard", timeout=600)
    assert user.show("theirs")["receipt"]["complete"] is True


# On machines


@pytest.fixture
def machines() -> Iterator[FlyLab]:
    dev_image.ensure("remote")
    with FlyLab() as started:
        yield started


def running(lab: FlyLab) -> dict[str, Any]:
    """The one machine, as soon as it runs."""

    def look() -> Any:
        time.sleep(0.5)
        return next((each for each in lab.machines() if each["state"] == "started"), None)

    found: dict[str, Any] = lab.wait_for(look, seconds=400)
    return found


def test_nobody_and_nothing_is_there_at_the_deadline(machines: FlyLab, repository: Path, tmp_path: Path) -> None:
    """The control plane is killed: the machine ends itself at its time. Later that is found out, and its disk goes."""
    with fly.guest(machines, tmp_path / "home") as person:
        started = person.start(*up(repository, "alone", "--ttl=4m"))
        machine = running(machines)
        environment = person.show("alone")
        person.kill_everything()
        started.communicate(timeout=480)
        expires = datetime.fromisoformat(environment["lease"]["expires_at"]).timestamp()
        path = f"/apps/{machine['app']}/machines/{machine['id']}"

        def ended() -> bool:
            time.sleep(0.5)
            return bool(machines.api("GET", path)[1]["state"] == "stopped")

        machines.wait_for(ended, seconds=max(0.0, expires - time.time()) + LATE)
        print(f"\nstopped {time.time() - expires:.1f} s after its time")
        assert time.time() >= expires - 1
        [event] = [each for each in machines.api("GET", path)[1]["events"] if each["type"] == "exit"]
        assert event["request"]["exit_event"] == {"exit_code": 0, "requested_stop": False}
        assert len(machines.volumes()) == 1, "what it held outlives it"
        known = person.wait_for("alone", "terminated", "error", seconds=600)
        assert (known["status"], known["ended_by"]) == ("terminated", "ttl")
        assert known["receipt"]["complete"] is True
        assert "fly volume" in {each["kind"] for each in known["receipt"]["resources"]}
        assert len(machines.truth()["machines"]) == 1, "what was taken up again launched another one"


def test_a_machine_that_ended_while_the_server_was_away_is_seen_and_its_work_is_kept(
    machines: FlyLab, repository: Path, tmp_path: Path
) -> None:
    """Before its lease is over: it is shown as stopped, `down` starts it to look for work, and refuses to lose it."""
    with fly.guest(machines, tmp_path / "home") as person:
        person.run(*up(repository, "ended"), timeout=900)
        person.run("exec", "ended", "--", "sh", "-c", "echo draft > draft")
        person.run("server", "stop")
        person.kill_everything()
        [machine] = machines.machines()
        path = f"/apps/{machine['app']}/machines/{machine['id']}"
        machines.api("POST", f"{path}/signal", {"signal": "SIGTERM"})
        machines.wait_for(lambda: machines.api("GET", path)[1]["state"] == "stopped", seconds=120)

        def told() -> bool:
            time.sleep(1)
            conditions = person.run("status", "ended", "--json").json["conditions"]
            return "stopped" in {each["type"] for each in conditions}

        machines.wait_for(told, seconds=400)
        refused = person.run("down", "ended", "--yes", ok=False, timeout=600)
        assert "draft" in refused.text, str(refused)
        assert len(machines.volumes()) == 1
        person.run("down", "ended", "--yes", "--discard", timeout=600)
        assert person.show("ended")["receipt"]["complete"] is True
