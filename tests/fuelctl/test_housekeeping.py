# SPDX-License-Identifier: GPL-3.0-or-later
"""What is forgotten of environments that ended long ago, and what never is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from dbos import DBOS

from fuelctl import paths
from fuelctl.environments import registry
from fuelctl.environments.clock import Now, system_now
from fuelctl.environments.core import Core
from fuelctl.environments.key_pair import KeyPair
from fuelctl.store.database import Database
from fuelctl.store.models import EnvironmentRow, IdempotencyRow, SettingRow
from fuelctl.store.secrets import Safe
from fuelctl.workflows.housekeeping import Housekeeper, Tidier
from fuelctl.workflows.reaper import Reaper
from tests.fuelctl.control import Lab, wanted
from tests.fuelctl.test_supervise import wait_until

DAY = 86400.0


def in_days(days: float) -> Callable[[], Now]:
    """This machine's clocks as they will be."""

    def then() -> Now:
        now = system_now()
        return Now(now.wall + days * DAY, now.boot_id, now.boottime + days * DAY)

    return then


@pytest.fixture
def lab(database: Database) -> Iterator[Lab]:
    lab = Lab(Core(database, Safe(paths.secret_key_file())))
    yield lab
    lab.engine.close()


def keeper(lab: Lab, days: float) -> Housekeeper:
    return Housekeeper(replace(lab.core, clock=in_days(days)), lab.engine, keep_days=30)


def workflows() -> set[str]:
    return {str(one.input["args"][0]) for one in DBOS.list_workflows() if one.input}


def test_what_ended_long_ago_is_forgotten_but_for_its_row_and_receipt(lab: Lab) -> None:
    ended, live = lab.up(name="ended"), lab.up(name="live")
    assert (lab.settled(ended).status, lab.settled(live).status) == ("ready", "ready")
    lab.down(ended)
    assert lab.settled(ended).status == "terminated"
    registry.create(lab.core, wanted(name="third"), key="some-key")
    before = lab.row(ended)
    folders = [paths.runs_folder(ended), paths.runs_folder(live)]
    assert all(any(folder.rglob("*.jsonl")) for folder in folders)

    nothing = keeper(lab, 29).round()
    assert (nothing.events, nothing.folders, nothing.workflows) == (0, 0, 0)
    assert lab.told(ended)

    forgotten = keeper(lab, 31).round()
    assert forgotten.events > 3
    assert lab.told(ended) == []
    assert lab.told(live)
    assert [folder.exists() for folder in folders] == [False, True]
    assert not paths.environment_lock(ended).exists()
    assert paths.environment_lock(live).exists()
    assert workflows() == set(), "a workflow that is over is of no use, whatever became of its environment"
    after = lab.row(ended)
    assert after.receipt
    assert (after.receipt, after.status, after.ended_at) == (before.receipt, before.status, before.ended_at)
    with lab.core.database.read() as session:
        assert session.query(IdempotencyRow).count() == 0
        assert session.query(EnvironmentRow).count() == 3
    # Nothing that is needed went: it can still be ended.
    lab.down(live)
    assert lab.settled(live).status == "terminated"


def test_a_workflow_that_a_row_still_names_is_kept(lab: Lab) -> None:
    made = lab.up()
    lab.settled(made)
    operation_id = DBOS.list_workflows()[0].workflow_id
    with lab.core.write() as session:
        session.get_one(EnvironmentRow, made).operation_id = operation_id
    assert keeper(lab, 31).round().workflows == 0
    assert [one.workflow_id for one in DBOS.list_workflows()] == [operation_id]


def test_a_key_that_nobody_said_had_arrived_goes_and_one_that_nobody_took_stays(lab: Lab) -> None:
    taken, waiting = (registry.create(lab.core, wanted(name=name)).id for name in ("taken", "waiting"))
    for made in (taken, waiting):
        (paths.private_folder(paths.key_folder(made)) / "id_ed25519").write_text("P")
    with lab.core.write() as session:
        session.get_one(EnvironmentRow, taken).key_served_at = lab.core.clock().wall
    assert keeper(lab, 0).round().keys == 0
    assert keeper(lab, 0.01).round().keys == 1
    assert [KeyPair(lab.core.files, made).exists() for made in (taken, waiting)] == [False, True]


def test_a_worker_forgets_what_is_on_its_own_machine_alone(lab: Lab) -> None:
    ended, live = lab.up(name="ended"), lab.up(name="live")
    assert (lab.settled(ended).status, lab.settled(live).status) == ("ready", "ready")
    lab.down(ended)
    assert lab.settled(ended).status == "terminated"
    folders = [paths.runs_folder(ended), paths.runs_folder(live)]
    left = paths.private_folder(paths.rescuing_folder(ended))
    assert Tidier(replace(lab.core, clock=in_days(29)), 30).round() == 0
    assert Tidier(replace(lab.core, clock=in_days(31)), 30).round() == 2
    assert [folder.exists() for folder in folders] == [False, True]
    assert not left.exists()
    assert lab.told(ended), "what all share is the server's to forget"


def test_a_folder_without_a_row_goes_when_it_is_old(lab: Lab) -> None:
    stray = paths.private_folder(paths.runs_folder("01ARZ3NDEKTSV4RRFFQ69G5FAV") / "x")
    observe = paths.private_folder(paths.run_folder("observe", "local"))
    assert keeper(lab, 1).round().folders == 0
    assert stray.exists()
    assert keeper(lab, 31).round().folders == 1
    assert not stray.parent.exists()
    assert observe.exists()


def test_what_killed_processes_left_is_swept(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    temporary = tmp_path_factory.mktemp("tmp")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    for folder in (temporary / "fuel-bundle-x", paths.cache_folder() / "sources" / "pack-x"):
        paths.private_folder(folder)
    (temporary / "somebody-elses").mkdir()
    assert keeper(lab, 0).round().temporary == 2
    assert [item.name for item in temporary.iterdir()] == ["somebody-elses"]


def test_once_a_day_also_across_restarts_and_a_clock_that_is_set_back(core: Core, clock: Any) -> None:
    class Engine:
        forget = staticmethod(lambda *_: 0)

    def daily() -> bool:
        engine: Any = Engine()
        return Housekeeper(core, engine, 30).daily() is not None

    assert [daily(), daily()] == [True, False]
    clock.pass_(DAY - 1)
    assert not daily()
    clock.pass_(1)
    assert [daily(), daily()] == [True, False]
    clock.wall -= 10 * DAY
    assert [daily(), daily()] == [True, False]


def test_the_reapers_scheduler_runs_it_and_outlives_its_failures(lab: Lab) -> None:
    calls: list[float] = []

    def failing() -> None:
        calls.append(time.monotonic())
        raise RuntimeError("no")

    for daily in (failing, keeper(lab, 31).daily):
        reaper = Reaper(lab.core, lab.engine, 0.05, daily)
        reaper.start()
        try:
            if daily is failing:
                wait_until(lambda: bool(calls))
            else:
                wait_until(lambda: _told(lab))
        finally:
            reaper.stop()
    with lab.core.database.read() as session:
        assert session.get_one(SettingRow, "reaper").value["failed"] == 0


def _told(lab: Lab) -> bool:
    with lab.core.database.read() as session:
        return session.get(SettingRow, "housekeeping") is not None
