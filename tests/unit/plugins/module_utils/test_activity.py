# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of a container's counters: what is believed of an answer that comes from inside."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._activity import look, parse_sample
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Completed, Docker
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._inside import InContainer

ANSWER = """cpu ns 1500000000
tty /dev/pts/0 1795288198 1795288173
tty /dev/pts/1 1795288173 1795288173
ssh 81 25
agent
clock 1795288208 24877.46 6811d1c6-1af5-4c93-84e1-4685ec931c01
"""


def test_a_whole_sample():
    assert parse_sample(ANSWER) == {
        "clock": 1795288208,
        "uptime": 24877.46,
        "boot": "6811d1c6-1af5-4c93-84e1-4685ec931c01",
        "cpu": 1.5,
        # Nothing was typed into the second one yet.
        "terminals": {"0": 1795288198},
        "connections": {"81": 25},
        "agents": 1,
    }
    assert parse_sample(ANSWER.replace("ns 1500000000", "us 2500000"))["cpu"] == 2.5


@pytest.mark.parametrize("without", ["cpu", "clock"])
def test_nothing_is_concluded_from_half_a_sample(without):
    assert parse_sample("".join(line + "\n" for line in ANSWER.splitlines() if not line.startswith(without))) is None


@pytest.mark.parametrize(
    "line",
    [
        "cpu ns -5", "cpu ns 1e9", "cpu ns " + "9" * 400, "tty x y z", "tty /dev/pts/0 9 9 9", "ssh a b", "ssh 1",
        "clock x y z", "clock 1 inf boot", "clock 1 1 1 1", "\x00" * 50, "1 2 " + "A" * 50,
    ],
)  # fmt: skip
def test_what_is_no_line_of_ours_is_passed_over(line):
    if line.startswith(("cpu", "clock")):
        assert parse_sample(line) is None
    else:
        assert parse_sample(f"{line}\n{ANSWER}") == parse_sample(ANSWER)


def test_a_flood_is_bounded():
    flood = "".join(f"tty /dev/pts/{n} 9 1\nssh {n} 1\n" for n in range(5000))
    found = parse_sample(flood + ANSWER)
    assert len(found["terminals"]) <= 65
    assert len(found["connections"]) <= 65


def test_a_notice_is_one_printable_line_and_no_part_of_the_program():
    given = []

    def run(argv, stdin, _timeout):
        given.append((argv, stdin))
        return Completed(argv, 0, ANSWER.encode(), b"")

    batch, sample = look(InContainer("box", "dev", Docker(run)), "1:5", "ends\n$(rm -rf /)\x1b[2J\u2014" + "x" * 500)
    argv, stdin = given[0]
    assert stdin.startswith(b"1:5\nends?$(rm -rf /)?[2J?xxx")
    assert stdin.count(b"\n") == 2
    assert len(stdin) < 220
    assert not any("rm -rf /" in word for word in argv)
    assert (batch.events, sample["cpu"]) == ([], 1.5)
    with pytest.raises(FuelError):
        look(InContainer("box", "dev", Docker(run)), "1;rm")
