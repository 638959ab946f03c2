# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl logs`: the stored event log of one environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli import _progress, _receipt
from fuelctl.cli._context import AsJson, Ref, connect, find
from fuelctl.cli._environment import ENDED, moment
from fuelctl.cli._output import clean, clean_lines, emit, note, say
from fuelctl.client import Client

app = typer.Typer()


@app.command()
def logs(
    env: Ref,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the environment has ended.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", min=0, metavar="N", help="Only the last N events.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened in an environment, and follow it with -f."""
    if follow and as_json:
        raise UsageError("--follow has no end, so it cannot print one JSON document", hint="give one of the two")
    client = connect()
    environment = find(client, env)
    events, cursor = _all(client, environment["id"])
    if tail is not None:
        events = events[len(events) - min(tail, len(events)) :]
    if as_json:
        emit({"events": events, "cursor": cursor})
        return
    for event in events:
        _show(event)
    if not events and environment["status"] in ENDED:
        name, id_ = clean(environment["name"]), clean(environment["id"])
        note(f"{name} ended so long ago that its log is not kept any more. Its receipt is: fuelctl status {id_}")
    if follow and environment["status"] not in ENDED:
        try:
            ended = _progress.follow(
                client, environment["id"], _show, lambda item: item["status"] in ENDED, after=cursor
            )
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        note(f"{clean(ended['name'])} has ended ({ended['status']}).")


def _all(client: Client, environment_id: str) -> tuple[list[_progress.Event], int]:
    events: list[_progress.Event] = []
    after = 0
    while True:
        reply = client.events(environment_id, after=after)
        if not reply["events"]:
            return events, after
        events += reply["events"]
        after = int(reply["cursor"])


def _show(event: _progress.Event) -> None:
    for line in event_lines(event):
        say(line)


def event_lines(event: _progress.Event) -> list[str]:
    """One event with its local time; a line for every line of output."""
    if _progress.is_echo(event):
        return []
    at = moment(event.get("at"))
    clock = at.astimezone().strftime("%H:%M:%S") if at else "--:--:--"
    data = event.get("data") or {}
    if event["type"] == "remote.output":
        stage = clean(data.get("stage") or "")
        text = str(data.get("text") or "").rstrip("\n")
        return [f"{clock} {stage:<10} | {line}" for line in clean_lines(text)]
    if event["type"] == "remote.step" and data.get("state") == "start":
        return []
    words = _progress.event_line(event, sys.stdout)
    if words is None:
        words = told(event) or f"{clean(event['type'])} {_facts(data)}".rstrip()
    return [f"{clock} {words}"]


def told(event: _progress.Event) -> str | None:
    """What a change of the environment means, in words; None for an event that has none."""
    data = event.get("data") or {}
    words = _WORDS.get(event["type"])
    return words(data) if words else None


_WORDS: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
    "remote.update": lambda data: f"is {clean(data['status'])}" if data.get("status") else None,
    "remote.provision.start": lambda _: "provisioning begins",
    "remote.provision.ready": lambda _: "can be entered",
    "remote.provision.error": lambda data: (
        f"error: {clean((data.get('error') or {}).get('message') or 'provisioning failed')}"
    ),
    "remote.condition": lambda data: f"{clean(data.get('type') or '')}: {clean(data.get('message') or '')}",
    "remote.terminate.start": lambda data: f"ending begins, by {clean(data.get('by') or 'somebody')}",
    "remote.terminate.refused": lambda _: "ending refused: work would be lost",
    "remote.terminate.done": lambda data: f"ended; {_receipt.receipt_lines(data.get('receipt') or {})[-1]}",
    "remote.budget": lambda data: clean(data.get("message") or "") or None,
    "remote.key": lambda data: f"the key was asked for: {clean(data.get('outcome') or '')}",
}


def _facts(data: Mapping[str, Any]) -> str:
    """An event of another kind (a session, a tool): its facts as they are, none of them endless."""
    words = []
    for key, value in data.items():
        if value not in (None, "", [], {}):
            text = clean(value if isinstance(value, str) else json.dumps(value))
            words.append(f"{clean(key)}={text if len(text) <= 200 else text[:197] + '...'}")
    return " ".join(words)
