# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server says of itself: whether it can work, its figures, and its log."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from fuelctl import _server_log, paths
from fuelctl._shared._errors import FuelError
from fuelctl.accounts.roles import Role
from fuelctl.accounts.tokens import PREFIX
from fuelctl.cli import _reaper
from fuelctl.config import load
from fuelctl.environments import reaping
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core
from fuelctl.server import metrics
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store import environments
from fuelctl.store.ulids import new_ulid, time_of
from tests.fuelctl.accounts import Team
from tests.fuelctl.accounts import team as make_team
from tests.fuelctl.api import SMALL, Started, make, ready, token_of
from tests.fuelctl.control import HandClock

CANARY = "canary-4711-never-show"


def went_round(core: Core, **counts: int) -> None:
    """The reaper's report of this moment."""
    known = {"checked": 0, "ended": 0, "failed": 0, **counts}
    reaping.report(core, rfc3339(core.clock().wall), 0.01, 0, known)


def figures(content: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample: (name, sorted labels) -> value."""
    families = text_string_to_metric_families(content)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for each in families for one in each.samples}


class TestReady:
    def test_a_dead_reaper_is_seen(self, http: FlaskClient, core: Core, clock: HandClock, started: Started) -> None:
        assert http.get("/readyz").status_code == 200, "it has just begun"
        http = create_app(Parts(core, started, SMALL, began=float("-inf"))).test_client()
        assert http.get("/readyz").status_code == 503, "it should have gone round by now"
        went_round(core, checked=3)
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json["reaper"]["late"]) == (200, False)
        clock.pass_(3 * SMALL.reaper_seconds + 1)
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json["status"]) == (503, "unavailable")
        assert (answer.json["reaper"]["late"], answer.json["reaper"]["checked"]) == (True, 3)
        assert answer.json["reaper"]["age_seconds"] == pytest.approx(181, abs=0.01)
        assert http.get("/api/remote").json["reaper"]["late"] is True
        assert http.get("/healthz").status_code == 200, "it lives all the same"

    def test_a_full_disk_and_another_schema_are_seen(
        self, http: FlaskClient, core: Core, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(paths, "disk_full", lambda: FuelError("full"))
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json["disk"], answer.json["database"]) == (503, False, True)
        monkeypatch.undo()
        with core.database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json["migrated"]) == (503, False)

    def test_people_are_told_loudly(self, capsys: pytest.CaptureFixture[str]) -> None:
        at = "2026-01-01T00:00:00.000Z"
        _reaper.warn_of_reaper({"last_cycle_at": at, "age_seconds": 240.0, "late": True})
        told = capsys.readouterr().err
        assert told.startswith("The reaper last ran 4m")
        assert "nothing ends in time" in told
        for quiet in ({"last_cycle_at": at, "age_seconds": 240.0, "late": False}, {"last_cycle_at": None}, None):
            _reaper.warn_of_reaper(quiet)
        for enough in (None, 1, 20):
            _reaper.warn_of_workers(enough)
        assert capsys.readouterr().err == ""
        _reaper.warn_of_workers(0)
        assert capsys.readouterr().err.startswith("No worker is there: what is asked for waits.")


class TestMetrics:
    def test_figures_of_what_there_is(self, http: FlaskClient, core: Core, clock: HandClock) -> None:
        made = make(http)
        with core.write() as session:
            one = new_ulid(clock.wall - 90)
            environments.change(session, made["id"], operation="provision", operation_id=one, retries=2)
        make(http, source={"sha256": "0" * 64, "size": 3})
        went_round(core, checked=5, ended=2, failed=1)
        went_round(core, checked=5, ended=1)
        clock.pass_(7)
        answer = http.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain")
        found = figures(answer.get_data(as_text=True))
        expected = {
            ("fuelctl_environments", (("status", "provisioning"),)): 2,
            ("fuelctl_operations", (("operation", "provision"),)): 1,
            ("fuelctl_endings_retried", ()): 1,
            ("fuelctl_reaper_cycles_total", ()): 2,
            ("fuelctl_reaper_ended_total", ()): 3,
            ("fuelctl_reaper_failed_total", ()): 1,
            ("fuelctl_reaper_late", ()): 0,
            ("fuelctl_database_up", ()): 1,
        }
        assert {name: found[name] for name in expected} == expected
        assert found["fuelctl_oldest_operation_age_seconds", ()] == pytest.approx(97, abs=0.1)
        assert found["fuelctl_reaper_cycle_age_seconds", ()] == pytest.approx(7, abs=0.1)
        assert found["fuelctl_events_taken_in_total", ()] >= 1

    def test_labels_do_not_grow_with_what_strangers_ask_for(self, http: FlaskClient) -> None:
        def routes() -> set[str]:
            found = figures(http.get("/metrics").get_data(as_text=True))
            named = {dict(labels)["route"] for name, labels in found if name == "fuelctl_http_requests_total"}
            assert {dict(labels)["method"] for name, labels in found if "method" in dict(labels)} <= {
                *metrics._KNOWN_METHODS,
                "other",
            }
            return named

        before = routes() | {"-", "/api/remote/<ref>"}
        for number in range(50):
            http.get(f"/nowhere/{number}")
            http.get(f"/api/remote/name-{number}")
            http.open("/healthz", method=f"M{number}")
        assert routes() <= before | {"/healthz", "/metrics"}

    def test_who_may_read_them(self, core: Core, started: Started) -> None:
        team = make_team(core, started)
        assert team.http.get("/metrics").status_code == 401
        team.add("eye", Role.VIEWER)
        assert team.ask("eye", "GET", "/metrics").status_code == 200
        opened = create_app(Parts(core, started, replace(SMALL, metrics_open=True), embedded=False))
        told = opened.test_client().get("/metrics").get_data(as_text=True)
        assert "fuelctl_database_up 1.0" in told
        for name in ("ada", "root", "eye"):
            assert name not in re.split(r"\W", told)

    def test_settings_are_words(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FUELCTL_METRICS_OPEN", "true")
        monkeypatch.setenv("FUELCTL_LOG_FORMAT", "text")
        assert (load().metrics_open, load().log_format) == (True, "text")
        for name, value in (("METRICS_OPEN", "maybe"), ("LOG_FORMAT", "xml")):
            monkeypatch.setenv(f"FUELCTL_{name}", value)
            with pytest.raises(FuelError, match=name.lower()):
                load()
            monkeypatch.delenv(f"FUELCTL_{name}")


def test_an_operations_id_says_when_it_was_asked_for() -> None:
    assert time_of(new_ulid(1_800_000_000.25)) == 1_800_000_000.25


class TestLog:
    @pytest.fixture
    def lines(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """What is logged, as JSON."""
        told: list[dict[str, Any]] = []

        class Keep(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                told.append(json.loads(self.format(record)))

        handler = Keep()
        handler.setFormatter(_server_log.Json(part="web"))
        logger = logging.getLogger("fuelctl")
        logger.addHandler(handler)
        before = logger.level
        logger.setLevel(logging.INFO)
        yield told
        logger.setLevel(before)
        logger.removeHandler(handler)

    def test_lines_name_the_machine_once_it_is_known(self, team: Team, lines: list[dict[str, Any]]) -> None:
        made = team.make("ada", name="api")

        def line() -> dict[str, Any]:
            lines.clear()
            team.ask("ada", "GET", "/api/remote/api")
            return next(each for each in lines if each["logger"] == "fuelctl.access")

        assert (line()["environment"], "instance" in line()) == (made["id"], False), (
            "also where it is asked for by name"
        )
        ready(team.core, made["id"])
        assert line()["instance"] == "c"
        with team.core.write() as session:
            row = environments.get(session, made["id"])
            assert row is not None
            machines = {"i-new": {"begun": 200.0}, "i-old": {"begun": 100.0}}
            environments.change(session, row.id, provider={**row.provider, "machines": machines})
        assert line()["instance"] == "i-new"
        lines.clear()
        team.ask("bob", "POST", f"/api/remote/{made['id']}/terminate", json={})
        [refused] = [each for each in lines if each["logger"] == "fuelctl.access"]
        assert (refused["status"], refused["instance"]) == (403, "i-new")

    def test_a_line_for_each_request_without_any_secret(self, team: Team, lines: list[dict[str, Any]]) -> None:
        made = team.make("ada", secrets={"KEY": CANARY})
        lines.clear()
        answer = team.ask("ada", "GET", f"/api/remote/{made['id']}?observe=false")
        [line] = [each for each in lines if each["logger"] == "fuelctl.access"]
        assert line["request"] == answer.headers["X-Request-ID"]
        expected = {
            "level": "info", "message": "GET /api/remote/<ref> 200", "method": "GET", "route": "/api/remote/<ref>",
            "status": 200, "actor": "ada", "environment": made["id"], "part": "web",
        }  # fmt: skip
        assert {name: line[name] for name in expected} == expected
        assert line["seconds"] >= 0
        assert line["time"].endswith("Z")
        team.http.get("/api/remote", headers={"Authorization": f"Bearer {CANARY}"})
        assert lines[-1]["status"] == 401
        assert lines[-1]["actor"] == "-"
        told = json.dumps(lines)
        assert CANARY not in told
        assert team.known["ada"] not in told

    def test_a_heart_that_beats_is_counted_and_not_told_of(self, team: Team, lines: list[dict[str, Any]]) -> None:
        made = team.make("ada")
        path = f"/api/remote/{made['id']}/heartbeat"
        lines.clear()
        for headers, status in ((token_of(team.core, made["id"]), 200), ({"Authorization": "Bearer wrong"}, 401)):
            assert team.http.post(path, json={}, headers=headers).status_code == status
        assert [line["status"] for line in lines if line["logger"] == "fuelctl.access"] == [401]

    def test_a_request_keeps_the_id_it_came_with_when_that_is_sane(self, http: FlaskClient) -> None:
        def given(offered: str) -> str:
            return str(http.get("/healthz", headers={"X-Request-ID": offered}).headers["X-Request-ID"])

        assert given("a1.B-2_c") == "a1.B-2_c"
        for bad in ("", "a" * 65, "a b", 'a"b', "{}", "é"):
            assert re.fullmatch(r"[0-9A-Z]{26}", given(bad)), bad

    def test_what_is_said_in_the_course_of_something_says_so(self, lines: list[dict[str, Any]]) -> None:
        logger = logging.getLogger("fuelctl.test")
        with _server_log.saying(environment="E", request="R"):
            logger.info("got %s", f"Bearer {CANARY}")
            with _server_log.saying(request="S"):
                logger.warning("x", extra={"stage": "setup"})
        try:
            raise ValueError(f"{PREFIX}k3v7q2mzxa_{CANARY}")
        except ValueError:
            logger.exception("over")
        first, second, third = lines
        assert (first["environment"], first["request"]) == ("E", "R")
        assert (second["environment"], second["request"], second["stage"]) == ("E", "S", "setup")
        assert "environment" not in third
        assert "ValueError" in third["exception"]
        assert CANARY not in json.dumps(lines)
