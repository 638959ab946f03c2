# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's policy for leases: what it grants, and what it says of what it does not."""

from __future__ import annotations

from math import inf

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from fuelctl.config import Settings
from fuelctl.environments.core import Core
from fuelctl.environments.policy import Granted, Policy, grant, words
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from tests.fuelctl.api import BODY, Started, problem, ready
from tests.fuelctl.control import HandClock

STRICT = Settings(default_ttl_seconds=1800, max_ttl_seconds=7200, max_idle_seconds=600)


@pytest.mark.parametrize(
    ("policy", "ttl", "idle", "expected"),
    [
        (Policy(), 60, 30, Granted(60, 30)),
        (Policy(), None, None, Granted(8 * 3600, None)),
        (Policy(default_ttl=100), None, None, Granted(100, None)),
        (Policy(default_ttl=100, max_ttl=50), None, None, Granted(50, None)),
        (
            Policy(max_ttl=3600),
            7200,
            None,
            Granted(3600, None, ["it lives for 1h, not 2h: no more is allowed on this server"]),
        ),
        (
            Policy(max_idle=600),
            60,
            None,
            Granted(
                60,
                600,
                ["it ends when nothing happened in it for 10 min, not without a limit: so it is on this server"],
            ),
        ),
        (
            Policy(max_idle=600),
            60,
            601,
            Granted(
                60,
                600,
                ["it ends when nothing happened in it for 10 min, not after 10 min 1s: so it is on this server"],
            ),
        ),
        (Policy(max_idle=600), 60, 600, Granted(60, 600)),
    ],
)
def test_what_is_granted(policy: Policy, ttl: int | None, idle: int | None, expected: Granted) -> None:
    assert grant(policy, ttl, idle) == expected


@given(
    ttl=st.none() | st.integers(1, 10**9),
    idle=st.none() | st.integers(1, 10**9),
    most=st.integers(1, 10**8),
    silent=st.just(inf) | st.integers(1, 10**8),
)
def test_nothing_goes_beyond_it_and_nothing_is_cut_in_silence(
    ttl: int | None, idle: int | None, most: int, silent: float
) -> None:
    found = grant(Policy(max_ttl=most, max_idle=silent), ttl, idle)
    assert 1 <= found.ttl_seconds <= most
    assert (found.idle_seconds or 0) <= silent
    cut = (ttl is not None and found.ttl_seconds != ttl) + (found.idle_seconds != idle)
    assert len(found.warnings) == cut


@pytest.mark.parametrize(
    ("seconds", "expected"), [(1, "1s"), (61, "1 min 1s"), (3600, "1h"), (90061, "1d 1h"), (0, "0s")]
)
def test_words(seconds: float, expected: str) -> None:
    assert words(seconds) == expected


@pytest.fixture
def strict(core: Core, started: Started) -> FlaskClient:
    return create_app(Parts(core, started, STRICT)).test_client()


def test_what_is_cut_is_told_in_the_answer(strict: FlaskClient) -> None:
    made = strict.post("/api/remote", json={**BODY, "ttl_seconds": 86400})
    assert made.status_code == 202
    assert made.json["lease"]["ttl_seconds"] == 7200
    assert made.json["lease"]["idle_seconds"] == 600
    assert len(made.json["warnings"]) == 2
    silent = strict.post(
        "/api/remote", json={key: BODY[key] for key in BODY if key != "ttl_seconds"} | {"idle_seconds": 5}
    )
    assert (silent.json["lease"]["ttl_seconds"], silent.json["warnings"]) == (1800, [])


def test_it_is_extended_up_to_the_cap_and_no_further(strict: FlaskClient, core: Core, clock: HandClock) -> None:
    made = strict.post("/api/remote", json={**BODY, "ttl_seconds": 3600}).json
    ready(core, made["id"])
    path = f"/api/remote/{made['id']}/extend"
    clock.pass_(1800)
    part = strict.post(path, json={"ttl_seconds": 3600}).json
    assert (part["lease"]["ttl_seconds"], part["warnings"]) == (5400, [])
    most = strict.post(path, json={"ttl_seconds": 7200}).json
    assert most["lease"]["ttl_seconds"] == 7200
    assert most["warnings"] == ["it ends before that: nothing lives longer than 2h in all on this server"]
    problem(strict.post(path, json={"ttl_seconds": 7200}), 409, "at_the_limit")
    assert strict.post(path, json={"ttl_seconds": 60}).json["lease"] == most["lease"], "what it has, it may ask for"
    clock.pass_(60)
    problem(strict.post(path, json={"ttl_seconds": 7200}), 409, "at_the_limit")
    assert strict.get(f"/api/remote/{made['id']}").json["lease"] == most["lease"]
