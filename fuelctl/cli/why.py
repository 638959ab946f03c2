# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl why`: why an environment is kept or was ended, from the record of the decision."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import typer

from fuelctl.cli import _rescue
from fuelctl.cli._context import AsJson, Ref, connect, find
from fuelctl.cli._environment import ENDED, moment, now
from fuelctl.cli._output import clean, duration, emit, say

app = typer.Typer()

#: Kinds of work, in a person's words.
KINDS = {
    "agent": "the agent told of something",
    "terminal": "something was typed",
    "processor": "processes were at work",
    "connection": "an editor or a forwarded port was in use",
    "person": "somebody asked for it or extended it",
    "start": "its container was started",
}
_ACTIONS = {
    "keep": "it is kept",
    "observe": "its machine is asked first",
    "resume": "its operation is taken up again",
    "retry": "its end is tried again",
    "abandon": "it is given up",
    "end": "it is ended",
    "stop": "its machine is stopped",
}


@app.command()
def why(env: Ref, as_json: AsJson = False) -> None:
    """Show why an environment is kept or was ended, and what would end it when."""
    client = connect()
    environment = find(client, env)
    found = client.decision(environment["id"])
    if as_json:
        emit({**found, "rescued": environment.get("rescued")})
        return
    for line in [*lines(found, now()), *_rescue.lines_of(environment)]:
        say(line)


def lines(found: Mapping[str, Any], at: datetime) -> list[str]:
    """The record for people: the decision, what was seen and when, what would end it."""
    status, by = clean(found["status"]), clean(found.get("ended_by") or "")
    shown = [f"{clean(found['name'])} is {status}{f', by {by}' if by else ''}."]
    activity = found.get("activity") or {}
    ending = found.get("ending")
    decided = ending if status in ENDED or status == "terminating" else found.get("now")
    if ending and ending is not decided and ending["action"] == "stop":
        # What is decided about one that does not run says nothing of why.
        shown += ["", *_decision(ending)]
    if decided:
        shown += ["", *_decision(decided)]
    elif status in ENDED or status == "terminating":
        shown += ["", "It was not the reaper that ended it."]
    shown += _seen(activity, at, live=status not in ENDED)
    for end in found.get("ends") or []:
        left = duration(end["in_seconds"])
        sure = "whatever happens" if end["by"] == "ttl" else "if nothing happens any more"
        if end["by"] == "stop":
            shown.append(f"{'Stops in':<11} {left}, {sure}")
            continue
        first = end is next(each for each in found["ends"] if each["by"] != "stop")
        shown.append(f"{'Ends in' if first else 'Else in':<11} {left} by {clean(end['by'])}, {sure}")
    if activity.get("kept"):
        shown.append(f"{'Kept':<11} {clean(activity['kept'])}")
    return shown


def _decision(decision: Mapping[str, Any]) -> list[str]:
    did = _ACTIONS.get(decision["action"], clean(decision["action"]))
    shown = [f"{'Decision':<11} {did}: {clean(decision['reason'])}"]
    if decision.get("at"):
        again = "comes out the same" if decision.get("agrees") else f"comes out as {_replayed(decision)}"
        shown.append(f"{'Made':<11} {clean(decision['at'])}; from its inputs, today, it {again}")
    inputs = decision["inputs"]
    shown.append(f"{'TTL left':<11} {_seconds(inputs.get('seconds_left'))}")
    if inputs.get("idle_limit") is not None:
        ago = inputs.get("observed_ago")
        looked = f"looked into {_seconds(ago)} before" if ago is not None else "not looked into yet"
        shown.append(f"{'Quiet':<11} {_seconds(inputs.get('quiet'))} of {_seconds(inputs['idle_limit'])}; {looked}")
    return shown


def _replayed(decision: Mapping[str, Any]) -> str:
    replayed = decision["replayed"]
    return f"{clean(replayed['action'])}: {clean(replayed['reason'])}"


def _seen(activity: Mapping[str, Any], at: datetime, *, live: bool) -> list[str]:
    """When each kind of work was last seen; of one that has ended, at what time."""

    def when(text: str) -> str:
        then = moment(text)
        return f"{duration(max(0.0, (at - then).total_seconds()))} ago" if then and live else clean(text)

    last = sorted((activity.get("last") or {}).items(), key=lambda item: str(item[1]), reverse=True)
    shown = [f"{'Last' if not index else '':<11} {when(told)}: {KINDS.get(kind, clean(kind))}" for index, (kind, told)
             in enumerate(last)]  # fmt: skip
    if activity.get("observed_at"):
        shown.append(f"{'Looked into':<11} {when(activity['observed_at'])}")
    return shown


def _seconds(value: Any) -> str:
    return duration(max(0.0, float(value))) if isinstance(value, (int, float)) else "-"
