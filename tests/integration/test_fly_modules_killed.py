# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the modules for Fly.io, at each of their calls and at random moments: nothing twice, nothing left."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.lab.fly.contract import OPERATIONS

from .fly import FlyLab, Modules, Run, app_of, environment_id, token_of

pytestmark = pytest.mark.once

IMAGE = "debian:bookworm"
#: More than a thousand kills.
SOAK_ROUNDS = 700
SEED = 20260101


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modules]:
    with (
        FlyLab(machines=False, boot_delay=0.1, end_delay=0.1) as lab,
        Modules(lab, tmp_path_factory.mktemp("kills")) as started,
    ):
        yield started


def phase(modules: Modules, name: str, environment: str, token: str = "") -> Iterator[Run]:
    """The runs of `up`, `change` or `down`, one after the other, each begun when the one before has been looked at."""
    lab, app = modules.lab, app_of(environment)
    common: dict[str, Any] = {"app": app, "api_token": token or lab.token}
    machine = {**common, "name": "dev", "region": "fra", "environment_id": environment, "owner": "alice"}
    if name in ("up", "change"):
        yield modules.start("fly_app", addresses=["v4"], **common)
        yield modules.start("fly_secrets", values={"FUEL_AUTHORIZED_KEYS": "key"}, **common)
        yield modules.start("fly_volume", name="workspace", region="fra", sole=True, **common)
        volumes = modules.lab.volumes(app)
        mounts = [{"volume": each["id"], "path": "/data"} for each in volumes[:1]]
        memory = 4096 if name == "up" else 8192
        yield modules.start("fly_machine", image=IMAGE, mounts=mounts, memory_mb=memory, **machine)
        return
    yield modules.start("fly_machine", **{**machine, "state": "absent"})
    yield modules.start("fly_volume", name="workspace", state="absent", sole=True, **common)
    yield modules.start("fly_app", state="absent", environment_id=environment, **common)


def whole(modules: Modules, name: str, environment: str) -> list[dict[str, Any]]:
    results = []
    for run in phase(modules, name, environment):
        result = run.result()
        assert not result.get("failed"), result
        results.append(result)
    return results


def kill_one(modules: Modules, name: str, environment: str, action: str, effect: str) -> None:
    """Kill the run whose call the lab holds, and let the call go on."""
    token = token_of(environment)
    modules.lab.fault(action, effect, times=1, when={"key": token})
    for run in phase(modules, name, environment, token):
        while run.alive():
            if any(each["key"] == token for each in modules.lab.ask("GET", "held")):
                assert run.kill()
                modules.lab.ask("POST", "release", {"key": token})
                return
            time.sleep(0.02)
        assert not run.result().get("failed"), run.result()
    raise AssertionError(f"{name} makes no call {action}")


def one_of_each(modules: Modules, environment: str) -> None:
    app = app_of(environment)
    assert len(modules.lab.machines(app)) == 1
    assert len(modules.lab.volumes(app)) == 1
    assert len(modules.lab.api("GET", f"/apps/{app}/ip_assignments")[1]["ips"]) == 1
    [machine] = modules.lab.machines(app)
    [volume] = modules.lab.volumes(app)
    assert volume["machine"] == machine["id"]


def nothing_left(modules: Modules, environment: str) -> None:
    app = app_of(environment)
    assert app not in modules.lab.truth()["apps"]
    assert modules.lab.machines(app) == []
    assert modules.lab.volumes(app) == []


def calls_of_a_life(modules: Modules) -> list[tuple[str, str]]:
    """What each phase asks of Fly.io, from a real run: a new call is tested without anybody adding it here."""
    environment = environment_id()
    steps = []
    for name in ("up", "change", "down"):
        modules.lab.ask("DELETE", "calls")
        whole(modules, name, environment)
        steps += [(name, action) for action in dict.fromkeys(call["action"] for call in modules.lab.calls())]
    # What `change` asks for as `up` does has been killed there already.
    return [step for step in steps if step[0] != "change" or ("up", step[1]) not in steps]


def killed_at_a_call(modules: Modules, name: str, action: str, effect: str) -> None:
    environment = environment_id()
    if name != "up":
        whole(modules, "up", environment)
    kill_one(modules, name, environment, action, effect)
    if name != "down":
        whole(modules, name, environment)
        one_of_each(modules, environment)
    for result in whole(modules, "down", environment):
        assert result["receipt"]["complete"], result
    nothing_left(modules, environment)


def killed_at_calls(modules: Modules, *, reads: bool) -> None:
    """Before: the call still takes effect, with nobody there to read the answer. After: the answer is lost."""
    steps = calls_of_a_life(modules)
    known = {action for _name, action in steps}
    assert known >= {"Apps_create", "Volumes_create", "Machines_create", "Machines_update", "Machines_delete"}
    methods = {operation.id: operation.method for operation in OPERATIONS}
    cases = [
        (name, action, effect)
        # Those first in which a lease is left, which has to end.
        for name, action in reversed(steps)
        for effect in ("hold", "hold-after")
        # Whether a run has to wait at all is chance.
        if (methods[action] == "GET") == reads and action != "Machines_wait"
    ]
    with ThreadPoolExecutor(16) as pool:
        for case, ended in [(case, pool.submit(killed_at_a_call, modules, *case)) for case in cases]:
            assert ended.exception() is None, (case, ended.exception())
    print(f"\n{len(cases)} kills, 0 twice, 0 left")


def test_killed_right_before_and_right_after_each_call_that_changes_something(modules: Modules) -> None:
    killed_at_calls(modules, reads=False)


@pytest.mark.soak
def test_killed_at_each_call_that_only_reads(modules: Modules) -> None:
    killed_at_calls(modules, reads=True)


def one_life(modules: Modules, chance: random.Random) -> Counter[str]:
    """Up, killed at a random moment; then up again or not; down, killed too, and down."""
    environment = environment_id()
    counts = Counter[str]()

    def killed(name: str) -> None:
        number = chance.randrange(4 if name == "up" else 3)
        for index, run in enumerate(phase(modules, name, environment)):
            if index == number:
                time.sleep(chance.uniform(0.0, 0.5))
                counts[f"kills of {name}"] += run.kill()
                return
            run.result()

    killed("up")
    if chance.random() < 0.5:
        whole(modules, "up", environment)
        one_of_each(modules, environment)
    killed("down")
    for result in whole(modules, "down", environment):
        assert result["receipt"]["complete"], result
    nothing_left(modules, environment)
    return counts


def lives(modules: Modules, rounds: int, together: int) -> Counter[str]:
    total = Counter[str]()
    with ThreadPoolExecutor(together) as pool:
        for counts in pool.map(lambda number: one_life(modules, random.Random(SEED + number)), range(rounds)):
            total.update(counts)
    return total


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_killed_more_than_a_thousand_times(modules: Modules) -> None:
    total = lives(modules, SOAK_ROUNDS, 8)
    print(f"\n{SOAK_ROUNDS} environments: {dict(total)}, 0 twice, 0 left")
