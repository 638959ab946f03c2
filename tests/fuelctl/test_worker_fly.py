# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker does at a provider for whoever waits at the server, and for its reaper: on a Fly.io without machines.

Server's part and worker are processes of their own, on a Postgres; the worker's playbooks are the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._errors import UsageError
from fuelctl.environments import registry, volume
from fuelctl.environments.core import MachineError
from fuelctl.environments.idleness import Activity
from fuelctl.environments.journal import Journal
from fuelctl.store import environments
from fuelctl.workflows.idle_stop import IdleStops
from fuelctl.workflows.reaper import Reaper
from tests.fuelctl.control import wanted
from tests.fuelctl.databases import own_cluster
from tests.fuelctl.team_lab import Team
from tests.lab.fly.client import FlyLab


@pytest.fixture
def lab() -> Iterator[FlyLab]:
    with FlyLab(machines=False, boot_delay=0) as started:
        yield started


@pytest.fixture
def team(home: Path, tmp_path: Path) -> Iterator[Team]:
    assert home
    with own_cluster() as cluster:
        made = Team(cluster.url, tmp_path / "secret.key", tmp_path)
        yield made
        made.stop()


def ready(team: Team, lab: FlyLab, **fields: Any) -> str:
    """An environment that can be entered, and what it has at its provider."""
    row = registry.create(team.core, wanted(provider={"name": "fly", "options": {}}, **fields))
    operation_id = registry.begin_provisioning(team.core, row.id)
    assert operation_id is not None
    results: dict[str, Any] = {"conditions": [], "connection": {}, "agent": None, "provider": {}, "resources": []}
    Journal.open(team.core, row.id, operation_id).ready(results)
    app = f"fuel-code-{row.id.lower()}"
    marks = {"fuel_code_environment": row.id, "fuel_code_owner": row.owner}
    for path, body in (
        ("/apps", {"app_name": app, "org_slug": "personal"}),
        (f"/apps/{app}/volumes", {"name": "workspace", "region": "fra", "size_gb": 20}),
        (f"/apps/{app}/machines", {"name": "dev", "region": "fra", "config": {"image": "dev", "metadata": marks}}),
    ):
        status, answer = lab.api("POST", path, body)
        assert status in {200, 201}, answer
    lab.wait_for(lambda: [each["state"] for each in lab.machines()] == ["started"])
    return row.id


def test_a_worker_sees_to_the_volume_and_stops_what_is_idle(team: Team, lab: FlyLab) -> None:
    made = ready(team, lab, idle_seconds=1800, idle_stops=True)
    with pytest.raises(MachineError) as alone:
        volume.show(team.core, team.row(made), team.enqueuer.ask_volume)
    assert alone.value.code == "no_worker"
    team.ready(team.worker(**lab.environment()))

    shown = volume.show(team.core, team.row(made), team.enqueuer.ask_volume)
    assert (shown.region, shown.size_gb, shown.snapshots) == ("fra", 20, [])
    larger = volume.extend(team.core, team.row(made), 30, team.enqueuer.ask_volume)
    assert (larger.id, larger.size_gb, larger.needs_restart) == (shown.id, 30, False)
    # What the provider takes from nobody is the caller's mistake, whoever found it.
    with pytest.raises(UsageError, match="cannot have 501 GB"):
        volume.extend(team.core, team.row(made), 501, team.enqueuer.ask_volume)
    kept = volume.snapshot(team.core, team.row(made), "a key", team.enqueuer.ask_volume)
    assert [each.id for each in kept.snapshots] == [kept.snapshot]
    assert [each["size_gb"] for each in lab.volumes()] == [30]

    now = team.core.clock()
    with team.core.write() as session:
        silent = Activity(quiet=1800.0, observed=vars(now)).as_dict()
        environments.change(session, made, activity=silent, check_at=now.wall)
    stops = IdleStops(team.core, team.enqueuer.power)
    Reaper(team.core, team.enqueuer, 60, stop=stops.begin).cycle()
    team.until(lambda: team.row(made).conditions, team.said)
    [condition] = team.row(made).conditions
    assert (condition["type"], condition["details"]) == ("stopped", {"state": "stopped", "by": "idle"})
    assert [each["state"] for each in lab.machines()] == ["stopped"]
    assert team.row(made).operation_id is None
