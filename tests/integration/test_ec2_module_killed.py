# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of ec2_machine, at each of its calls and at random moments: no instance without an owner, never two."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .ec2 import Ec2Lab, Modules, Run, environment_id

pytestmark = pytest.mark.once

#: Longer than the lab's Describe ever lags here, as `settle` has to be.
SETTLE = 2.0
LAG: dict[str, Any] = {"describe_lag_min": 0.3, "describe_lag_max": 1.5, "stale": 0.5}
ROUNDS = 30
#: More than a thousand kills.
SOAK_ROUNDS = 450
SEED = 20260101


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modules]:
    with (
        Ec2Lab(machines=False, boot_delay=0.1, shutdown_delay=0.1, **LAG) as lab,
        Modules(lab, tmp_path_factory.mktemp("kills")) as started,
    ):
        yield started


def up(modules: Modules, environment: str, **more: str) -> Run:
    return modules.up(environment, settle=SETTLE, instance_types=["t3.micro", "t3.small"], spot=True, **more)


def down(modules: Modules, environment: str, **more: str) -> Run:
    return modules.down(environment, settle=SETTLE, **more)


def never_two(modules: Modules, environment: str) -> None:
    """One instance per client token, and all but the last ended before the next began."""
    every = modules.lab.instances(environment)
    assert max(Counter(each["token"] for each in every).values(), default=0) <= 1, every
    assert len([each for each in every if each["state"] != "terminated"]) <= 1, every


def nothing_left(modules: Modules, environment: str) -> None:
    assert modules.lab.alive(environment) == []
    left = modules.lab.ask("GET", "leftovers")
    mine = {each["id"] for each in modules.lab.instances(environment)}
    assert not [volume for volume, instance in left["volumes"].items() if instance in mine]
    assert not [interface for interface, instance in left["interfaces"].items() if instance in mine]


def calls_of_a_life(modules: Modules) -> list[tuple[str, str]]:
    """What up and down ask of AWS, from a real run: a new call is tested without anybody adding it here."""
    environment = environment_id()
    steps = []
    for phase, run in (("up", up), ("down", down)):
        modules.lab.ask("DELETE", "calls")
        run(modules, environment).result()
        steps += [(phase, action) for action in dict.fromkeys(call["action"] for call in modules.lab.calls())]
    return steps


def killed_at_a_call(modules: Modules, phase: str, action: str, effect: str) -> None:
    """Kill the run while the lab holds its call, let the call go on, and recover: once by `up`, always by `down`."""
    environment = environment_id()
    if phase == "down":
        up(modules, environment).result()
    key = f"AKIA{environment[-16:]}"
    modules.lab.fault(action, effect, times=1, when={"key": key})
    run = (up if phase == "up" else down)(modules, environment, access_key=key)
    wanted = {"action": action, "effect": effect, "key": key}
    modules.lab.wait_for(lambda: wanted in modules.lab.ask("GET", "held"))
    assert run.kill()
    modules.lab.ask("POST", "release", {"key": key})
    if phase == "up" and effect == "hold-after":
        machine = up(modules, environment).result()["machine"]
        assert [each["id"] for each in modules.lab.alive(environment)] == [machine["instance_id"]]
    receipt = down(modules, environment).result()["receipt"]
    assert receipt["complete"], receipt
    never_two(modules, environment)
    nothing_left(modules, environment)


def test_killed_right_before_and_right_after_each_call(modules: Modules) -> None:
    """Before: the call still takes effect, with nobody there to read the answer. After: the answer is lost."""
    steps = calls_of_a_life(modules)
    assert {action for _phase, action in steps} >= {"RunInstances", "DescribeInstances", "TerminateInstances"}
    # Describe never shows the launch in time for the next run: that has to know without.
    modules.lab.configure(describe_lag_min=LAG["describe_lag_max"])
    cases = [(phase, action, effect) for phase, action in steps for effect in ("hold", "hold-after")]
    with ThreadPoolExecutor(7) as pool:
        for case, ended in [(case, pool.submit(killed_at_a_call, modules, *case)) for case in cases]:
            assert ended.exception() is None, (case, ended.exception())
    modules.lab.configure(**LAG)


def test_launch_that_takes_effect_while_down_is_looking(modules: Modules) -> None:
    """The killed run's request is still on its way when `down` sees nothing for the first time."""
    environment = environment_id()
    of_up, of_down = f"AKIA{environment[-16:]}", f"ASIA{environment[-16:]}"
    modules.lab.fault("RunInstances", "hold", times=1, when={"key": of_up})
    run = up(modules, environment, access_key=of_up)
    modules.lab.wait_for(lambda: of_up in {each["key"] for each in modules.lab.ask("GET", "held")})
    assert run.kill()
    ending = down(modules, environment, access_key=of_down)
    modules.lab.wait_for(lambda: of_down in {call["key"] for call in modules.lab.calls("DescribeInstances")})
    modules.lab.ask("POST", "release", {"key": of_up})
    assert ending.result()["receipt"]["complete"]
    assert len(modules.lab.instances(environment)) == 1
    nothing_left(modules, environment)


def one_life(modules: Modules, chance: random.Random) -> dict[str, int]:
    """Up, killed at a random moment up to twice; then either up again and down, or down at once; down killed too."""
    environment = environment_id()
    counts = Counter[str]()
    for _kill in range(chance.choice((1, 2))):
        run = up(modules, environment)
        time.sleep(chance.uniform(0.0, 1.2))
        counts["kills of up"] += run.kill()
    if chance.random() < 0.5:
        result = up(modules, environment).result()
        assert [each["id"] for each in modules.lab.alive(environment)] == [result["machine"]["instance_id"]]
    run = down(modules, environment)
    time.sleep(chance.uniform(0.0, 1.2))
    counts["kills of down"] += run.kill()
    receipt = down(modules, environment).result()["receipt"]
    assert receipt["complete"], receipt
    never_two(modules, environment)
    nothing_left(modules, environment)
    return counts


def lives(modules: Modules, rounds: int, together: int) -> Counter[str]:
    total = Counter[str]()
    with ThreadPoolExecutor(together) as pool:
        for counts in pool.map(lambda number: one_life(modules, random.Random(SEED + number)), range(rounds)):
            total.update(counts)
    return total


def test_killed_at_random_moments(modules: Modules) -> None:
    total = lives(modules, ROUNDS, 6)
    print(f"\n{ROUNDS} environments: {dict(total)}, 0 orphans, 0 duplicates")
    assert total["kills of up"] >= ROUNDS // 2
    assert total["kills of down"] >= ROUNDS // 2


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_killed_more_than_a_thousand_times(modules: Modules) -> None:
    total = lives(modules, SOAK_ROUNDS, 8)
    print(f"\n{SOAK_ROUNDS} environments: {dict(total)}, 0 orphans, 0 duplicates")
