# SPDX-License-Identifier: GPL-3.0-or-later
"""Setup commands without a container: identity and batching."""

from __future__ import annotations

from ansible_collections.fuel_code.remote.plugins.module_utils._inside import last_lines
from ansible_collections.fuel_code.remote.plugins.module_utils._workspace._setup import Batch, degraded, keys


def test_a_command_is_done_only_for_the_same_source_and_the_same_commands_before_it():
    first = keys("c" * 40, "t" * 40, ["npm ci", "npm run build"])
    assert first == keys("c" * 40, "t" * 40, ["npm ci", "npm run build", "npm test"])[:2]
    assert first[1] != keys("c" * 40, "t" * 40, ["npm install", "npm run build"])[1]
    assert first[0] != keys("d" * 40, "t" * 40, ["npm ci"])[0]
    assert first[0] != keys("c" * 40, "u" * 40, ["npm ci"])[0]
    assert keys("c", "t", ["a", "b"]) != keys("c", "t", ["a\0b", ""])


def test_output_is_passed_on_in_whole_lines_and_in_time():
    now = [0.0]
    told = []
    batch = Batch(told.append, lambda: now[0])
    batch.add(b"one\ntw")
    assert told == []
    now[0] = 0.3
    batch.add(b"o\nthr")
    assert told == ["one\ntwo\n"]
    batch.flush()
    assert told == ["one\ntwo\n", "thr"]


def test_a_flood_of_output_is_cut():
    told: list[str] = []
    batch = Batch(told.append, lambda: 0.0)
    for _number in range(1000):
        batch.add(b"x" * 8191 + b"\n")
    batch.flush()
    assert sum(len(text) for text in told) < 1100000
    assert "more output" in told[-1]


def test_the_first_failure_makes_it_degraded():
    good = {"command": "a", "rc": 0, "tail": []}
    bad = {"command": "b", "rc": 3, "tail": ["no"]}
    assert degraded([good]) is None
    assert degraded([good, bad]) == {"command": "b", "rc": 3, "tail": ["no"]}


def test_last_lines():
    assert last_lines(b"") == []
    assert last_lines(b"a\r\nb\n") == ["a", "b"]
    assert last_lines("\n".join(map(str, range(100))).encode()) == [str(number) for number in range(80, 100)]
    assert last_lines(b"\xff\n") == ["\ufffd"]
