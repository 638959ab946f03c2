# SPDX-License-Identifier: GPL-3.0-or-later
"""The list over HTTP: pages that neither repeat nor leave out, filters, and what one environment tells of its life."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from fuelctl.environments import registry
from fuelctl.environments.core import Core
from fuelctl.environments.journal import Journal
from fuelctl.store import environments
from fuelctl.store.database import Database
from fuelctl.store.events import NewEvent
from tests.fuelctl.api import make, problem, ready, token_of
from tests.fuelctl.control import HandClock
from tests.fuelctl.databases import KINDS, of_kind


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from of_kind(request)


def end(core: Core, environment_id: str, status: str = "terminated") -> None:
    """As a workflow ends it."""
    _row, operation_id = registry.begin_termination(core, environment_id, discard=True, by="user")
    assert operation_id is not None
    Journal.open(core, environment_id, operation_id).terminated({"complete": True, "resources": []})


def pages(http: FlaskClient, **query: Any) -> Iterator[list[str]]:
    cursor = None
    while True:
        asked = query | ({"cursor": cursor} if cursor else {})
        answer = http.get("/api/remote", query_string=asked)
        assert answer.status_code == 200, answer.json
        yield [item["id"] for item in answer.json["environments"]]
        cursor = answer.json["cursor"]
        if cursor is None:
            return


def listed(http: FlaskClient, **query: Any) -> list[str]:
    return [one for page in pages(http, **query) for one in page]


def test_pages_are_stable_while_others_come_and_go(http: FlaskClient, core: Core, clock: HandClock) -> None:
    old = []
    for number in range(25):
        old.append(make(http)["id"])
        # Some in the same moment, some apart.
        clock.pass_(number % 3)
    newest_first = sorted(old, reverse=True, key=lambda one: (http.get(f"/api/remote/{one}").json["created_at"], one))
    assert listed(http) == newest_first
    assert listed(http, limit=1) == newest_first
    seen: list[str] = []
    for page in pages(http, limit=4):
        assert len(page) <= 4
        seen += page
        # A new one in front of every page; and one that was shown already goes.
        make(http)
        if len(seen) == 8:
            end(core, seen[0])
    assert seen == newest_first
    assert len(listed(http)) == 25 + 7 - 1
    assert len(listed(http, include_terminated=True, limit=3)) == 25 + 7


def test_the_last_page_says_that_it_is(http: FlaskClient) -> None:
    for _turn in range(4):
        make(http)
    assert [len(page) for page in pages(http, limit=2)] == [2, 2]
    assert [len(page) for page in pages(http, limit=4)] == [4]
    assert [len(page) for page in pages(http, limit=3)] == [3, 1]


@pytest.mark.parametrize(
    "cursor", ["x", "====", "MCAw", "bmFuIDAxSFpaWlpaWlpaWlpaWlpaWlpaWlpaWlo=", "a" * 200, "é", ""]
)
def test_a_cursor_that_is_none_is_refused(http: FlaskClient, cursor: str) -> None:
    problem(http.get("/api/remote", query_string={"cursor": cursor}), 422)
    problem(http.get("/api/remote?limit=0"), 422)
    problem(http.get("/api/remote?limit=1001"), 422)


def test_filters(http: FlaskClient, core: Core) -> None:
    shop = {"name": "shop", "url": "git@github.com:Acme/Shop.git"}
    again = {"name": "shop", "url": "https://token@github.com/Acme/Shop/"}
    inner = {**shop, "folder": "services/api"}
    one, two, three = (make(http, repository=each)["id"] for each in (shop, again, inner))
    other = make(http, repository={"name": "shop", "url": "/home/me/shop"})
    assert other["workspace_id"] is None
    ready(core, two)
    end(core, one)
    [place, deeper] = sorted(http.get("/api/workspaces").json["workspaces"], key=lambda each: str(each["folder"]))
    assert (place["url"], place["folder"], place["name"], place["live"]) == ("github.com/Acme/Shop", "", "Shop", 1)
    assert (deeper["folder"], deeper["name"], deeper["live"]) == ("services/api", "Shop/services/api", 1)
    assert http.get(f"/api/remote/{three}").json["workspace_id"] == deeper["id"]
    assert set(listed(http, workspace=place["id"])) == {two}
    assert set(listed(http, workspace=place["id"], include_terminated=True)) == {one, two}
    assert set(listed(http, workspace="ssh://git@github.com:22/Acme/Shop")) == {two, three}
    assert set(listed(http, workspace="Shop")) == {two}
    assert listed(http, workspace="nobody's") == []
    assert listed(http, status="ready") == [two]
    assert set(listed(http, status="ready,terminated", limit=1)) == {one, two}
    assert listed(http, status="terminated", workspace=place["id"]) == [one]
    assert listed(http, owner="nobody") == []
    assert listed(http, owner=other["owner"], status="provisioning,ready,terminated") == sorted(
        [one, two, three, other["id"]], reverse=True
    )
    problem(http.get("/api/remote?status=nonsense"), 422, "invalid_status")


def test_an_environments_life_is_told(http: FlaskClient, core: Core, clock: HandClock) -> None:
    made = make(http)["id"]
    clock.pass_(2)
    operation_id = registry.begin_provisioning(core, made)
    assert operation_id is not None
    journal = Journal.open(core, made, operation_id)
    for state, seconds in (("start", None), ("ok", 3.5)):
        data = {"stage": "container", "state": state, "seconds": seconds, "message": ""}
        journal.log([NewEvent("remote.stage", data, clock.wall)])
        clock.pass_(3.5)
    results = {"conditions": [], "connection": {"container": "c"}, "agent": None, "provider": {}, "resources": []}
    assert http.get(f"/api/remote/{made}").json["device"] is None
    journal.ready(results)
    shown = http.get(f"/api/remote/{made}").json
    assert [(step["kind"], step["name"], step["state"], step["seconds"]) for step in shown["timeline"]] == [
        ("status", "provisioning", None, None),
        ("stage", "container", "start", None),
        ("stage", "container", "ok", 3.5),
        ("status", "ready", None, None),
    ]
    assert [step["at"] for step in shown["timeline"]] == sorted(step["at"] for step in shown["timeline"])
    assert shown["timeline"][-1]["at"] == shown["ready_at"]
    device = shown["device"]
    assert (device["kind"], device["status"], device["environment_id"]) == ("environment", "active", made)
    assert "timeline" not in http.get("/api/remote").json["environments"][0]
    end(core, made)
    shown = http.get(f"/api/remote/{made}").json
    assert shown["device"] == {**device, "status": "terminated", "terminated_at": shown["terminated_at"]}
    assert [step["name"] for step in shown["timeline"]][-2:] == ["terminating", "terminated"]
    assert http.get("/api/devices").json["devices"] == []
    assert http.get("/api/devices?include_terminated=true").json["devices"] == [shown["device"]]


def test_a_life_whose_log_was_forgotten_is_told_by_its_row(http: FlaskClient, core: Core) -> None:
    from fuelctl.store import events

    made = make(http)["id"]
    ready(core, made)
    end(core, made)
    with core.database.write() as session:
        events.forget(session, made)
    names = [step["name"] for step in http.get(f"/api/remote/{made}").json["timeline"]]
    assert names == ["provisioning", "ready", "terminated"]


def test_a_failed_start_has_no_device(http: FlaskClient, core: Core) -> None:
    made = make(http)["id"]
    operation_id = registry.begin_provisioning(core, made)
    assert operation_id is not None
    Journal.open(core, made, operation_id).failed({"message": "no"}, {"complete": True, "resources": []})
    assert http.get(f"/api/remote/{made}").json["device"] is None


class TestWorkspaces:
    def test_one_place_is_made_once(self, http: FlaskClient) -> None:
        first = http.post(
            "/api/workspaces", json={"url": "https://u:secret@Example.org:443/a/b.git", "folder": "x/../y/"}
        )
        assert first.status_code == 201
        assert (first.json["url"], first.json["folder"]) == ("example.org/a/b", "y")
        again = http.post("/api/workspaces", json={"url": "git@example.org:a/b", "folder": "y"})
        assert (again.status_code, again.json) == (200, first.json)
        assert "secret" not in str(http.get("/api/workspaces").json) + str(http.get("/api/audit-log").json)

    @pytest.mark.parametrize(
        "url", ["/home/me/x", "file:///x", "x", "https://", "https:///x", "a:\nb", "ext::sh -c x", "h:..", "h:"]
    )
    def test_what_is_no_address_for_others_is_refused(self, http: FlaskClient, url: str) -> None:
        problem(http.post("/api/workspaces", json={"url": url}), 422)

    def test_a_folder_stays_in_its_repository(self, http: FlaskClient) -> None:
        problem(http.post("/api/workspaces", json={"url": "h:r", "folder": "../x"}), 422)
        problem(http.post("/api/remote", json={
            "provider": {"name": "local"}, "blueprint": {"image": "x"},
            "repository": {"name": "a", "url": "h:r", "folder": "a/../../x"},
        }), 422)  # fmt: skip

    def test_pages(self, http: FlaskClient, clock: HandClock) -> None:
        for number in range(5):
            http.post("/api/workspaces", json={"url": f"h:r{number}"})
            clock.pass_(1)
        first = http.get("/api/workspaces?limit=3").json
        second = http.get("/api/workspaces", query_string={"limit": 3, "cursor": first["cursor"]}).json
        names = [row["name"] for row in first["workspaces"] + second["workspaces"]]
        assert names == ["r4", "r3", "r2", "r1", "r0"]
        assert second["cursor"] is None


def test_whoever_ends_by_its_own_token_is_found_no_more(http: FlaskClient, core: Core) -> None:
    made = make(http)["id"]
    mine = token_of(core, made)
    assert http.post("/api/events", json={"events": []}, headers=mine).json == {"accepted": 0}
    with core.write() as session:
        environments.change(session, made, status="terminated", ended_at=1.0)
    problem(http.post("/api/events", json={"events": []}, headers=mine), 401, "unauthorized")
