# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may what, over HTTP: every route has a rule, everybody gets what their role and token give, and no more."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from simple_websocket import Client as Socket
from simple_websocket import ConnectionClosed

from fuelctl.accounts import tokens
from fuelctl.accounts.roles import Action, Role, Scope
from fuelctl.environments.core import Core
from fuelctl.server import followers
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.server.rules import RULES, Open
from tests.fuelctl.accounts import Team
from tests.fuelctl.accounts import team as make_team
from tests.fuelctl.api import BODY, SMALL, ULID, Started, problem, ready
from tests.fuelctl.stage import Stage, give_key
from tests.fuelctl.stage import stage as serve_stage

#: What a route with a rule for changing takes.
BODIES: dict[str, Any] = {
    "remote.terminate": {"discard": False},
    "remote.extend": {"ttl_seconds": 7200},
    "remote.authorize_ip": {"address": "192.0.2.1"},
    "keys.authorize": {"public_key": "x"},
    "keys.take": None,
    "keys.received": None,
    "source.upload": None,
    "remote.power": {"state": "stopped"},
    "volumes.show": None,
    "volumes.extend": {"size_gb": 20},
    "volumes.snapshot": None,
}
#: Of what is no environment any more: `test_rescue.py`.
RESCUES = {"rescues.listing", "rescues.show", "rescues.content_of", "rescues.remove"}


def routes(core: Core, started: Started) -> dict[str, tuple[str, str]]:
    """endpoint -> (method, path with an environment in it)."""
    app = create_app(Parts(core, started, SMALL))
    found = {}
    for rule in app.url_map.iter_rules():
        [method] = (rule.methods or {"GET"}) - {"HEAD", "OPTIONS"}
        found[rule.endpoint] = (method, str(rule))
    return found


class TestRules:
    def test_every_route_has_a_rule_and_every_rule_a_route(self, core: Core, started: Started) -> None:
        assert set(routes(core, started)) == set(RULES)

    def test_what_anybody_may_ask_says_nothing_about_anybody(self) -> None:
        free = {endpoint for endpoint, rule in RULES.items() if rule is Open.ANYBODY}
        assert free == {"control.healthz", "control.readyz", "control.document"}
        callbacks = {endpoint for endpoint, rule in RULES.items() if rule is Open.CALLBACK}
        assert callbacks == {endpoint for endpoint in RULES if endpoint.startswith("callbacks.")}

    @pytest.mark.parametrize("embedded", [True, False])
    def test_a_route_without_a_rule_is_refused_to_everybody(self, core: Core, started: Started, embedded: bool) -> None:
        app = create_app(Parts(core, started, SMALL, embedded=embedded))
        app.add_url_rule("/api/forgotten", "forgotten", lambda: "inside")
        made = Team(core, started, app.test_client())
        made.add("root", Role.ADMIN)
        problem(made.ask("root", "GET", "/api/forgotten"), 403, "forbidden")

    def test_without_a_good_token_no_route_but_the_open_ones_answers(self, team: Team) -> None:
        for endpoint, (method, pattern) in routes(team.core, team.started).items():
            if endpoint == "stream.follow":
                continue  # the same address as `plain`; over a real socket below
            path = pattern.replace("<ref>", ULID).replace("<name>", "x").replace("<id>", "x")
            if endpoint in ("callbacks.report", "told.tell"):
                answer = team.http.open(path, method=method, json={"events": []})
            else:
                answer = team.http.open(path, method=method, json={})
            expected = 200 if RULES[endpoint] is Open.ANYBODY else 401
            assert answer.status_code == expected, (endpoint, answer.get_data(as_text=True))

    def test_whatever_changes_an_environment_is_tried(self) -> None:
        assert BODIES.keys() == {endpoint for endpoint, rule in RULES.items() if rule is Action.CHANGE} - RESCUES

    @pytest.mark.parametrize("endpoint", BODIES)
    def test_nobody_but_an_admin_changes_anothers_environment(self, team: Team, endpoint: str) -> None:
        made = team.make("ada", name="api", source={"sha256": "0" * 64, "size": 3})
        method, path = routes(team.core, team.started)[endpoint]
        before = team.ask("ada", "GET", "/api/remote/api").json
        for who in ("bob", "vera", team.token("ada", Scope.READ)):
            # By its id, by a piece of it, and by its name.
            for ref in (made["id"], made["id"][:20], "api"):
                answer = team.ask(who, method, path.replace("<ref>", ref), json=BODIES[endpoint])
                problem(answer, 403, "forbidden")
        assert team.ask("ada", "GET", "/api/remote/api").json == before
        assert team.started == []
        for who in ("ada", "root"):
            answer = team.ask(who, method, path.replace("<ref>", made["id"]), json=BODIES[endpoint])
            assert answer.status_code not in (401, 403), answer.json

    def test_an_environments_own_key_is_for_its_owner(self, team: Team) -> None:
        made = team.make("ada")
        ready(team.core, made["id"])
        give_key(made["id"])
        problem(team.ask("bob", "GET", f"/api/remote/{made['id']}/ssh-key"), 403, "forbidden")
        assert team.ask("ada", "GET", f"/api/remote/{made['id']}/ssh-key").status_code == 200
        problem(team.ask("root", "GET", f"/api/remote/{made['id']}/ssh-key"), 410, "key_gone")
        taken = [(row["actor"], row["outcome"]) for row in team.log(object=made["id"], action="environment.key")]
        assert taken == [("root", "refused"), ("ada", "done")]

    def test_who_owns_what_is_made(self, team: Team) -> None:
        assert team.make("ada")["owner"] == "ada"
        problem(team.ask("ada", "POST", "/api/remote", json={**BODY, "owner": "bob"}), 403, "forbidden")
        assert team.make("root", owner="bob")["owner"] == "bob"
        problem(team.ask("vera", "POST", "/api/remote", json=BODY), 403, "forbidden")
        problem(team.ask(team.token("ada", Scope.READ), "POST", "/api/remote", json=BODY), 403, "forbidden")

    def test_everybody_sees_everything_and_means_their_own_by_a_name(self, team: Team) -> None:
        own = {who: team.make(who, name="api")["id"] for who in ("ada", "bob")}
        for who in ("ada", "bob", "vera", "root"):
            listed = team.ask(who, "GET", "/api/remote").json["environments"]
            assert {item["id"] for item in listed} == set(own.values())
            assert team.ask(who, "GET", f"/api/remote/{own['ada']}/events").status_code == 200
        assert team.ask("ada", "GET", "/api/remote/api").json["id"] == own["ada"]
        assert team.ask("bob", "GET", "/api/remote/api").json["id"] == own["bob"]
        problem(team.ask("vera", "GET", "/api/remote/api"), 409, "ambiguous")

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "/api/users", None),
            ("POST", "/api/users", {"name": "eve", "role": "admin"}),
            ("PATCH", "/api/users/ada", {"role": "admin"}),
            ("GET", "/api/audit-log", None),
            ("GET", "/api/tokens?everybody=true", None),
            ("GET", "/api/tokens?user=root", None),
            ("POST", "/api/tokens", {"name": "x", "user": "root"}),
            ("POST", "/api/audit", {}),
            ("POST", "/api/audit/adopt", {"refs": ["x"]}),
            ("POST", "/api/reaper/cycle", {}),
            ("POST", "/api/server/stop", {}),
        ],
    )
    def test_what_is_for_admins(self, team: Team, method: str, path: str, body: Any) -> None:
        for who in ("ada", "vera", team.token("ada", Scope.ENVIRONMENTS), team.token("root", Scope.ENVIRONMENTS)):
            problem(team.ask(who, method, path, json=body), 403, "forbidden")
        assert team.ask("ada", "GET", "/api/whoami").json["role"] == "member"

    def test_why_it_is_refused_is_said(self, team: Team) -> None:
        made = team.make("ada")
        end = f"/api/remote/{made['id']}/terminate"
        narrow, too_narrow = team.token("ada", Scope.READ), "this token has scope read, which does not allow that"
        for who, method, path, detail in (
            ("bob", "POST", end, "that is ada's, and you are bob"),
            (narrow, "POST", end, too_narrow),
            ("vera", "POST", end, "you are vera, a viewer, who may not do that"),
            ("bob", "GET", "/api/tokens?user=ada", "that is ada's, and you are bob"),
            ("bob", "GET", "/api/tokens?everybody=true", "you are bob, a member, who may not do that"),
            (team.token("root", Scope.READ), "GET", "/api/users", too_narrow),
        ):
            assert problem(team.ask(who, method, path, json={}), 403, "forbidden")["detail"] == detail

    def test_an_agent_home_is_the_embedded_servers_matter(self, team: Team) -> None:
        body = {**BODY, "agent_home": "/root"}
        problem(team.ask("root", "POST", "/api/remote", json=body), 422, "agent_home_unusable")


class TestAuditLog:
    def test_every_change_of_a_person_says_who_where_and_what(self, team: Team) -> None:
        made = team.make("ada", name="api", secrets={"KEY": "canary-value"})
        ready(team.core, made["id"])
        team.ask("ada", "POST", "/api/remote/api/extend", json={"ttl_seconds": 7200})
        team.ask("root", "POST", "/api/remote/api/terminate", json={"discard": True})
        rows = list(reversed(team.log(object=made["id"])))
        told = [(row["actor"], row["action"], row["outcome"]) for row in rows if row["actor"] != "system"]
        assert told == [
            ("ada", "environment.create", "done"),
            ("ada", "environment.provision", "done"),
            ("ada", "environment.extend", "done"),
            ("root", "environment.terminate", "done"),
        ]
        extended = next(row for row in rows if row["action"] == "environment.extend")
        assert extended["after"]["expires_at"] > extended["before"]["expires_at"]
        assert "canary-value" not in json.dumps(rows)

    def test_it_is_read_in_pages_and_followed(self, team: Team) -> None:
        everything = team.log()
        first = team.ask("root", "GET", "/api/audit-log?limit=3").json
        assert [row["seq"] for row in first["entries"]] == [row["seq"] for row in everything[:3]]
        second = team.ask("root", "GET", f"/api/audit-log?limit=3&before={first['cursor']}").json
        assert [row["seq"] for row in second["entries"]] == [row["seq"] for row in everything[3:6]]
        assert team.ask("root", "GET", "/api/audit-log?limit=1000").json["cursor"] is None
        last = everything[0]["seq"]
        assert team.ask("root", "GET", f"/api/audit-log?after={last}").json == {"entries": [], "cursor": last}
        team.make("ada")
        followed = team.ask("root", "GET", f"/api/audit-log?after={last}").json
        assert [row["action"] for row in followed["entries"]] == ["environment.create", "environment.provision"]
        for query in ("limit=0", "before=x", "outcome=maybe", "wrong=1"):
            problem(team.ask("root", "GET", f"/api/audit-log?{query}"), 422)


class TestEmbedded:
    def test_this_machines_user_is_its_admin_without_a_login(self, http: FlaskClient) -> None:
        me = http.get("/api/whoami").json
        assert (me["role"], me["scope"], me["token"]) == ("admin", "all", None)
        made = http.post("/api/remote", json=BODY).json
        assert made["owner"] == me["name"]
        assert http.post("/api/remote", json={**BODY, "owner": "other"}).status_code == 202
        rows = http.get("/api/audit-log").json["entries"]
        assert {(row["actor"], row["address"]) for row in rows} == {(me["name"], "")}
        assert http.get("/api/tokens").json == {"tokens": []}

    def test_a_list_asks_the_database_no_more_than_before(self, http: FlaskClient, core: Core) -> None:
        from sqlalchemy import event

        asked: list[str] = []
        event.listen(core.database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        assert http.get("/api/remote").status_code == 200
        assert len([each for each in asked if each.startswith("SELECT")]) == 2
        assert not [each for each in asked if "tokens" in each or "users" in each or "audit" in each]


def test_a_limit_of_live_environments_is_one_line(core: Core, started: Started) -> None:
    team = make_team(core, started, settings=replace(SMALL, max_environments_per_owner=1))
    team.make("ada")
    document = problem(team.ask("ada", "POST", "/api/remote", json=BODY), 409, "too_many_environments")
    assert document["detail"] == "ada has 1 of at most 1 live environments already"
    [refused] = team.log(outcome="refused")
    assert (refused["actor"], refused["action"]) == ("ada", "environment.create")
    assert refused["after"] == {"owner": "ada", "reason": "too_many_environments"}
    team.make("bob")


@pytest.fixture
def served() -> Iterator[Stage]:
    """A team's server over real HTTP."""
    with serve_stage(tcp=True) as made:
        yield made


def test_a_follower_whose_token_is_revoked_is_let_go(served: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "_PROVE_AGAIN", 0.2)
    from fuelctl.accounts import users

    token = users.add(served.core, "vera", Role.VIEWER, days=1).text
    place = urlsplit(served.url)
    stranger = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    stranger.request("GET", "/api/ws", headers={**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    assert stranger.getresponse().status == 401
    stranger.close()
    socket = Socket.connect(f"ws://{place.netloc}/api/ws", headers={b"Authorization": f"Bearer {token}".encode()})
    with served.core.write() as session:
        tokens.revoke(served.core, session, token.split("_")[1])
    end = time.monotonic() + 120

    def listen() -> None:
        while time.monotonic() < end:
            socket.receive(timeout=1)

    try:
        with pytest.raises(ConnectionClosed) as caught:
            listen()
        assert caught.value.reason == 1008
    finally:
        with suppress(ConnectionClosed):
            # A server that goes on sending would keep the test from ending.
            socket.close()
