# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk that outlives a machine, over HTTP: shown, extended, snapshotted, by who may, where a provider has one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from fuelctl._shared._prices import _book
from fuelctl.environments import cost
from fuelctl.environments.core import Core, MachineError
from fuelctl.store import environments
from fuelctl.store.database import Database
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.volume import check_has_volume
from tests.fuelctl.accounts import Team
from tests.fuelctl.accounts import team as make_team
from tests.fuelctl.api import SMALL, Started, problem, ready
from tests.fuelctl.databases import KINDS, of_kind

BOOK = _book.builtin()
MACHINE = {
    "id": "148ed1",
    "region": "iad",
    "created_at": "1970-01-01T01:00:00Z",
    "config": {"guest": {"cpu_kind": "shared", "cpus": 2, "memory_mb": 2048}},
}


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from of_kind(request)


class Died(BaseException):
    """What asked is gone, as after kill -9."""


class Volume:
    """A provider's. `before` and `after` are called once, ahead of what is asked for and behind it."""

    def __init__(self) -> None:
        self.size_gb = 10
        self.snapshots: list[str] = []
        self.asked: list[str] = []
        self.there = True
        self.before: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []
        self.slow = False

    def __call__(self, row: EnvironmentRow, wanted: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.there:
            check_has_volume(row)
        self.asked.append(wanted)
        if wanted != "shown" and self.before:
            self.before.pop()()
        made = None
        if wanted == "extended":
            if arguments["size_gb"] > 500:
                raise MachineError("a volume cannot have that", hint="choose 1 to 500", code="bad_size")
            self.size_gb = max(self.size_gb, arguments["size_gb"])
        elif wanted == "snapshotted":
            later = [each for each in self.snapshots if each not in arguments["known"]]
            if not later:
                self.snapshots.append(f"vs_{len(self.snapshots)}")
            made = None if self.slow else (later or self.snapshots[-1:])[0]
        if wanted != "shown" and self.after:
            self.after.pop()()
        snapshots = [
            {"id": each, "created_at": "2026-01-01T00:00:00Z", "state": "created", "stored_bytes": 1, "days": 5}
            for each in self.snapshots
        ]
        prices = {"currency": "USD", "gb_month": 0.15, "snapshot_gb_month": 0.08, "snapshot_free_gb": 10}
        shown = {"id": "vol_1", "region": "iad", "size_gb": self.size_gb, "snapshot_days": 5, "snapshots": snapshots}
        return {**shown, "prices": prices, **({"snapshot": made} if wanted == "snapshotted" else {})}


@pytest.fixture
def volume() -> Volume:
    return Volume()


@pytest.fixture
def team(core: Core, started: Started, volume: Volume) -> Team:
    return make_team(core, started, ask_volume=volume)


@pytest.fixture
def path(team: Team) -> str:
    """Of the volume of an environment of ada's, whose machine was seen with 10 GB."""
    made = team.make("ada")["id"]
    problem(team.ask("ada", "GET", f"/api/remote/{made}/volume"), 409, "not_enterable")
    ready(team.core, made)
    with team.core.write() as session:
        row = session.get_one(EnvironmentRow, made)
        environments.change(session, made, provider=cost.noted(row.provider, [MACHINE], 10, BOOK))
    return f"/api/remote/{made}/volume"


def hourly(team: Team, path: str) -> float:
    return float(team.ask("ada", "GET", path.removesuffix("/volume")).json["cost"]["hourly"])


def test_it_is_shown_to_who_may_change_it(team: Team, path: str, volume: Volume) -> None:
    volume.snapshots.append("vs_daily")
    shown = team.ask("ada", "GET", path).json
    assert (shown["id"], shown["region"], shown["size_gb"], shown["needs_restart"]) == ("vol_1", "iad", 10, False)
    assert shown["snapshots"][0] == {
        "id": "vs_daily", "created_at": "2026-01-01T00:00:00Z", "state": "created", "stored_bytes": 1, "days": 5,
    }  # fmt: skip
    assert shown["prices"]["snapshot_gb_month"] == 0.08
    for method, where in (("GET", path), ("POST", path), ("POST", f"{path}/snapshots")):
        problem(team.ask("bob", method, where, json={"size_gb": 20} if where == path else None), 403, "forbidden")
        problem(team.ask("vera", method, where, json={"size_gb": 20} if where == path else None), 403, "forbidden")
    assert volume.asked == ["shown"]
    # Somebody extended it elsewhere: from now on that is what it costs.
    before = hourly(team, path)
    volume.size_gb = 110
    team.ask("ada", "GET", path)
    assert hourly(team, path) == pytest.approx(before + 100 * 0.15 / 730, abs=1e-5)


def test_it_grows_and_costs_so_and_never_shrinks(team: Team, path: str, volume: Volume) -> None:
    before = hourly(team, path)
    for _again in range(2):
        assert team.ask("ada", "POST", path, json={"size_gb": 110}).json["size_gb"] == 110
    assert hourly(team, path) == pytest.approx(before + 100 * 0.15 / 730, abs=1e-5)
    told = problem(team.ask("ada", "POST", path, json={"size_gb": 20}), 409, "only_grows")
    assert "has 110 GB, and a volume never becomes smaller" in told["detail"]
    problem(team.ask("ada", "POST", path, json={"size_gb": 501}), 422, "bad_size")
    for wrong in (0, -1, "20", 1.5, None, 10**9):
        problem(team.ask("ada", "POST", path, json={"size_gb": wrong}), 422)
    assert volume.size_gb == 110
    [entry] = team.log(action="environment.volume")
    assert (entry["actor"], entry["before"], entry["after"]) == ("ada", {"size_gb": 10}, {"size_gb": 110})


def test_the_month_s_limit_holds_for_it_before_anything_is_done(core: Core, started: Started, volume: Volume) -> None:
    team = make_team(core, started, ask_volume=volume, settings=replace(SMALL, month_limit_usd=0.06))
    made = team.make("ada", ttl_seconds=3600)["id"]
    ready(core, made)
    with core.write() as session:
        row = session.get_one(EnvironmentRow, made)
        now = {**MACHINE, "created_at": "2100-01-01T00:00:00Z"}
        environments.change(session, made, provider=cost.noted(row.provider, [now], 10, BOOK))
    refused = problem(team.ask("ada", "POST", f"/api/remote/{made}/volume", json={"size_gb": 490}), 409, "month_limit")
    assert "this month" in refused["detail"]
    assert volume.asked == []
    assert [entry["outcome"] for entry in team.log(action="environment.volume")] == ["refused"]


def test_whoever_dies_after_it_grew_has_it_counted_by_the_repeat(team: Team, path: str, volume: Volume) -> None:
    def die() -> None:
        raise Died

    volume.after.append(die)
    before = hourly(team, path)
    with pytest.raises(Died):
        team.ask("ada", "POST", path, json={"size_gb": 110})
    assert (volume.size_gb, hourly(team, path)) == (110, before)
    team.ask("ada", "POST", path, json={"size_gb": 110})
    assert hourly(team, path) > before
    assert len(team.log(action="environment.volume")) == 1


def test_requests_with_one_key_have_one_snapshot(team: Team, path: str, volume: Volume) -> None:
    volume.snapshots.append("vs_daily")
    key = {"Idempotency-Key": "a key that is used twice"}
    first, again = (team.ask("ada", "POST", f"{path}/snapshots", headers=key).json for _again in range(2))
    assert (first["snapshot"], again["snapshot"], volume.snapshots) == ("vs_1", "vs_1", ["vs_daily", "vs_1"])
    assert volume.asked == ["shown", "snapshotted", "shown"]
    assert team.ask("ada", "POST", f"{path}/snapshots", headers={"Idempotency-Key": "other"}).json["snapshot"] == "vs_2"
    assert team.ask("ada", "POST", f"{path}/snapshots").json["snapshot"] == "vs_3"
    assert team.ask("ada", "POST", f"{path}/snapshots", headers=key).json["snapshot"] == "vs_1"
    entries = team.log(action="environment.snapshot")
    assert [(entry["actor"], entry["after"]["snapshot"]) for entry in entries] == [
        ("ada", "vs_3"), ("ada", "vs_2"), ("ada", "vs_1"),
    ]  # fmt: skip
    # Nobody remembers requests without end.
    for number in range(25):
        team.ask("ada", "POST", f"{path}/snapshots", headers={"Idempotency-Key": f"key {number}"})
    with team.core.database.read() as session:
        [row] = session.query(EnvironmentRow).all()
    assert len(row.provider["snapshots_asked"]) == 20


@pytest.mark.parametrize("when", ["before", "after"])
def test_whoever_dies_meanwhile_leaves_no_second_one_to_the_repeat(
    team: Team, path: str, volume: Volume, when: str
) -> None:
    def die() -> None:
        raise Died

    getattr(volume, when).append(die)
    key = {"Idempotency-Key": "a key that is used twice"}
    with pytest.raises(Died):
        team.ask("ada", "POST", f"{path}/snapshots", headers=key)
    assert team.ask("ada", "POST", f"{path}/snapshots", headers=key).json["snapshot"] == "vs_0"
    assert volume.snapshots == ["vs_0"]
    assert len(team.log(action="environment.snapshot")) == 1


def test_one_that_is_not_shown_yet_is_found_by_the_repeat(team: Team, path: str, volume: Volume) -> None:
    key = {"Idempotency-Key": "a key that is used twice"}
    volume.slow = True
    problem(team.ask("ada", "POST", f"{path}/snapshots", headers=key), 503, "snapshot_pending")
    volume.slow = False
    assert team.ask("ada", "POST", f"{path}/snapshots", headers=key).json["snapshot"] == "vs_0"


def test_a_provider_without_one_says_so(team: Team, path: str, volume: Volume) -> None:
    volume.there = False
    for method, where, body in (
        ("GET", path, None),
        ("POST", path, {"size_gb": 20}),
        ("POST", f"{path}/snapshots", None),
    ):
        told = problem(team.ask("ada", method, where, json=body), 409, "no_volume")
        assert told["detail"] == "the provider local has no volume that outlives its machine"
    assert volume.asked == []
