# SPDX-License-Identifier: GPL-3.0-or-later
"""Terminate: run remote_down, and believe that it is gone only when the receipt says so of every resource."""

from __future__ import annotations

import shutil
from typing import Any

from fuelctl import paths
from fuelctl.environments import idleness
from fuelctl.environments.states import Operation, Status
from fuelctl.store.environments import FencedOffError
from fuelctl.store.files import keys_key
from fuelctl.workflows import ends, rescue, source
from fuelctl.workflows.run import Plant, Run

#: Seconds that may pass until an end that was decided is begun: others may be under way.
_BEGINNING = 60.0
#: Why nobody can look into it, and nobody is going to, by the failure's code.
_UNSEEN = {
    # Lost with the database that had them.
    "no_host_key": "the keys to its machine were lost",
    "ec2_stopped": "its machine is stopped, and nothing that is in it can be seen",
    "fly_missing": "its machine is gone, and the volume with its work is not",
}


def terminate(plant: Plant, environment_id: str, operation_id: str) -> str:
    """The workflow's body; returns `terminated`, `refused`, `incomplete` or `superseded`. Safe to run again."""
    try:
        run = Run(plant, Operation.TERMINATE, environment_id, operation_id)
        saved = run.step("rescue", lambda: _saved(run))
        if saved["state"] == "superseded":
            return "superseded"
        outcome = run.step("down", lambda: _changed_its_mind(run, saved) or ends.together(run) or _down(run, saved))
        if outcome["end"] == "terminated":
            run.step("clean", lambda: _forget(plant, environment_id))
        if outcome["end"] != "superseded":
            run.step("settle", lambda: _settle(run, outcome))
        return str(outcome["end"])
    except FencedOffError:
        return "superseded"


def _saved(run: Run) -> dict[str, Any]:
    if not run.after_its_making():
        return {"state": "superseded"}
    return rescue.OFF if _not_seen_lately(run) else rescue.save(run)


def _down(run: Run, saved: dict[str, Any]) -> dict[str, Any]:
    # What is all saved cannot be lost: nobody needs to look for it once more.
    discard = bool(run.journal.row().operation_options.get("discard")) or bool(saved.get("complete"))

    def on_stage(stage: str, _state: str) -> None:
        if stage == "destroy":
            run.journal.destroying()

    result = run.down(discard=discard, on_stage=on_stage)
    if result.status == "stopped":
        return {"end": "superseded"}
    receipt = result.scrub(result.of("provider_receipt").get("receipt"))
    survey = result.scrub(result.of("workspace"))
    if survey.get("would_lose") and not discard and receipt is None:
        return {"end": "refused", "work": survey.get("work") or {}}
    row = run.journal.row()
    if row.ended_by == "idle" and not discard and receipt is None and row.status != Status.TERMINATING:
        # It could not be looked through, so nothing says that nothing would be lost; its TTL decides.
        return {"end": "refused", "work": {"unknown": (result.failure or _left(receipt))["message"]}}
    unseen = _unseen(result.failure or {}, begun=receipt is not None or row.status == Status.TERMINATING)
    if unseen and not discard:
        return {"end": "refused", "work": {"unknown": unseen}}
    if result.status == "ok" and receipt and receipt.get("complete"):
        return {"end": "terminated", "receipt": receipt}
    return {"end": "incomplete", "receipt": receipt, "why": result.failure or _left(receipt)}


def _unseen(failure: dict[str, Any], *, begun: bool) -> str | None:
    """Why nobody could look into it, when that is why the run failed. `begun`: something was being removed before."""
    if failure.get("code") == "unreachable" and failure.get("stage") == "survey" and not begun:
        return f"its machine does not answer: {failure['message']}"
    return _UNSEEN.get(str(failure.get("code")))


def _changed_its_mind(run: Run, saved: dict[str, Any]) -> dict[str, Any] | None:
    """A refusal, when silence is to end it and does not any more: a rescue may have taken minutes."""
    row = run.journal.row()
    if saved["state"] != "saved":
        return _not_seen_lately(run)
    if row.ended_by != "idle" or row.status == Status.TERMINATING:
        return None
    last = idleness.read(row.activity).last
    # What saving it took of the processor is nobody's work.
    if any(at > float(saved["began"]) for kind, at in last.items() if kind != "processor"):
        return {"end": "refused", "work": {"unknown": "somebody is at work in it again"}}
    return None


def _not_seen_lately(run: Run) -> dict[str, Any] | None:
    """A refusal, when silence is to end it that nobody has watched any more: the server may have stopped for hours."""
    row = run.journal.row()
    if row.ended_by != "idle" or row.status == Status.TERMINATING:
        return None
    ago = idleness.since(idleness.read(row.activity).observed, run.plant.core.clock())
    inputs = (run.journal.check().ending or {}).get("inputs") or {}
    if ago is not None and ago <= float(inputs.get("fresh_for") or 0.0) + _BEGINNING:
        return None
    return {"end": "refused", "work": {"unknown": "its end was interrupted, and nobody has looked into it since"}}


def _left(receipt: dict[str, Any] | None) -> dict[str, Any]:
    if receipt is None:
        return {"message": "the playbook ended without a receipt", "code": "no_receipt"}
    left = [
        f"{item.get('kind')} {item.get('name')}"
        for item in receipt.get("resources") or []
        if item.get("state") != "gone"
    ]
    return {"message": f"still there or not known to be gone: {', '.join(left)}", "code": "incomplete"}


def _settle(run: Run, outcome: dict[str, Any]) -> None:
    if outcome["end"] == "terminated":
        run.journal.terminated(outcome["receipt"])
    elif outcome["end"] == "refused":
        run.journal.refused(outcome["work"])
    else:
        run.journal.not_terminated(outcome["why"], outcome["receipt"])


def _forget(plant: Plant, environment_id: str) -> None:
    """What the control plane itself kept: source and key pair."""
    source.remove(plant.core.files, environment_id)
    plant.core.files.delete(keys_key(environment_id))
    shutil.rmtree(paths.key_folder(environment_id), ignore_errors=True)
