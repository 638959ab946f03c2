# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ansible's events and the modules' progress lines to what a person follows: stages, steps, output, one failure.

Pure: dictionaries in, dictionaries out.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

_COLLECTION = "fuel_code.remote."
_ROLE_STAGES = {"dev_container": "container", "workspace": "workspace", "coding_agent": "agent"}
#: A result that came through async_status bears its module's name no more: its keys tell.
_SHAPES = (
    ("provider_receipt", "receipt"),
    ("dev_container", "environment"),
    ("coding_agent", "agent"),
    ("rescue", "rescue"),
    ("workspace", "work"),
    ("workspace", "workspace"),
)
#: Of a provider's tasks, those that take nothing away: in `down`, only what comes after them does.
_LOOKING = frozenset({"launch", "locate", "find", "contact", "start", "stop", "extend"})
#: Work that is begun before its stage's turn.
_AHEAD = "fetch"
#: A machine of one environment, by its host's name. Who works in it may be root there, and have modules say anything.
_ONE_S = re.compile(r"fuel-([0-7][0-9a-hjkmnp-tv-z]{25})")
#: What is the provider's to say, or the control plane's own, and no machine's.
_NOT_A_MACHINE_S = frozenset({"contact", "disk", "let_in", "lost", "machine", "provider", "receipt"})
#: What is read of any result, as it has to be.
_SHAPED: dict[str, type] = {"observed": list, "steps": list, "error": dict}
_TAIL_LINES = 20
_LONGEST_TEXT = 8192
_LARGEST_OUTPUT = 8 * 1024 * 1024
_LONGEST_MESSAGE = 2000


@dataclass
class _Open:
    begun: float
    states: list[str] = field(default_factory=list)


class Story:
    """Follows one run. Feed it with `progress` and `ansible`; take typed events `{type, at, data}` out of both."""

    def __init__(self, verb: str) -> None:
        #: `up` or `down`: a provider's role is stage `provider` in one and `destroy` in the other.
        self._provider_stage = {"down": "destroy", "rescue": "rescue"}.get(verb, "provider")
        self._open: dict[str, _Open] = {}
        self._stage = self._provider_stage
        self._tails: dict[str, deque[str]] = {}
        self._output_left = _LARGEST_OUTPUT
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.failure: dict[str, Any] | None = None
        self._complaints: deque[str] = deque(maxlen=_TAIL_LINES)

    def progress(self, line: dict[str, Any]) -> list[dict[str, Any]]:
        """One line of a module's progress file."""
        stage, step, state, at = (line.get(key) for key in ("stage", "step", "state", "at"))
        if not isinstance(stage, str) or not isinstance(step, str) or not isinstance(at, (int, float)):
            return []
        told = self._begin(stage, float(at))
        message = str(line.get("message") or "")
        if state == "output":
            self._tails.setdefault(stage, deque(maxlen=_TAIL_LINES)).extend(message.splitlines())
            return told + self._output(stage, step, message, float(at))
        if state != "start":
            self._open[stage].states.append(str(state))
        told.append(
            _event("remote.step", at, stage=stage, step=step, state=state, seconds=line.get("seconds"), message=message)
        )
        return told

    def ansible(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """One event of Ansible's, as the child hands it on."""
        kind, at = event.get("event"), float(event.get("at") or 0.0)
        if kind == "playbook_on_task_start":
            stage = self._stage_of_role(event.get("role"), event.get("file"))
            if stage is None:
                return []
            self._stage = stage
            return self._begin(stage, at)
        if kind in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable"):
            return self._result(event, at, failed=kind != "runner_on_ok")
        if kind in ("error", "verbose", "warning", "playbook_on_no_hosts_matched"):
            self._complaints.extend(line for line in str(event.get("stdout") or "").splitlines() if line.strip())
        return []

    def end(self, at: float, *, ok: bool) -> list[dict[str, Any]]:
        """The run has ended: so have its stages."""
        told = []
        for stage in list(self._open):
            failed = not ok and (self.failure is None or self.failure["stage"] == stage)
            told += self._close(stage, at, "failed" if failed else None)
        return told

    def explain(self, rc: int) -> dict[str, Any]:
        """Why the run failed: what a task said; else what Ansible itself said last."""
        if self.failure is not None:
            return self.failure
        said = [line for line in self._complaints if "ERROR" in line] or list(self._complaints)
        message = said[-1].strip() if said else f"ansible-playbook ended with exit code {rc}"
        return self._failure(self._stage, {"message": message.removeprefix("ERROR!").removeprefix("[ERROR]:").strip()})

    def _result(self, event: dict[str, Any], at: float, *, failed: bool) -> list[dict[str, Any]]:
        result = event.get("res") if isinstance(event.get("res"), dict) else {}
        result = _believed(str(event.get("host") or ""), result or {})
        module = _module(str(event.get("action") or ""), result)
        if not failed and module is not None:
            self.results.setdefault(module, []).append(result)
        if failed and event.get("ignored"):
            return []
        unreachable = event.get("event") == "runner_on_unreachable"
        if unreachable and self._looks():
            self._stage = "survey"
        told: list[dict[str, Any]] = []
        steps = [step for step in result.get("steps") or [] if isinstance(step, dict)]
        stages = list(dict.fromkeys(str(step.get("stage")) for step in steps))
        # What never began there is a part of what is under way.
        stages = stages or ([] if unreachable else self._stages_of(module))
        if failed:
            # A machine that nobody could look into has been told of: the playbook refuses to go on because of that.
            known = self.failure is not None and self._looks()
            stage = next((str(s["stage"]) for s in reversed(steps) if s.get("state") == "failed"), None)
            stage = stage or (stages[-1] if stages else self._stage)
            if self.failure is None:
                self.failure = self._failure(stage, result.get("error") or _plain_failure(event, result), result)
            if self._refused() or known:
                # The survey itself went well, and has been told of: what it found is why the play ends here.
                return []
            told += self._begin(stage, at) + self._close(stage, at, "failed")
            return told
        for stage in stages:
            # A provider's work is that of several modules: it ends when something else begins.
            if stage != self._provider_stage:
                told += self._close(stage, at)
        return told

    def _failure(self, stage: str, error: dict[str, Any], result: dict[str, Any] | None = None) -> dict[str, Any]:
        details = error.get("details") if isinstance(error.get("details"), dict) else {}
        told = (details or {}).get("tail") or (result or {}).get("stderr_lines") or list(self._tails.get(stage, ()))
        tail = told.splitlines() if isinstance(told, str) else [str(line) for line in told]
        lines = str(error.get("message") or "it failed without a reason").strip().splitlines()
        return {
            "message": (lines[0] if lines else "it failed without a reason")[:_LONGEST_MESSAGE],
            "hint": error.get("hint"),
            "where": error.get("where"),
            "code": error.get("code") or "failed",
            "stage": stage,
            "tail": tail[-_TAIL_LINES:],
        }

    def _begin(self, stage: str, at: float) -> list[dict[str, Any]]:
        if stage in self._open:
            return []
        told = []
        if stage != self._provider_stage and self._provider_stage in self._open and stage != "survey":
            told += self._close(self._provider_stage, at)
        self._open[stage] = _Open(at)
        return [*told, _event("remote.stage", at, stage=stage, state="start", seconds=None, message="")]

    def _close(self, stage: str, at: float, state: str | None = None) -> list[dict[str, Any]]:
        opened = self._open.pop(stage, None)
        if opened is None:
            return []
        ended = "reused" if opened.states and all(item == "reused" for item in opened.states) else "ok"
        # A set-up command that fails does not fail its module (people mend it inside), but its stage has failed.
        if opened.states and opened.states[-1] == "failed":
            ended = "failed"
        seconds = round(max(0.0, at - opened.begun), 3)
        return [
            _event(
                "remote.stage",
                at,
                stage=stage,
                state=state or ended,
                seconds=seconds,
                message="",
            )
        ]

    def _output(self, stage: str, step: str, text: str, at: float) -> list[dict[str, Any]]:
        if self._output_left <= 0:
            return []
        self._output_left -= len(text)
        if self._output_left <= 0:
            text = "(more output was not kept)"
        pieces = [text[start : start + _LONGEST_TEXT] for start in range(0, len(text), _LONGEST_TEXT)]
        return [_event("remote.output", at, stage=stage, step=step, text=piece) for piece in pieces]

    def _looks(self) -> bool:
        """Whether an ending takes nothing away yet: so far, it goes to the machine itself only to look into it."""
        return self._provider_stage == "destroy" and "destroy" not in self._open

    def _refused(self) -> bool:
        """Whether a survey found work that would be lost."""
        return any(result.get("would_lose") for result in self.results.get(f"{_COLLECTION}workspace", []))

    def _stage_of_role(self, role: Any, file: Any) -> str | None:
        name = str(role or "").removeprefix(_COLLECTION)
        down = self._provider_stage == "destroy"
        if name.startswith("provider_") or name == "docker_engine":
            return None if down and file in _LOOKING else self._provider_stage
        if file == _AHEAD:
            return None
        return self._stage_named(name)

    def _stage_named(self, name: str) -> str | None:
        """The stage that a role's or module's work is: of the workspace, an ending sees only its survey."""
        if self._provider_stage == "destroy" and name == "workspace":
            return "survey"
        return _ROLE_STAGES.get(name)

    def _stages_of(self, module: str | None) -> list[str]:
        stage = self._stage_named((module or "").removeprefix(_COLLECTION))
        return [stage] if stage else []


def _module(action: str, result: dict[str, Any]) -> str | None:
    if action.startswith(_COLLECTION):
        return action
    for name, key in _SHAPES:
        if isinstance(result.get(key), dict):
            return _COLLECTION + name
    return None


def _believed(host: str, result: dict[str, Any]) -> dict[str, Any]:
    """The result without what its host has no say in: others' environments, and what its provider tells."""
    one = _ONE_S.fullmatch(host)
    if one is None:
        return result
    kept = {key: value for key, value in result.items() if key not in _NOT_A_MACHINE_S}
    for key, shape in _SHAPED.items():
        if not isinstance(kept.get(key), shape):
            kept.pop(key, None)
    if "observed" in kept:
        mine = one.group(1).upper()
        seen = (each for each in kept["observed"] if isinstance(each, dict) and each.get("environment_id") == mine)
        # Whether it runs at all is its provider's word, which says in what state it is.
        kept["observed"] = [{key: value for key, value in each.items() if key != "state"} for each in seen]
    return kept


def _plain_failure(event: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    if result.get("censored"):
        return {"message": f"task {event.get('task')!r} failed; its output is kept secret"}
    message = str(result.get("msg") or result.get("stderr") or "").strip()
    code = "unreachable" if event.get("event") == "runner_on_unreachable" else "task_failed"
    lines = [line for line in message.splitlines() if line.strip()]
    # Of a traceback only the last line says what happened.
    shown = lines[-1] if lines and "Traceback" in message else (lines[0] if lines else "")
    return {"message": shown or f"task {event.get('task')!r} failed", "code": code, "where": event.get("task")}


def _event(type_: str, at: Any, **data: Any) -> dict[str, Any]:
    return {"type": type_, "at": float(at), "data": data}
