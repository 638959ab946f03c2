# SPDX-License-Identifier: GPL-3.0-or-later
"""The module dev_container's own engine: only where it is asked for, and before everything else."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container import _task
from ansible_collections.fuel_code.remote.plugins.module_utils._docker_engine import Engine
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError

MIRRORS = ["https://mirror.example"]


@pytest.fixture
def done(monkeypatch):
    """What was done, in its order; `engine` in it says what the machine had."""
    order: list[tuple[Any, ...]] = []
    found = {"changed": True, "present": False}

    def ensure(mirrors, progress, _machine, *, check):
        order.append(("engine", list(mirrors), check))
        with progress.step("install"):
            pass
        return Engine(changed=found["changed"])

    def present(_params, _docker, _progress, *, check):
        order.append(("container", check))
        return {"changed": found["present"]}

    monkeypatch.setattr(_task, "ensure", ensure)
    monkeypatch.setattr(_task, "_present", present)
    return order, found


def run(*, engine, check=False, state="present"):
    return _task.dev_container(
        {"environment_is": "container", "state": state, "engine": engine, "progress_path": None}, check=check
    )


def test_there_has_to_be_one_unless_it_is_asked_for(done):
    order, _found = done
    assert run(engine=None) == {"changed": False, "steps": []}
    assert order == [("container", False)]


@pytest.mark.parametrize(
    ("engine", "container", "changed"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_it_comes_before_the_container(done, engine, container, changed):
    order, found = done
    found.update(changed=engine, present=container)
    result = run(engine={"registry_mirrors": MIRRORS})
    assert order == [("engine", MIRRORS, False), ("container", False)]
    assert result["changed"] is changed
    assert [(step["stage"], step["step"]) for step in result["steps"]] == [("container", "install")]


def test_check_mode_does_not_look_into_an_engine_that_is_not_there(done):
    order, _found = done
    assert run(engine={"registry_mirrors": []}, check=True)["changed"] is True
    assert order == [("engine", [], True)]


def test_an_engine_that_cannot_be_installed_is_the_modules_failure(done, monkeypatch):
    def ensure(*_, **__):
        raise FuelError(
            "there is no Docker engine, and none can be installed on slackware", code="engine_unknown_system"
        )

    monkeypatch.setattr(_task, "ensure", ensure)
    result = run(engine={"registry_mirrors": []})
    assert result["failed"]
    assert result["error"]["code"] == "engine_unknown_system"
    assert done[0] == []
