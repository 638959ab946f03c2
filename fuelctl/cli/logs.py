# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl logs`: the stored event log of one environment."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli import _progress
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
    if words is not None:
        return [f"{clock} {words}"]
    facts = " ".join(
        f"{clean(key)}={clean(value if isinstance(value, str) else json.dumps(value))}"
        for key, value in data.items()
        if value not in (None, "", [], {})
    )
    return [f"{clock} {clean(event['type'])} {facts}".rstrip()]
