# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens over HTTP: made, shown once, refused alike whatever is wrong with them, and not too often from one address."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fuelctl._shared._errors import UsageError
from fuelctl.accounts import tokens
from fuelctl.accounts.roles import Scope
from fuelctl.environments.core import Core
from fuelctl.server.address import check_proxies, client_address, subscriber
from tests.fuelctl.accounts import Team
from tests.fuelctl.accounts import team as make_team
from tests.fuelctl.api import BODY, SMALL, ULID, Started, problem, token_of
from tests.fuelctl.control import HandClock


class TestTokens:
    def test_the_same_answer_whatever_is_wrong_with_a_token(self, team: Team, clock: HandClock) -> None:
        good = team.token("ada", Scope.ALL)
        expired, revoked, disabled = (team.token(who, Scope.ALL, days=1) for who in ("ada", "ada", "bob"))
        assert team.ask("ada", "DELETE", f"/api/tokens/{revoked.split('_')[1]}").json["good"] is False
        assert team.ask("root", "PATCH", "/api/users/bob", json={"disabled": True}).status_code == 200
        problem(team.ask(disabled, "GET", "/api/remote"), 401)
        clock.pass_(tokens.DAY)
        forged = good[:-1] + ("a" if good[-1] != "a" else "b")
        unknown = f"fctl_{'b' * 10}_{'c' * 52}"
        wrong = (
            "",
            "x",
            "\x7f",
            good[:-1],
            good + "x",
            good[:16],
            good.upper(),
            forged,
            unknown,
            expired,
            revoked,
            disabled,
        )
        bodies = set()
        for offered in wrong:
            for path in ("/api/remote", "/api/whoami", "/nowhere"):
                answer = team.ask(offered, "GET", path)
                problem(answer, 401, "unauthorized")
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                bodies.add(answer.get_data())
        for header in ({}, {"Authorization": good}, {"Authorization": f"Basic {good}"}):
            answer = team.http.get("/api/remote", headers=header)
            problem(answer, 401)
            bodies.add(answer.get_data())
        assert len(bodies) == 1
        assert team.ask(good, "GET", "/api/remote").status_code == 200
        problem(team.ask(good, "GET", "/nowhere"), 404)

    def test_a_token_is_shown_once_and_says_who_made_it(self, team: Team) -> None:
        answer = team.ask("ada", "POST", "/api/tokens", json={"name": "ci", "scope": "read", "days": 7})
        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "no-store"
        made = answer.json
        assert made["token"].startswith(f"fctl_{made['id']}_")
        listed = team.ask("ada", "GET", "/api/tokens").json["tokens"]
        assert {item["name"] for item in listed} == {"first", "ci"}
        assert made["token"] not in json.dumps(listed)
        assert next(item for item in listed if item["name"] == "ci")["made_with"] == team.known["ada"].split("_")[1]
        who = team.ask(made["token"], "GET", "/api/whoami").json
        assert (who["name"], who["scope"], who["token"]["id"]) == ("ada", "read", made["id"])
        told = json.dumps(team.log())
        assert made["id"] in told
        assert made["token"].rsplit("_", 1)[1] not in told

    def test_a_token_for_environments_makes_no_more_of_its_kind(self, team: Team) -> None:
        stolen = team.token("ada", Scope.ENVIRONMENTS)
        problem(team.ask(stolen, "POST", "/api/tokens", json={"name": "mine"}), 403, "forbidden")
        problem(team.ask(stolen, "GET", "/api/tokens"), 403, "forbidden")
        assert team.ask(stolen, "POST", "/api/remote", json=BODY).status_code == 202

    def test_one_revokes_ones_own_and_an_admin_everybodys(self, team: Team) -> None:
        of_ada = team.known["ada"].split("_")[1]
        problem(team.ask("bob", "DELETE", f"/api/tokens/{of_ada}"), 404, "not_found")
        problem(team.ask("bob", "DELETE", "/api/tokens/nobodys"), 404, "not_found")
        assert team.ask("ada", "GET", "/api/whoami").status_code == 200
        assert team.ask("root", "DELETE", f"/api/tokens/{of_ada}").json["good"] is False
        problem(team.ask("ada", "GET", "/api/whoami"), 401)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"name": ""},
            {"name": "x", "scope": "god"},
            {"name": "x", "days": 9999},
            {"name": "x\ny"},
            {"name": "x", "a": 1},
        ],
    )
    def test_bad_wishes(self, team: Team, body: dict[str, Any]) -> None:
        problem(team.ask("ada", "POST", "/api/tokens", json=body), 422)

    @pytest.mark.parametrize("name", ["", "Ada", "-x", "a b", "a\n", "a/b", "x" * 65, "../x"])
    def test_bad_names_of_users(self, team: Team, name: str) -> None:
        problem(team.ask("root", "POST", "/api/users", json={"name": name, "role": "member"}), 422)

    def test_environments_tokens_and_peoples_do_not_open_each_others_doors(self, team: Team) -> None:
        made = team.make("ada")
        other = team.make("bob")
        own = token_of(team.core, made["id"])
        problem(team.http.get("/api/remote", headers=own), 401, "unauthorized")
        beat = f"/api/remote/{made['id']}/heartbeat"
        assert team.http.post(beat, json={}, headers=own).status_code == 200
        problem(team.http.post(f"/api/remote/{other['id']}/heartbeat", json={}, headers=own), 401, "unauthorized")
        for who in ("ada", "root"):
            problem(team.ask(who, "POST", beat, json={}), 401, "unauthorized")


class TestFailures:
    def test_an_address_that_fails_too_often_waits_and_nobody_else_does(self, core: Core, started: Started) -> None:
        team = make_team(core, started)
        codes = [team.ask("wrong", "GET", "/api/remote").status_code for _turn in range(15)]
        assert codes == [401] * 10 + [429] * 5
        answer = team.ask("wrong", "GET", "/api/remote")
        problem(answer, 429, "too_many_failures")
        assert 1 <= int(answer.headers["Retry-After"]) <= 5
        assert team.ask("ada", "GET", "/api/remote").status_code == 200
        problem(team.http.post(f"/api/remote/{ULID}/heartbeat", json={}), 429, "too_many_failures")
        elsewhere = {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}
        assert team.ask("wrong", "GET", "/api/remote", **elsewhere).status_code == 401
        assert len(team.log(action="access.unauthorized")) == 11, "who is held up writes no more"

    def test_a_header_that_no_proxy_of_ours_wrote_gives_no_new_bucket(self, core: Core, started: Started) -> None:
        team = make_team(core, started)
        for number in range(12):
            answer = team.ask("wrong", "GET", "/", headers={"X-Forwarded-For": f"192.0.2.{number}"})
        problem(answer, 429)

    def test_refused_attempts_are_in_the_audit_log(self, team: Team) -> None:
        made = team.make("ada")
        headers = {"User-Agent": "curl/8"}
        team.ask("fctl_wrong", "GET", "/api/remote", headers=headers)
        team.ask("bob", "POST", f"/api/remote/{made['id']}/terminate", json={}, headers=headers)
        rows = team.log(outcome="refused")
        assert [(row["actor"], row["action"], row["object"]) for row in rows] == [
            ("bob", "access.forbidden", f"POST /api/remote/{made['id']}/terminate"),
            ("-", "access.unauthorized", "GET /api/remote"),
        ]
        assert {(row["address"], row["user_agent"]) for row in rows} == {("127.0.0.1", "curl/8")}
        assert rows[0]["token_id"] == team.known["bob"].split("_")[1]
        assert "fctl_wrong" not in json.dumps(rows)

    def test_behind_a_proxy_the_log_has_the_callers_address(
        self, core: Core, started: Started, clock: HandClock
    ) -> None:
        team = make_team(core, started, settings=replace(SMALL, trusted_proxies="127.0.0.1"))
        made = team.ask("ada", "POST", "/api/remote", json=BODY, headers={"X-Forwarded-For": "6.6.6.6, 192.0.2.9"}).json
        assert [row["address"] for row in team.log(object=made["id"], actor="ada")][-1] == "192.0.2.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "found"),
    [
        ("192.0.2.1", "", "", "192.0.2.1"),
        ("192.0.2.1", "6.6.6.6", "", "192.0.2.1"),
        ("127.0.0.1", "6.6.6.6, 192.0.2.1", "127.0.0.1", "192.0.2.1"),
        ("127.0.0.1", "6.6.6.6, 192.0.2.1, 10.1.2.3", "127.0.0.1, 10.0.0.0/8", "192.0.2.1"),
        ("127.0.0.1", "nonsense", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "6.6.6.6, nonsense", "127.0.0.1", "127.0.0.1"),
        ("", "192.0.2.1", "127.0.0.1", ""),
        ("", "192.0.2.1", "unix", "192.0.2.1"),
        ("::1", "2001:db8::1", "::1", "2001:db8::1"),
    ],
)
def test_the_nearest_hop_that_is_not_ours_is_the_caller(peer: str, forwarded: str, proxies: str, found: str) -> None:
    assert client_address(peer, forwarded, proxies) == found


def test_a_proxy_that_is_no_address_is_one_line_before_anything_is_served() -> None:
    with pytest.raises(UsageError, match=r"control_plane\.trusted_proxies: 'everybody'"):
        check_proxies("127.0.0.1 everybody")


def test_who_has_a_whole_network_is_counted_once() -> None:
    assert subscriber("2001:db8::1") == subscriber("2001:db8::ffff:1") != subscriber("2001:db8:0:1::1")
    assert subscriber("192.0.2.1") != subscriber("192.0.2.2")
    assert subscriber("") == ""
