# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads about how long an environment lives: in `ls`, `status`, `why` and `reap`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fuelctl.cli import ls, reap, status, why

AT = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)


def ago(minutes: float) -> str:
    return (AT - timedelta(minutes=minutes)).isoformat()


def environment(**changes: Any) -> dict[str, Any]:
    """Something was typed ten minutes ago; silence ends it in twenty, its TTL in seven hours."""
    activity = {
        "last_at": ago(10),
        "last": {"terminal": ago(10), "processor": ago(31)},
        "observed_at": ago(0.5),
        "quiet_seconds": 570.0,
        "kept": None,
        "ends_at": ago(-20),
        "ends_by": "idle",
    }
    return {
        "id": "01JD3Z5Q8W6S9X4V7T2R1P0N8M",
        "name": "api",
        "status": "active",
        "lease": {"ttl_seconds": 28800, "idle_seconds": 1800, "expires_at": ago(-420)},
        "created_at": ago(60),
        "activity": {**activity, **changes},
    }


def test_status_says_what_comes_first() -> None:
    shown = "\n".join(status.lines(environment(), AT))
    assert "Idle:       10m of 30m" in shown
    assert "Ends:       in 20m if nothing happens in it any more" in shown
    shown = "\n".join(status.lines(environment(ends_by="ttl", ends_at=ago(-420)), AT))
    assert "Ends:       in 7h, by its TTL" in shown


def test_status_says_when_silence_stops_it_and_what_ends_it() -> None:
    item = environment(ends_by="ttl", ends_at=ago(-420), stops_at=ago(-20))
    assert "Ends:       in 7h, by its TTL; stopped in 20m if nothing happens in it" in "\n".join(status.lines(item, AT))
    assert "10m of 30m" in ls.row(item, AT)
    suspended = {"type": "stopped", "message": "", "details": {"state": "suspended"}}
    assert "active (suspended)" in ls.row({**item, "conditions": [suspended]}, AT)


def test_ls_shows_silence_against_its_limit_where_that_comes_first() -> None:
    assert "10m of 30m" in ls.row(environment(), AT)
    assert "10m" in ls.row(environment(ends_by="ttl"), AT)
    nothing_known = {**environment(), "activity": None}
    assert ls.row(nothing_known, AT)[10] == "-"


@pytest.mark.parametrize(
    ("changes", "left", "words"),
    [
        ({"ends_at": ago(-4)}, 420, "api ends in 4m: nothing happens in it. Keep it: fuelctl extend api 2h"),
        ({"ends_by": "ttl"}, 4, "api ends in 4m: its time to live is over. Keep it: fuelctl extend api 2h"),
        ({}, 420, ""),
        ({"ends_by": "ttl"}, 420, ""),
    ],
)
def test_ls_warns_of_an_end_that_is_near(
    capsys: pytest.CaptureFixture[str], changes: dict[str, Any], left: int, words: str
) -> None:
    item = environment(**changes)
    item["lease"]["expires_at"] = ago(-left)
    ls.warn_of_end(item, AT)
    assert capsys.readouterr().err.strip() == words


DECISION: dict[str, Any] = {
    "action": "end",
    "reason": "idle",
    "check_in": 60.0,
    "inputs": {"seconds_left": 25200.0, "idle_limit": 1800.0, "quiet": 1800.0, "observed_ago": 1.0},
    "at": ago(3),
    "agrees": True,
    "replayed": {"action": "end", "reason": "idle"},
}


def test_why_tells_of_a_live_one_what_was_seen_and_what_ends_it() -> None:
    now = {**DECISION, "action": "keep", "reason": "within its lease"}
    found = {
        **environment(),
        "ended_by": None,
        "now": {key: now[key] for key in ("action", "reason", "check_in", "inputs")},
        "ending": None,
        "ends": [{"by": "idle", "in_seconds": 1200.0}, {"by": "ttl", "in_seconds": 25200.0}],
    }
    shown = why.lines(found, AT)
    assert shown[0] == "api is active."
    assert "Decision    it is kept: within its lease" in shown
    assert "Last        10m ago: something was typed" in shown
    assert "            31m ago: processes were at work" in shown
    assert "Ends in     20m by idle, if nothing happens any more" in shown
    assert "Else in     7h by ttl, whatever happens" in shown


def test_why_tells_of_an_ended_one_what_was_decided_and_whether_it_still_would_be() -> None:
    ended = {**environment(), "status": "terminated", "ended_by": "idle", "now": None, "ends": [], "ending": DECISION}
    shown = "\n".join(why.lines(ended, AT))
    assert "api is terminated, by idle." in shown
    assert "it is ended: idle" in shown
    assert "comes out the same" in shown
    other = {**DECISION, "agrees": False, "replayed": {"action": "keep", "reason": "\x1b[2Jwithin its lease"}}
    shown = "\n".join(why.lines({**ended, "ending": other}, AT))
    assert "comes out as keep: " in shown
    assert "\x1b" not in shown
    assert "not the reaper" in "\n".join(why.lines({**ended, "ending": None, "ended_by": "user"}, AT))


def test_reap_lists_the_soonest_end_first_as_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"id": "01JD", "name": "api", "status": "active", "action": "keep", "reason": "within its lease"}
    found = {
        "reaper": {"last_cycle_at": ago(1)},
        "environments": [{**entry, "ends": [{"by": "idle", "in_seconds": 1200.0}]}, {**entry, "ends": []}],
    }
    heading, first, second = reap.lines(found, AT)
    assert heading.split()[:3] == ["ID", "NAME", "STATUS"]
    assert first.split()[-2:] == ["20m", "idle"]
    assert second.split()[-2:] == ["-", "-"]
    assert "1m ago" in capsys.readouterr().err
    assert reap.lines({"environments": []}, AT) == ["No active environments."]
