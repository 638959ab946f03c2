# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ansible's events to stages: what a person sees is what happens, no earlier and no later."""

from __future__ import annotations

from typing import Any

import pytest

from fuelctl._run_events import Story

PREFIX = "fuel_code.remote."


def begin(role: str, file: str) -> dict[str, Any]:
    return {"event": "playbook_on_task_start", "at": 1.0, "role": PREFIX + role, "file": file}


def end(action: str, *, failed: bool = False, **result: Any) -> dict[str, Any]:
    return {"event": "runner_on_failed" if failed else "runner_on_ok", "at": 2.0, "action": action, "res": result}


def stages(story: Story, *given: dict[str, Any], ok: bool = True) -> list[tuple[str, str]]:
    told = [event for item in given for event in story.ansible(item)] + story.end(3.0, ok=ok)
    return [(event["data"]["stage"], event["data"]["state"]) for event in told if event["type"] == "remote.stage"]


def test_a_machine_speaks_for_itself_alone() -> None:
    """Who works in it may be root there."""
    mine, other = "01JD3Z5Q8W6S9X4V7T2R1P0N8M", "01JD3Z5Q8W6S9X4V7T2R1P0N8N"
    forged: dict[str, Any] = {
        "observed": [
            {"environment_id": mine, "state": "stopped"},
            {"environment_id": other, "present": False},
            "x",
        ],
        "lost": [{"environment_id": other}],
        "receipt": {"complete": True},
        "machine": {"instance_id": "i-1"},
        "resources": [],
    }
    story = Story("observe")
    event = {**end(PREFIX + "dev_container_info", **forged), "host": f"fuel-{mine.lower()}"}
    story.ansible(event)
    story.ansible({**event, "action": "ansible.builtin.command"})
    assert story.results == {PREFIX + "dev_container_info": [{"observed": [{"environment_id": mine}], "resources": []}]}
    story.ansible({**event, "res": {"observed": 5, "steps": 7, "error": "x"}})
    assert story.results[PREFIX + "dev_container_info"][1:] == [{}]
    story.ansible({**event, "event": "runner_on_failed", "res": {"msg": "no", "error": [], "steps": {}}})
    assert story.failure is not None
    trusted = Story("observe")
    trusted.ansible({**event, "host": "localhost"})
    assert trusted.results == {PREFIX + "dev_container_info": [forged]}


SURVEY: dict[str, Any] = {"steps": [{"stage": "survey", "step": "look", "state": "ok"}]}


def test_finding_the_machine_takes_nothing_away() -> None:
    told = stages(
        Story("down"),
        begin("provider_local", "launch"),
        end("ansible.builtin.add_host"),
        begin("workspace", "main"),
        end(PREFIX + "workspace", would_lose=False, **SURVEY),
        begin("provider_local", "destroy"),
        end(PREFIX + "dev_container", steps=[{"stage": "destroy", "step": "remove", "state": "ok"}]),
    )
    assert told == [("survey", "start"), ("survey", "ok"), ("destroy", "start"), ("destroy", "ok")]


def test_a_machine_that_is_found_and_started_to_be_looked_into_is_not_being_ended() -> None:
    story = Story("down")
    given = [begin("provider_fly", file) for file in ("locate", "find", "contact", "stop")]
    assert [event for each in given for event in story.ansible(each)] == []
    assert stages(story, begin("provider_fly", "destroy")) == [("destroy", "start"), ("destroy", "ok")]


def test_a_refusal_is_no_failure_of_the_survey() -> None:
    story = Story("down")
    told = stages(
        story,
        begin("provider_local", "locate"),
        begin("workspace", "main"),
        end(PREFIX + "workspace", would_lose=True, **SURVEY),
        end("ansible.builtin.fail", failed=True, msg="Work would be lost: 1 file"),
        ok=False,
    )
    assert told == [("survey", "start"), ("survey", "ok")]
    assert story.failure is not None
    assert story.failure["message"] == "Work would be lost: 1 file"


def test_a_survey_that_fails_has_failed() -> None:
    told = stages(
        Story("down"),
        begin("workspace", "main"),
        end(PREFIX + "workspace", failed=True, error={"message": "the engine does not answer"}),
        ok=False,
    )
    assert told == [("survey", "start"), ("survey", "failed")]


def test_a_machine_that_does_not_answer_was_not_looked_into() -> None:
    story = Story("down")
    lost = {**end(PREFIX + "dev_container_info", msg="Failed to connect"), "event": "runner_on_unreachable"}
    told = stages(
        story, begin("provider_ec2", "locate"), lost, end("ansible.builtin.fail", failed=True, msg="refused"), ok=False
    )
    assert told == [("survey", "start"), ("survey", "failed")]
    assert story.failure is not None
    assert [story.failure[key] for key in ("code", "stage", "message")] == [
        "unreachable",
        "survey",
        "Failed to connect",
    ]


def test_a_machine_that_falls_silent_while_it_is_taken_away_is_being_ended() -> None:
    story = Story("down")
    lost = {**end(PREFIX + "dev_container"), "event": "runner_on_unreachable"}
    assert stages(story, begin("provider_ssh", "destroy"), lost, ok=False) == [
        ("destroy", "start"),
        ("destroy", "failed"),
    ]


def test_getting_a_machine_is_a_stage_of_up() -> None:
    told = stages(
        Story("up"),
        begin("provider_local", "launch"),
        begin("dev_container", "main"),
        end(PREFIX + "dev_container", environment={"container": "c"}),
    )
    assert told == [("provider", "start"), ("provider", "ok"), ("container", "start"), ("container", "ok")]


@pytest.mark.parametrize(
    ("states", "ended"),
    [
        (["ok", "ok"], "ok"),
        (["reused", "reused"], "reused"),
        (["reused", "ok"], "ok"),
        (["ok", "failed"], "failed"),
        (["failed", "ok"], "ok"),
    ],
)
def test_a_stage_ends_as_its_last_step_did(states: list[str], ended: str) -> None:
    """Also when the module itself succeeds: a set-up command that failed leaves an environment to enter."""
    story = Story("up")
    for number, state in enumerate(states):
        for told in ("start", state):
            story.progress({"stage": "setup", "step": f"command {number}", "state": told, "at": 1.0, "message": ""})
    steps = [{"stage": "setup", "step": f"command {number}", "state": state} for number, state in enumerate(states)]
    assert stages(story, end(PREFIX + "workspace", steps=steps)) == [("setup", ended)]
    assert story.failure is None
