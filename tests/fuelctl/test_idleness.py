# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as work and what does not, from samples as machines give them; and whose clock may be how wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuelctl.environments.clock import Now
from fuelctl.environments.idleness import (
    OPEN_TURN,
    Activity,
    fresh_for,
    heard,
    kept,
    observed,
    read,
    shown,
    since,
    touched,
)

PERIOD = 60.0


class Machine:
    """A machine and a control plane that looks into it; each with a clock of its own."""

    def __init__(self, skew: float = 0.0) -> None:
        self.now = Now(1.8e9, "boot", 5e3)
        self.sample: dict[str, Any] = {
            "clock": int(1.8e9 + skew),
            "uptime": 100.0,
            "boot": "theirs",
            "cpu": 1.0,
            "terminals": {},
            "connections": {},
            "agents": 0,
        }
        self.known = Activity()
        self.look()

    def pass_(self, seconds: float, cpu_share: float = 0.0) -> None:
        self.now = Now(self.now.wall + seconds, self.now.boot_id, self.now.boottime + seconds)
        self.sample["clock"] += int(seconds)
        self.sample["uptime"] += seconds
        self.sample["cpu"] += seconds * cpu_share

    def look(self, told_at: float | None = None) -> Activity:
        self.known = observed(
            self.known,
            {**self.sample, "terminals": {**self.sample["terminals"]}, "connections": {**self.sample["connections"]}},
            told_at,
            self.now,
            PERIOD,
        )
        return self.known  # fmt: skip

    def hear(self, *types: str, session: str = "one") -> None:
        """The agent's hooks, a second apart, the last one now."""
        told = [(type_, {"session": session}, self.sample["clock"] - len(types) + turn + 1.0)
                for turn, type_ in enumerate(types)]  # fmt: skip
        self.known = heard(self.known, told)

    def minutes(self, count: int, cpu_share: float = 0.0) -> Activity:
        for _turn in range(count):
            self.pass_(60, cpu_share)
            self.look()
        return self.known


def test_silence_adds_up() -> None:
    machine = Machine()
    assert machine.minutes(30).quiet == 1800
    assert machine.known.last == {}


@pytest.mark.parametrize(("share", "busy"), [(0.0035, False), (0.015, False), (0.044, True), (1.0, True), (8.0, True)])
def test_processes_at_work_count_and_noise_does_not(share: float, busy: bool) -> None:
    known = Machine().minutes(30, share)
    assert (known.quiet == 0, "processor" in known.last) == (busy, busy)


def test_work_adds_up_over_looks_that_follow_closely() -> None:
    machine = Machine()
    # `watch fuelctl ls` has it looked into every five seconds.
    for _turn in range(12):
        machine.pass_(5, 0.1)
        machine.look()
    assert machine.known.quiet <= 15
    assert "processor" in machine.known.last


def test_input_counts_from_its_time_and_an_open_terminal_does_not() -> None:
    machine = Machine()
    machine.minutes(10)
    machine.pass_(60)
    machine.sample["terminals"] = {"0": machine.sample["clock"] - 40}
    assert machine.look().quiet == 40
    assert machine.minutes(10).quiet == 640, "the terminal is still open, and nobody types"
    machine.sample["terminals"] = {}
    assert machine.minutes(1).quiet == 700, "closing it is no work either"


def test_an_editor_counts_and_a_connection_that_is_kept_alive_does_not() -> None:
    machine = Machine()
    machine.sample["connections"] = {"81": 5000}
    assert machine.minutes(1).quiet == 60, "opening one is not work"
    for per_minute, quiet in ((1, 120), (40, 180), (60, 240), (200, 0)):
        machine.sample["connections"] = {"81": machine.sample["connections"]["81"] + per_minute}
        assert machine.minutes(1).quiet == quiet
    assert "connection" in machine.known.last


def test_an_agents_event_counts_from_its_time() -> None:
    machine = Machine(skew=-7200)
    machine.minutes(5)
    machine.pass_(60)
    assert machine.look(told_at=machine.sample["clock"] - 12).quiet == 12
    assert machine.known.last["agent"] == machine.now.wall - 12


@given(st.integers(-(10**8), 10**8), st.integers(0, 59))
def test_it_does_not_matter_what_the_machines_clock_says(skew: int, ago: int) -> None:
    machine = Machine(skew)
    machine.minutes(3)
    machine.pass_(60)
    machine.sample["terminals"] = {"3": machine.sample["clock"] - ago}
    assert machine.look().quiet == ago
    assert machine.minutes(2).quiet == ago + 120


@given(st.floats(-1e7, 1e7), st.integers(-(10**7), 10**7))
def test_setting_clocks_neither_adds_nor_takes_silence(ours: float, theirs: int) -> None:
    machine = Machine()
    machine.sample["terminals"] = {"3": machine.sample["clock"]}
    machine.minutes(3)
    machine.now = Now(machine.now.wall + ours, machine.now.boot_id, machine.now.boottime)
    machine.sample["clock"] += theirs
    before = machine.known.quiet
    machine.pass_(60)
    assert machine.look().quiet == pytest.approx(before + 60)


@given(st.floats(0, 1e7))
def test_time_in_which_nobody_looked_is_not_silence(gap: float) -> None:
    machine = Machine()
    machine.minutes(3)
    machine.pass_(gap)
    assert machine.look().quiet <= 180 + fresh_for(PERIOD)
    # The same across a reboot of the control plane, whatever its wall clock says then.
    machine.now = Now(machine.now.wall + gap, "another", 10.0)
    assert machine.look().quiet <= 180 + 2 * fresh_for(PERIOD)


def test_work_in_a_gap_is_seen_when_it_is_over() -> None:
    machine = Machine()
    machine.minutes(20)
    machine.pass_(8 * 3600)
    machine.sample["cpu"] += 90
    assert machine.look().quiet == 0


def test_a_container_that_was_started_again_is_wanted() -> None:
    machine = Machine()
    machine.minutes(20)
    machine.sample.update(cpu=0.1)
    machine.pass_(60)
    assert (machine.look().quiet, "start" in machine.known.last) == (0, True)


def test_somebody_who_asks_for_it_is_at_work_and_lets_go_of_what_was_kept() -> None:
    machine = Machine()
    held = kept(machine.minutes(40), "work would be lost: 1 unpushed", machine.now)
    assert held.kept is not None
    assert (touched(held, "person", machine.now).quiet, touched(held, "person", machine.now).kept) == (0, None)
    assert read(held.as_dict()) == held


def test_looking_through_it_is_nobodys_work() -> None:
    machine = Machine()
    machine.sample["terminals"] = {"0": machine.sample["clock"] - 100}
    machine.look()
    machine.known = kept(machine.minutes(40), "work would be lost", machine.now)
    machine.sample["cpu"] += 30
    assert machine.minutes(1).kept is not None
    assert (machine.known.quiet, machine.minutes(1).quiet) == (41 * 60, 42 * 60)
    assert machine.minutes(1, cpu_share=1.0).kept is None


def test_what_is_shown_names_whatever_comes_first() -> None:
    machine = Machine()
    known = machine.minutes(10)
    soon = shown(known, 1800, machine.now.wall + 9e3, enterable=True)
    left = datetime.fromisoformat(soon["ends_at"]).timestamp() - machine.now.wall
    assert (soon["ends_by"], left) == ("idle", 1200)
    assert shown(known, 1800, machine.now.wall + 60, enterable=True)["ends_by"] == "ttl"
    assert shown(known, None, machine.now.wall + 9e3, enterable=True)["ends_by"] == "ttl"
    held = kept(known, "work would be lost", machine.now)
    assert shown(held, 1800, machine.now.wall + 9e3, enterable=True)["ends_by"] == "ttl"


def test_a_moment_is_counted_from_by_the_clock_that_nobody_sets() -> None:
    then = {"wall": 1.8e9, "boot_id": "boot", "boottime": 100.0}
    assert since(then, Now(1.8e9 - 5e6, "boot", 130.0)) == 30
    assert since(then, Now(1.8e9 + 50, "another", 1.0)) == 50
    assert since(then, Now(1.8e9 - 50, "another", 1.0)) == 0
    assert since(None, Now(1.8e9, "boot", 1.0)) is None


@pytest.mark.parametrize("skew", [0.0, -5000.0, 90000.0])
def test_an_agent_in_a_turn_is_at_work_while_its_tool_only_waits(skew: float) -> None:
    machine = Machine(skew)
    machine.sample["agents"] = 1
    machine.hear("session.start", "session.prompt", "tool.start")
    assert machine.minutes(90).quiet == 0
    machine.hear("tool.end", "session.stop")
    assert machine.minutes(20).quiet == 1200


def test_an_agent_whose_question_was_answered_is_at_work_again() -> None:
    """No hook tells that a tool was approved: what is typed afterwards does."""
    machine = Machine()
    machine.sample["agents"] = 1
    machine.hear("session.prompt", "tool.start", "session.notification")
    assert machine.minutes(10).quiet == 600, "nobody has answered"
    machine.sample["terminals"] = {"0": machine.sample["clock"]}
    machine.look()
    assert machine.minutes(60).quiet == 0
    machine.hear("tool.end", "session.stop")
    assert machine.minutes(10).quiet == 600


def test_what_somebody_asks_for_between_two_looks_is_not_followed_by_the_silence_before_it() -> None:
    machine = Machine()
    machine.pass_(50)
    machine.known = touched(machine.known, "extend", machine.now)
    machine.pass_(10)
    assert machine.look().quiet == 10


@pytest.mark.parametrize("last", ["session.stop", "session.end", "session.notification", "session.start"])
def test_an_agent_that_waits_for_a_person_is_not(last: str) -> None:
    machine = Machine()
    machine.sample["agents"] = 1
    machine.hear("session.prompt", "tool.start", "tool.end", last)
    assert machine.minutes(30).quiet == 1800


def test_a_turn_ends_with_its_agent_and_is_not_believed_for_ever() -> None:
    machine = Machine()
    machine.hear("session.prompt", "tool.start")
    assert machine.minutes(10).quiet == 600, "its agent was killed, and could not say so"
    machine.sample["agents"] = 1
    assert machine.minutes(int(OPEN_TURN / 60) - 10).quiet == 0
    assert machine.minutes(30).quiet == 1800
    machine.known = heard(machine.known, [("session.prompt", {"session": "one"}, 9e12)])
    assert machine.minutes(30).quiet == 3600, "a time that cannot be is no sign of work"


def test_sessions_are_apart_and_bounded_and_events_may_come_again_in_any_order() -> None:
    machine = Machine()
    machine.sample["agents"] = 2
    machine.hear("session.prompt", session="a")
    machine.hear("session.prompt", "session.stop", session="b")
    before = machine.known.turns
    told = [("session.stop", {"session": "b"}, before["b"][1]), ("session.prompt", {"session": "b"}, before["b"][0])]
    machine.known = heard(machine.known, told)
    assert machine.known.turns == before
    assert machine.minutes(5).quiet == 0
    for number in range(100):
        machine.hear("session.prompt", session=f"more {number}")
    assert len(machine.known.turns) == 32
