# SPDX-License-Identifier: GPL-3.0-or-later
"""What is going on, from the event log: a model of the stages, and the plain-line view of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from fuelctl.cli._environment import moment
from fuelctl.cli._output import clean, clean_lines, duration, mark, size
from fuelctl.client import MAX_WAIT, Client

Event = Mapping[str, Any]

#: Lines of output kept for the case that something fails.
TAIL = 15
#: Label of the bar that counts the source's bytes on their way to the server.
UPLOAD = "upload"
_QUIET = ("remote.step", "remote.output", "remote.stage")


def is_echo(event: Mapping[str, Any]) -> bool:
    """Whether it says once more what another event has said: that a stage goes on, for who follows updates alone."""
    return event["type"] == "remote.update" and "stage" in (event.get("data") or {})


@dataclass
class Stage:
    """One stage as a person sees it; `begun` is on the clock of `Board`."""

    name: str
    state: str = "start"
    begun: float = 0.0
    seconds: float | None = None
    step: str = ""
    message: str = ""


@dataclass
class Board:
    """All stages so far, and the last lines of output. The events' own times are the server's: ages come from them."""

    clock: Callable[[], float] = time.time
    stages: dict[str, Stage] = field(default_factory=dict)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))

    def apply(self, event: Event) -> None:
        """Take one event into account; an event of another kind changes nothing."""
        data = event.get("data") or {}
        name = clean(data.get("stage") or "")
        if event["type"] == "remote.output":
            self.tail.extend(line for line in clean_lines(data.get("text") or "") if line.strip())
        if not name or event["type"] not in _QUIET:
            return
        stage = self.stages.setdefault(name, Stage(name, begun=self._age(event)))
        if event["type"] == "remote.stage":
            stage.state = str(data.get("state") or "start")
            stage.message = clean(data.get("message") or "")
            stage.seconds = float(data["seconds"]) if data.get("seconds") is not None else None
            if stage.state == "start":
                stage.begun = self._age(event)
        elif event["type"] == "remote.step" and data.get("state") == "start":
            stage.step = clean(data.get("step") or "")

    def seconds(self, stage: Stage) -> float:
        """How long a stage took, or has taken so far."""
        return stage.seconds if stage.seconds is not None else max(0.0, self.clock() - stage.begun)

    def _age(self, event: Event) -> float:
        at = moment(event.get("at"))
        # A server's clock that is ahead of ours must not make a stage begin in the future.
        return min(self.clock(), at.timestamp()) if at else self.clock()


class View(Protocol):
    """Shows progress while it happens."""

    board: Board

    def __enter__(self) -> View:
        """Begin to show."""

    def __exit__(self, *exception: object) -> None:
        """Leave the terminal as it was found."""

    def event(self, event: Event) -> None:
        """Show what an event says."""

    def show_bar(self, label: str, done: int, total: int) -> None:
        """Show how much of something is done, in whatever unit."""


class PlainView:
    """One line per thing that ended, for pipes, logs and dumb terminals."""

    def __init__(self, stream: TextIO) -> None:
        self.board = Board()
        self._stream = stream
        self._tenth = -1

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def event(self, event: Event) -> None:
        """Print what begins, ends or fails, as it does; a stage that is told of twice begins once."""
        stage = clean((event.get("data") or {}).get("stage") or "")
        begun = stage in self.board.stages and self.board.stages[stage].state == "start"
        self.board.apply(event)
        if begun and event["type"] == "remote.stage" and self.board.stages[stage].state == "start":
            return
        line = event_line(event, self._stream)
        if line and event["type"] in ("remote.stage", "remote.step"):
            self._print(line)

    def show_bar(self, label: str, done: int, total: int) -> None:
        """Print tenths of a long upload, and its end; what is not bytes is over too soon to be worth a line."""
        tenth = done * 10 // max(1, total)
        if label == UPLOAD and tenth > self._tenth and (total > 50_000_000 or done >= total):
            self._tenth = tenth
            self._print(f"  {label} {size(done)} of {size(total)}")

    def _print(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def event_line(event: Event, stream: TextIO) -> str | None:
    """An event of the work on an environment in one line; None for what only a machine cares about."""
    data = event.get("data") or {}
    kind, state = event["type"], data.get("state")
    seconds = duration(data["seconds"]) if data.get("seconds") is not None else ""
    message = clean(data.get("message") or "")
    if kind == "remote.stage":
        name = clean(data.get("stage") or "")
        if state == "start":
            return f"  {name} ..."
        done = {"ok": "", "reused": "reused", "failed": "failed"}.get(str(state), clean(state or ""))
        words = "  ".join(word for word in (f"{name:<10}", seconds, done, message) if word)
        return f"{mark(state != 'failed', stream)} {words}"
    if kind == "remote.step":
        if state == "start":
            return None
        words = "  ".join(word for word in (clean(data.get("step") or ""), seconds, message) if word)
        ended = {"reused": " (reused)", "failed": " (failed)"}.get(str(state), "")
        return f"    {clean(data.get('stage') or '')}: {words}{ended}"
    return None


def follow(
    client: Client,
    environment_id: str,
    show: Callable[[Event], None],
    until: Callable[[dict[str, Any]], bool],
    *,
    after: int = 0,
) -> dict[str, Any]:
    """Show every event after `after` until the environment is as `until` wants it; returns the environment then.

    FuelError when the server is stopped by a person meanwhile.
    """
    client.only_follow()
    while True:
        reply = client.events(environment_id, after=after, wait=MAX_WAIT - 5)
        events = reply["events"]
        for event in events:
            show(event)
        after = int(reply["cursor"])
        # Stages and steps do not change a status: asking after each of them would only cost time.
        if events and all(event["type"] in _QUIET or is_echo(event) for event in events):
            continue
        environment = client.environment(environment_id)
        if until(environment):
            for event in client.events(environment_id, after=after)["events"]:
                show(event)
            return environment
