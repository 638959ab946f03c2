# SPDX-License-Identifier: GPL-3.0-or-later
"""Provision and terminate: real playbooks, real runner, real engine; only the container is a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fuelctl import paths
from fuelctl.environments import registry
from fuelctl.environments.core import Core, MachineError
from fuelctl.environments.idle_work import UNSAVED
from fuelctl.environments.idleness import Activity
from fuelctl.environments.registry import NewEnvironment
from fuelctl.runner import RunResult
from fuelctl.store import environments, resources
from fuelctl.store.database import Database
from fuelctl.store.models import EnvironmentRow, SecretRow
from fuelctl.store.secrets import Safe
from fuelctl.workflows.extend import move_deadline
from fuelctl.workflows.observer import Observer
from fuelctl.workflows.provision import _published
from fuelctl.workflows.reaper import Reaper
from tests.fuelctl.control import CANARY, Lab, check_of, wanted


@pytest.fixture
def lab(database: Database) -> Iterator[Lab]:
    lab = Lab(Core(database, Safe(paths.secret_key_file())))
    yield lab
    lab.engine.close()


def test_up_and_down(lab: Lab) -> None:
    made = lab.up(secrets={"KEY": CANARY}, blueprint={"image": "debian", "tells": True})
    row = lab.settled(made)
    assert row.status == "ready", row.error
    assert row.connection == {
        "user": "dev",
        "container": f"fuel-code-{made.lower()}-1",
        "workspace": "/workspaces/x",
        "folder": "",
        "host_key": "k",
        "ports": [],
    }
    assert [(stage["stage"], stage["state"]) for stage in row.stages] == [("container", "ok")]
    assert lab.containers() == [row.connection["container"]]
    with lab.core.database.read() as session:
        assert session.query(SecretRow).count() == 0
        journal = {(item.kind, item.name): item.state for item in resources.of_environment(session, made)}
    assert journal["container", row.connection["container"]] == "created"
    output = [event.data["text"] for event in lab.told(made) if event.type == "remote.output"]
    assert output
    assert CANARY not in "".join(output)
    found = [
        path for path in paths.state_folder().rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()
    ]
    assert found == []

    lab.down(made)
    row = lab.settled(made)
    assert row.status == "terminated"
    assert row.receipt is not None
    assert row.receipt["complete"]
    assert row.ended_by == "user"
    assert lab.containers() == []
    assert not paths.key_folder(made).exists()
    types = lab.types(made)
    assert types.index("remote.provision.start") < types.index("remote.provision.ready")
    assert types.index("remote.terminate.start") < types.index("remote.terminate.done")
    lab.down(made)
    assert lab.row(made).status == "terminated"


def test_a_failure_is_undone_at_once_and_says_why(lab: Lab) -> None:
    made = lab.up(blueprint={"fail": True})
    row = lab.settled(made)
    assert row.status == "error"
    assert row.error is not None
    assert {key: row.error[key] for key in ("message", "hint", "code", "where", "stage")} == {
        "message": "the image does not exist",
        "hint": "choose another",
        "code": "no_image",
        "where": "image",
        "stage": "container",
    }
    assert row.receipt is not None
    assert row.receipt["complete"]
    assert row.ended_at is not None
    assert lab.containers() == []


def test_a_failure_is_held_when_asked_for_and_ends_by_hand(lab: Lab) -> None:
    made = lab.up(blueprint={"fail": True}, keep_on_error=True)
    row = lab.settled(made)
    assert (row.status, row.ended_at, len(lab.containers())) == ("error", None, 1)
    lab.down(made)
    assert lab.settled(made).status == "terminated"
    assert lab.containers() == []


def test_work_that_would_be_lost_refuses_the_end(lab: Lab) -> None:
    made = lab.up(blueprint={"work": {"uncommitted": ["a.txt"]}})
    assert lab.settled(made).status == "ready"
    lab.down(made)
    row = lab.settled(made)
    assert (row.status, row.ended_by) == ("ready", None)
    # How the ending went is in the log; the environment is what it was.
    assert [stage["stage"] for stage in row.stages] == ["container"]
    statuses = [
        event.data["status"] for event in lab.told(made) if event.type == "remote.update" and "status" in event.data
    ]
    assert statuses == ["provisioning", "ready"]
    told = [event.data for event in lab.told(made) if event.type == "remote.stage"]
    assert ("survey", "ok") in [(stage["stage"], stage["state"]) for stage in told]
    # Each of them is an update too.
    updates = [event.data for event in lab.told(made) if event.type == "remote.update" and "stage" in event.data]
    known = [{name: stage[name] for name in ("stage", "state", "seconds")} for stage in told]
    assert updates == known
    refused = [event for event in lab.told(made) if event.type == "remote.terminate.refused"]
    assert refused[0].data == {"work": {"uncommitted": ["a.txt"]}}
    lab.down(made, discard=True)
    assert lab.settled(made).status == "terminated"


@pytest.mark.parametrize(
    ("fault", "why"),
    [("keys_are_lost", "the keys to its machine were lost"), ("machine_is_deaf", "its machine does not answer: ")],
)
def test_what_nobody_can_look_into_is_not_ended_without_a_word(lab: Lab, fault: str, why: str) -> None:
    """An ending that asks first is refused, not tried for ever."""
    made = lab.up()
    lab.settled(made)
    (lab.world / fault).touch()
    lab.down(made)
    row = lab.settled(made)
    assert (row.status, row.conditions) == ("ready", [])
    [refused] = [event for event in lab.told(made) if event.type == "remote.terminate.refused"]
    assert refused.data["work"]["unknown"].startswith(why)
    assert lab.containers() != []
    lab.down(made, discard=True)
    assert lab.settled(made).status == "terminated"


def test_another_engine_is_not_believed_about_what_is_not_on_it(lab: Lab) -> None:
    made = lab.up(provider={"name": "local", "options": {}, "engine": ""})
    assert lab.settled(made).status == "ready"
    away = replace(lab.plant, engine="tcp://192.0.2.1:2375")
    lab.engine.plant = away
    row = lab.row(made)
    Observer(away, lab.engine, 60).round()
    unreachable = lab.row(made)
    assert (unreachable.status, [item["type"] for item in unreachable.conditions]) == ("ready", ["unreachable"])
    with pytest.raises(MachineError, match="the control plane works with tcp://192"):
        move_deadline(away, row, row.expires_at + 60)
    lab.down(made)
    row = lab.settled(made)
    assert (row.status, row.ended_at, row.receipt) == ("terminating", None, None)
    assert row.conditions[-1]["details"]["code"] == "other_engine"
    assert len(lab.containers()) == 1
    lab.engine.plant = lab.plant
    lab.down(made)
    assert lab.settled(made).status == "terminated"
    assert lab.containers() == []


def test_down_while_provisioning_cancels(lab: Lab) -> None:
    made = lab.up(blueprint={"sleep": 500})
    lab.wait(made, lambda row: any(stage["stage"] == "container" for stage in row.stages))
    lab.down(made)
    row = lab.settled(made)
    assert row.status == "terminated"
    assert lab.containers() == []


def test_an_engine_that_is_down_delays_the_end_and_never_fakes_it(lab: Lab) -> None:
    made = lab.up()
    lab.settled(made)
    (lab.world / "engine_is_down").touch()
    lab.down(made)
    row = lab.settled(made)
    assert row.status == "terminating"
    assert row.conditions[0]["type"] == "termination_incomplete"
    assert "the engine does not answer" in row.conditions[0]["message"]
    assert len(lab.containers()) == 1
    (lab.world / "engine_is_down").unlink()
    with lab.core.write() as session:
        environments.change(session, made, check_at=0.0)
    Reaper(lab.core, lab.engine, 60).cycle()
    assert lab.settled(made).status == "terminated"
    assert lab.containers() == []


def test_what_was_committed_and_never_started_is_picked_up(lab: Lab) -> None:
    row = registry.create(lab.core, wanted())
    registry.begin_provisioning(lab.core, row.id)
    Reaper(lab.core, lab.engine, 60).cycle()
    assert lab.settled(row.id).status == "ready"


def test_ttl_ends_it_even_with_work_inside(lab: Lab) -> None:
    made = lab.up(ttl_seconds=4, blueprint={"work": {"uncommitted": ["a"]}})
    lab.settled(made)
    reaper = Reaper(lab.core, lab.engine, 60)
    time.sleep(max(0.0, lab.row(made).expires_at - time.time()) + 0.1)
    reaper.cycle()
    row = lab.settled(made)
    assert (row.status, row.ended_by) == ("terminated", "ttl")
    decision = check_of(lab.core, made).decision
    assert decision is not None
    assert decision["action"] == "end"
    assert decision["inputs"]["seconds_left"] <= 0


def test_a_source_that_is_no_tar_fails_with_its_reason(lab: Lab) -> None:
    row = registry.create(lab.core, wanted(source={"sha256": "0" * 64, "size": 3}))
    paths.private_folder(paths.source_folder(row.id))
    (paths.source_folder(row.id) / "source.tar").write_bytes(b"abc")
    operation_id = registry.begin_provisioning(lab.core, row.id)
    assert operation_id is not None
    lab.engine.start("provision", row.id, operation_id)
    failed = lab.settled(row.id)
    assert failed.status == "error"
    assert failed.error is not None
    assert (failed.error["code"], failed.error["stage"]) == ("source_invalid", "source")


def test_a_mistake_of_ours_ends_as_error_with_everything_undone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_arguments: object) -> object:
        raise TypeError("unexpected keyword argument")

    monkeypatch.setattr("fuelctl.workflows.provision._published", mistaken)
    row = lab.settled(lab.up())
    assert row.status == "error"
    assert row.error is not None
    assert (row.error["code"], row.error["message"]) == ("internal", "the control plane made a mistake (TypeError)")
    assert row.receipt is not None
    assert row.receipt["complete"]
    assert lab.containers() == []


def test_request_type_is_checked() -> None:
    assert isinstance(wanted(), NewEnvironment)


def test_the_folder_that_was_launched_is_a_part_of_the_connection() -> None:
    container = {"container": "c", "user": "dev", "workspace": "/workspaces/x", "host_key": "k"}
    results: dict[str, list[dict[str, object]]] = {
        "fuel_code.remote.dev_container": [{"environment": container}],
        "fuel_code.remote.workspace": [{"workspace": {"path": "/workspaces/x", "folder": "services/api"}}],
    }
    connection = _published(RunResult("ok", 0, results))["connection"]
    assert (connection["workspace"], connection["folder"]) == ("/workspaces/x", "services/api")


def end_by_silence(lab: Lab, environment_id: str, seen_ago: float = 1.0) -> EnvironmentRow:
    now = lab.core.clock()
    seen = {"wall": now.wall - seen_ago, "boot_id": now.boot_id, "boottime": now.boottime - seen_ago}
    with lab.core.write() as session:
        environments.change(session, environment_id, activity=Activity(observed=seen).as_dict())
    _row, operation_id = registry.begin_termination(lab.core, environment_id, discard=False, by="idle")
    assert operation_id is not None
    lab.engine.start("terminate", environment_id, operation_id)
    return lab.settled(environment_id)


def test_silence_does_not_end_what_holds_work(lab: Lab) -> None:
    made = lab.up(blueprint={"work": {"counts": {"uncommitted": 1}}})
    lab.settled(made)
    row = end_by_silence(lab, made)
    assert (row.status, row.ended_by, [item["type"] for item in row.conditions]) == ("ready", None, [UNSAVED])
    assert "1 uncommitted" in row.conditions[0]["message"]
    assert lab.containers() == [f"fuel-code-{made.lower()}-1"]
    lab.down(made, discard=True)
    assert lab.settled(made).ended_by == "user"


def test_silence_that_nobody_has_watched_since_ends_nothing(lab: Lab) -> None:
    """The server stopped in between, and somebody may have come back to work by plain ssh."""
    made = lab.up()
    lab.settled(made)
    row = end_by_silence(lab, made, seen_ago=4000.0)
    assert (row.status, [item["type"] for item in row.conditions]) == ("ready", [UNSAVED])
    assert "was interrupted" in row.conditions[0]["message"]
    assert lab.containers() == [f"fuel-code-{made.lower()}-1"]


@pytest.mark.parametrize("fault", ["keys", "engine"])
def test_silence_does_not_end_what_cannot_be_looked_through(lab: Lab, fault: str) -> None:
    made = lab.up()
    lab.settled(made)
    if fault == "keys":
        (lab.world / "keys_are_lost").touch()
    else:
        with lab.core.write() as session:
            environments.change(session, made, provider={**lab.row(made).provider, "engine": "tcp://elsewhere:2375"})
    row = end_by_silence(lab, made)
    assert (row.status, [item["type"] for item in row.conditions]) == ("ready", [UNSAVED])
    assert "cannot be told" in row.conditions[0]["message"]
    assert lab.containers() == [f"fuel-code-{made.lower()}-1"]


def test_silence_ends_what_holds_nothing(lab: Lab) -> None:
    made = lab.up()
    lab.settled(made)
    row = end_by_silence(lab, made)
    assert (row.status, row.ended_by, lab.containers()) == ("terminated", "idle", [])
    assert row.receipt is not None
    assert row.receipt["complete"] is True
