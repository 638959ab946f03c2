# SPDX-License-Identifier: GPL-3.0-or-later
"""Provision: unpack the source, run remote_up, publish; a failure is undone at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fuelctl._shared._errors import FuelError
from fuelctl.environments import about
from fuelctl.environments.states import Operation, Status
from fuelctl.runner import RunResult
from fuelctl.store import environments
from fuelctl.store.environments import FencedOffError
from fuelctl.store.secrets import CALLBACK_TOKEN
from fuelctl.workflows import source
from fuelctl.workflows.key_folder import make_pairs
from fuelctl.workflows.run import Plant, Run, callback

_logger = logging.getLogger(__name__)
#: A mistake of ours is made again by every repeat: what it interrupts is undone at once, and not tried for hours.
_MISTAKES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


#: How work ends whose machine is taken away under it.
_CUT_OFF = frozenset({"unreachable", "task_failed", "failed"})
#: What of a provider's facts the environment keeps: to show, and to find its machine again.
_KEPT = ("type", "region", "account", "address", "let_in")


def provision(plant: Plant, environment_id: str, operation_id: str) -> str:
    """The workflow's body; returns `ready`, `error` or `superseded`. Safe to run again from the start at any time."""
    try:
        run = Run(plant, Operation.PROVISION, environment_id, operation_id)
        outcome = _prepared(run, environment_id)
        if "failure" not in outcome:
            outcome = run.step("up", lambda: _unmistaken(lambda: _up(run), "provider"))
        if outcome.get("stopped"):
            return "superseded"
        if "failure" not in outcome:
            # Before the end is written: once it is, a run that is taken up again finds nothing left to do.
            run.step("clean", lambda: source.remove(run.plant.core.files, environment_id))
            run.step("publish", lambda: run.journal.ready(outcome))
            return "ready"
        return _give_up(run, outcome["failure"])
    except FencedOffError:
        _forget_source(plant, environment_id)
        return "superseded"


def _forget_source(plant: Plant, environment_id: str) -> None:
    """A run that was killed between its last word and its cleaning up is superseded, and cleans up all the same."""
    with plant.core.database.read() as session:
        row = environments.get(session, environment_id)
    if row is not None and row.operation_id is None and row.status != Status.PROVISIONING:
        source.remove(plant.core.files, environment_id)


def _prepared(run: Run, environment_id: str) -> dict[str, Any]:
    if run.journal.row().source is None:
        return {}

    def unpack() -> dict[str, Any]:
        try:
            source.unpack(run.plant.core.files, environment_id, run.plant.max_source_bytes)
        except FuelError as error:
            return {"failure": {**error.as_dict(), "stage": "source", "tail": []}}
        return {}

    return dict(run.step("unpack", lambda: _unmistaken(unpack, "source")))


def _unmistaken(work: Callable[[], dict[str, Any]], stage: str) -> dict[str, Any]:
    """What `work` returns; a failure when there is a mistake in it. A full disk and the like are left to the reaper."""
    try:
        return work()
    except _MISTAKES as error:
        _logger.exception("provisioning failed in a way it did not foresee")
        message = f"the control plane made a mistake ({type(error).__name__})"
        told = {"message": message, "hint": "server.log in the state folder says more", "where": None}
        return {"failure": {**told, "code": "internal", "stage": stage, "tail": []}}


def _up(run: Run) -> dict[str, Any]:
    row = run.journal.row()
    now = run.plant.core.clock()
    core = run.plant.core
    try:
        secrets = run.journal.secrets()
        # It may have been another machine on which it was unpacked first.
        bundle = source.unpack(core.files, row.id, run.plant.max_source_bytes) if row.source is not None else None
    except FuelError as error:
        return {"failure": {**error.as_dict(), "stage": "source", "tail": []}}
    token = secrets.pop(CALLBACK_TOKEN, "")
    optional = {
        "remote_source": str(bundle) if bundle else None,
        "remote_agent_home": row.agent_home,
    }
    variables: dict[str, Any] = {
        "remote_blueprint": row.blueprint,
        "remote_expires_at": int(now.wall + run.journal.lease().seconds_left(now)),
        **{name: value for name, value in optional.items() if value},
        **callback(run.plant.callback_url),
    }
    # Before anything is made with them: whoever goes on with it after us has the same.
    make_pairs(core.files, row.id, row.provider["name"])
    try:
        result = run.play("up", variables, secrets, {"callback_token": token})
    except FuelError as error:
        if isinstance(error, FencedOffError):
            raise
        return {"failure": {**error.as_dict(), "stage": "source", "tail": []}}
    if result.status == "stopped":
        return {"stopped": True}
    if result.status != "ok":
        return {"failure": result.failure}
    return _published(result)


def _published(result: RunResult) -> dict[str, Any]:
    made = result.of("dev_container")
    container = made.get("environment")
    if not isinstance(container, dict):
        message = "the playbook ended well and made no environment"
        return {"failure": {"message": message, "code": "no_environment", "stage": "ready", "hint": None, "tail": []}}
    workspace = result.of("workspace")
    agent = result.of("coding_agent").get("agent")
    conditions = []
    degraded = result.scrub(workspace.get("degraded"))
    if degraded:
        message = f"setup command failed (exit code {degraded.get('rc')}): {degraded.get('command')}"
        conditions.append({"type": "degraded", "message": message, "details": degraded})
    machine = result.of("provider_machine")
    place = workspace.get("workspace") if isinstance(workspace.get("workspace"), dict) else {}
    return {
        "connection": {
            "user": container.get("user"),
            "container": container.get("container"),
            "workspace": (place or {}).get("path") or container.get("workspace"),
            "folder": (place or {}).get("folder") or "",
            "host_key": container.get("host_key"),
            "ports": container.get("ports") or [],
            # Where the container is on another machine, and nothing where it is on this one.
            **({"machine": machine["contact"]} if isinstance(machine.get("contact"), dict) else {}),
        },
        "agent": {key: agent.get(key) for key in ("name", "version")} if isinstance(agent, dict) else None,
        "resources": [
            {"kind": str(item["kind"]), "name": str(item["name"])}
            for item in [*(machine.get("resources") or []), *(made.get("resources") or [])]
        ],
        "provider": {key: value for key, value in (machine.get("provider") or {}).items() if key in _KEPT and value},
        "conditions": conditions,
    }


def _give_up(run: Run, failure: dict[str, Any]) -> str:
    """Undo what was made and say what went wrong; hold it for a look when that was asked for."""
    if run.journal.row().keep_on_error:
        run.step("report", lambda: run.journal.failed(failure, None, held=True))
        return "error"

    def undo() -> dict[str, Any]:
        result = run.down(discard=True)
        if result.status == "stopped":
            return {"stopped": True}
        if result.status != "ok":
            told = about.of(run.journal.row())
            _logger.warning("%s could not be undone: %s", told["environment"], result.failure, extra=told)
        receipt = result.scrub(result.of("provider_receipt").get("receipt"))
        return {"receipt": receipt, "lost": result.scrub(_lost(result, run.journal.environment_id))}

    undone = run.step("undo", undo)
    if undone.get("stopped"):
        return "superseded"
    run.step("clean", lambda: source.remove(run.plant.core.files, run.journal.environment_id))
    told = _with_reason(failure, undone.get("lost"))
    run.step("report", lambda: run.journal.failed(told, undone["receipt"]))
    return "error"


def _lost(result: RunResult, environment_id: str) -> dict[str, Any] | None:
    """The environment's machine, when its provider says that it had ended before it was asked to; None otherwise."""
    lost = [one for results in result.results.values() for each in results for one in each.get("lost") or []]
    return next((one for one in lost if one.get("environment_id") == environment_id), None)


def _with_reason(failure: dict[str, Any], lost: dict[str, Any] | None) -> dict[str, Any]:
    """The failure; that of a machine which went away in the middle of the work says so, and why."""
    if lost is None or failure.get("code") not in _CUT_OFF:
        return failure
    return {
        **failure,
        "message": f"its machine is gone: {lost.get('reason')}",
        "hint": "run it again for a new one",
        "where": lost.get("name"),
        "code": "machine_gone",
        "tail": [*(failure.get("tail") or []), str(failure.get("message"))],
    }
