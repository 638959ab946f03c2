# SPDX-License-Identifier: GPL-3.0-or-later
"""POST /api/events, devices and workspaces with tokens: who may tell what, once, in any order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from fuelctl.accounts.roles import Scope
from fuelctl.environments import handlers
from fuelctl.environments.core import Core
from fuelctl.environments.views import event_view
from fuelctl.store import environments, events
from fuelctl.store.database import Database
from fuelctl.store.ulids import new_ulid
from tests.fuelctl.accounts import Team
from tests.fuelctl.api import problem, ready, token_of
from tests.fuelctl.control import HandClock, check_of
from tests.fuelctl.databases import KINDS, of_kind

LAPTOP = "01HZZZZZZZZZZZZZZZZZZZZZZX"


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from of_kind(request)


def event(type_: str = "tool.use", **fields: Any) -> dict[str, Any]:
    return {"id": new_ulid(), "type": type_, **fields}


def own(team: Team, environment_id: str) -> str:
    return token_of(team.core, environment_id)["Authorization"].removeprefix("Bearer ")


def tell(team: Team, who: str, *told: dict[str, Any]) -> Any:
    return team.ask(who, "POST", "/api/events", json={"events": list(told)})


def told_of(core: Core, environment_id: str, family: str = "") -> list[tuple[str, dict[str, Any]]]:
    with core.database.read() as session:
        rows = events.after(session, 0, environment_id=environment_id)
    return [(row.type, row.data) for row in rows if row.type.startswith(family)]


class TestEnvironments:
    def test_it_tells_about_itself_and_once(self, team: Team) -> None:
        made = team.make("ada")["id"]
        mine = own(team, made)
        ready(team.core, made)
        batch = [event("session.start"), event("tool.use", data={"n": 1}), event("tool.use", environment=made)]
        assert tell(team, mine, *batch).json == {"accepted": 3}
        assert tell(team, mine, *reversed(batch), batch[0]).json == {"accepted": 0}
        assert tell(team, mine, event("agent.stop"), *batch).json == {"accepted": 1}
        types = [type_ for type_, _data in told_of(team.core, made) if type_.partition(".")[0] in ("session", "tool")]
        assert types == ["session.start", "tool.use", "tool.use"]
        assert team.ask("ada", "GET", f"/api/remote/{made}").json["status"] == "active"

    def test_what_it_says_of_its_start_and_end_is_noted_and_decides_nothing(self, team: Team, clock: HandClock) -> None:
        made = team.make("ada")["id"]
        mine = own(team, made)
        batch = [event("remote.provision.start"), event("remote.provision.ready", data={"x": 1})]
        assert tell(team, mine, *batch).json == {"accepted": 2}
        assert tell(team, mine, *batch).json == {"accepted": 0}
        assert team.ask("ada", "GET", f"/api/remote/{made}").json["status"] == "provisioning"
        assert told_of(team.core, made, "remote.report") == [
            ("remote.report.start", {}),
            ("remote.report.ready", {"x": 1}),
        ]
        ready(team.core, made)
        with team.core.write() as session:
            environments.change(session, made, check_at=clock.wall + 9000)
        going = event("remote.terminate", data={"reason": "spot"})
        assert tell(team, mine, going).json == {"accepted": 1}
        assert tell(team, mine, going).json == {"accepted": 0}
        with team.core.database.read() as session:
            row = environments.get(session, made)
            assert row is not None
            assert row.status == "ready", "its provider says whether it has ended"
        assert check_of(team.core, made).check_at == clock.wall, "it is looked at now"

    @pytest.mark.parametrize("at", [1e300, -1e300])
    @pytest.mark.parametrize("type_", ["remote.provision.error", "remote.terminate", "system.device.register"])
    def test_a_time_that_is_none_keeps_nobody_from_reading_the_log(self, team: Team, type_: str, at: float) -> None:
        made = team.make("ada")["id"]
        mine = own(team, made)
        ready(team.core, made)
        assert tell(team, mine, event(type_, at=at)).json == {"accepted": 1}
        with team.core.database.read() as session:
            rows = events.after(session, 0)
        assert all(0 <= row.at <= 1e11 and event_view(row).at for row in rows)

    def test_it_says_nothing_of_others(self, team: Team) -> None:
        one, two = team.make("ada", name="one"), team.make("ada", name="two")
        before = told_of(team.core, two["id"])
        for ref in (two["id"], "two", "nobody"):
            problem(tell(team, own(team, one["id"]), event(), event(environment=ref)), 403, "forbidden")
        assert told_of(team.core, two["id"]) == before
        assert told_of(team.core, one["id"], "tool") == [], "all of a batch or nothing"

    def test_one_that_is_being_ended_is_not_ready(self, team: Team) -> None:
        made = team.make("ada")["id"]
        mine = own(team, made)
        assert team.ask("ada", "POST", f"/api/remote/{made}/terminate", json={}).status_code == 202
        problem(tell(team, mine, event("remote.provision.ready")), 409, "not_live")
        headers = {"Authorization": f"Bearer {mine}"}
        problem(team.http.post(f"/api/remote/{made}/ready", json={}, headers=headers), 409, "not_live")
        assert team.http.post(f"/api/remote/{made}/error", json={}, headers=headers).status_code == 200
        assert tell(team, mine, event("remote.provision.error"), event("remote.heartbeat")).json == {"accepted": 2}

    def test_its_device_says_what_it_is(self, team: Team) -> None:
        made = team.make("ada")["id"]
        mine = own(team, made)
        facts = {"platform": "linux/amd64", "version": "1\n2", "name": 7, "else": "x" * 900}
        assert tell(team, mine, event("system.device.register", data=facts)).json == {"accepted": 1}
        assert team.ask("ada", "GET", f"/api/remote/{made}").json["device"] is None
        ready(team.core, made)
        again = event("system.device.register", data=facts)
        assert [tell(team, mine, again).json["accepted"] for _turn in range(2)] == [1, 0]
        device = team.ask("ada", "GET", f"/api/remote/{made}").json["device"]
        assert (device["platform"], device["version"]) == ("linux/amd64", "12")

    @pytest.mark.parametrize(
        "type_",
        [
            "remote.update",
            "remote.key",
            "remote.provision",
            "system.x",
            "x",
            "remote.report.ready",
            "remote.provision.ready.x",
        ],
    )
    def test_nobody_can_say_what_is_ours_to_say(self, team: Team, type_: str) -> None:
        made = team.make("ada")["id"]
        for who in (own(team, made), "ada", "root"):
            problem(tell(team, who, event(type_)), 422, "invalid_request")

    def test_tokens_that_are_none(self, team: Team, clock: HandClock) -> None:
        made = team.make("ada")["id"]
        mine = own(team, made)
        forged = [mine[:-1], mine + "x", mine[::-1], "", "fctl_aaaaaaaaaa_" + "a" * 52, mine.upper(), f" {mine} x"]
        for token in forged:
            problem(tell(team, token, event()), 401, "unauthorized")
        problem(team.http.post("/api/events", json={"events": []}), 401, "unauthorized")
        problem(team.http.post("/api/events", json={"events": []}, headers={"Authorization": mine}), 401)
        expired = team.token("ada", Scope.ALL, days=1)
        clock.pass_(86401)
        problem(tell(team, expired, event(environment=made)), 401, "unauthorized")

    def test_too_much_at_once(self, team: Team) -> None:
        made = team.make("ada")["id"]
        mine = own(team, made)
        team.http.application.extensions["fuelctl"].rates.clock = lambda: 0.0
        for _turn in range(4):
            assert tell(team, mine, *[event() for _each in range(1000)]).status_code == 200
        problem(tell(team, mine, event()), 429, "too_many_events")
        problem(tell(team, mine, *[event() for _each in range(1001)]), 422)


class TestPeople:
    def test_one_tells_of_ones_own_environment(self, team: Team) -> None:
        made = team.make("ada", name="api")["id"]
        for ref in (made, "api", made[:20]):
            assert tell(team, "ada", event("session.note", environment=ref)).json == {"accepted": 1}
        assert tell(team, "root", event("tool.use", environment=made)).json == {"accepted": 1}
        for who in ("bob", "vera", team.token("ada", Scope.READ)):
            problem(tell(team, who, event(environment=made)), 403, "forbidden")
        problem(tell(team, "ada", event()), 422, "no_subject")
        problem(tell(team, "ada", event(environment="nobody")), 404, "not_found")
        for type_ in ("remote.provision.ready", "remote.heartbeat", "remote.terminate", "system.device.register"):
            problem(tell(team, "ada", event(type_, environment=made)), 403, "forbidden")
        with team.core.write() as session:
            environments.change(session, made, status="terminated", ended_at=1.0)
        problem(tell(team, "ada", event(environment=made)), 409, "not_live")

    def test_a_laptop_registers_by_event_and_by_call(self, team: Team) -> None:
        by_event = event("system.device.register", data={"id": LAPTOP, "name": "ada's"})
        assert tell(team, "ada", by_event, by_event).status_code == 200
        assert tell(team, "vera", event("system.device.register", data={"name": "v"})).json == {"accepted": 1}
        for none in ("x" * 1000, "\0", "not a ULID"):
            problem(tell(team, "ada", event("system.device.register", data={"id": none})), 422, "invalid_id")
        told = {"id": LAPTOP, "name": "ada's new", "platform": "darwin"}
        made = team.ask("ada", "POST", "/api/devices", json=told)
        assert (made.status_code, made.json["name"], made.json["kind"]) == (200, "ada's new", "laptop")
        problem(team.ask("bob", "POST", "/api/devices", json=told), 422, "device_taken")
        problem(tell(team, "bob", by_event), 422, "device_taken")
        problem(team.ask(team.token("ada", Scope.ENVIRONMENTS), "POST", "/api/devices", json=told), 403)
        assert [one["name"] for one in team.ask("ada", "GET", "/api/devices").json["devices"]] == ["ada's new"]
        assert [one["name"] for one in team.ask("bob", "GET", "/api/devices").json["devices"]] == []
        assert len(team.ask("root", "GET", "/api/devices?kind=laptop").json["devices"]) == 2
        registered = [row for row in team.log(action="device.register") if row["outcome"] == "done"]
        assert sorted(row["actor"] for row in registered) == ["ada", "vera"], "once each"

    def test_an_environments_device_is_nobodys_laptop(self, team: Team) -> None:
        made = team.make("ada")["id"]
        ready(team.core, made)
        device = team.ask("ada", "GET", f"/api/remote/{made}").json["device"]["id"]
        problem(team.ask("ada", "POST", "/api/devices", json={"id": device, "name": "x"}), 422, "device_taken")

    def test_a_viewer_sees_workspaces_and_makes_none(self, team: Team) -> None:
        place = {"url": "https://example.org/a/b"}
        problem(team.ask("vera", "POST", "/api/workspaces", json=place), 403, "forbidden")
        assert team.ask("ada", "POST", "/api/workspaces", json=place).status_code == 201
        assert len(team.ask("vera", "GET", "/api/workspaces").json["workspaces"]) == 1


class TestRegistry:
    def test_every_type_that_is_taken_has_a_handler(self) -> None:
        for type_ in ("session.x", "tool.x", "agent.x", *(each for each in handlers.HANDLERS if "*" not in each)):
            assert handlers.handler(type_) is not None

    def test_whatever_the_order_the_end_is_the_same(self, team: Team, clock: HandClock) -> None:
        """Every order of one batch, each part of it sent twice: the same events, once, and the same last activity."""
        made = team.make("ada")["id"]
        mine = own(team, made)
        ready(team.core, made)
        ends = set()
        for order in itertools.permutations(range(4)):
            batch = [event("tool.use", at=clock.wall - 10 * number, data={"n": number}) for number in order]
            for each in batch:
                assert tell(team, mine, each).json == {"accepted": 1}
            assert tell(team, mine, *batch).json == {"accepted": 0}
            ends.add(team.ask("ada", "GET", f"/api/remote/{made}").json["last_event_at"])
        assert len(ends) == 1

    def test_a_storm_of_heartbeats_never_moves_last_activity_back(self, team: Team, clock: HandClock) -> None:
        """3,000 heartbeats and events, replayed and out of order, over a clock that is set back now and then."""
        made = team.make("ada")["id"]
        mine, dice, accepted = own(team, made), Random(23), 0
        ready(team.core, made)
        team.http.application.extensions["fuelctl"].rates.clock = itertools.count(0, 60).__next__
        known = [event("tool.use", at=clock.wall + dice.uniform(-900, 900)) for _each in range(200)]
        told: list[dict[str, Any]] = []
        latest = 0.0
        for _turn in range(100):
            clock.pass_(dice.choice((1, 5, 30)))
            clock.wall -= dice.choice((0, 0, 0, 40))
            batch = [*dice.choices(known, k=15), *(event("remote.heartbeat") for _each in range(15))]
            told += batch
            accepted += tell(team, mine, *dice.sample(batch, len(batch))).json["accepted"]
            with team.core.database.read() as session:
                row = environments.get(session, made)
            assert row is not None
            assert row.last_event_at is not None
            assert row.last_event_at >= latest
            latest = row.last_event_at
        assert accepted == 1500 + len({each["id"] for each in told if each["type"] == "tool.use"}), "each event once"


def test_a_token_can_be_given_up(team: Team) -> None:
    for scope in Scope:
        token = team.token("ada", scope)
        assert team.ask(token, "DELETE", "/api/whoami").json["good"] is False
        problem(team.ask(token, "GET", "/api/whoami"), 401)
    assert [row["actor"] for row in team.log(action="token.revoke")] == ["ada"] * 3
