# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 where a lab holds a call, whichever cloud it imitates: begun again until nothing is held any more.

Nobody lists the calls: a lab holds each one once before it takes effect, each that changes something once after it did,
too, and whoever waits for it is killed there.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .harness import Fuelctl


class Lab(Protocol):
    """What all labs have."""

    def ask(self, method: str, path: str, data: dict[str, Any] | None = None) -> Any:
        """One request to the control endpoint."""

    def fault(self, action: str, effect: str = "error", **rule: Any) -> None:
        """A rule that says which call goes wrong."""

    def wait_for(self, condition: Callable[[], Any], seconds: float = 30.0) -> Any:
        """The first true value."""


@dataclass(frozen=True)
class Death:
    """The call that was under way: `hold` before it took effect, `hold-after` when it had."""

    action: str
    effect: str


def hold_every_call(lab: Lab) -> None:
    """Each before it takes effect: whether a call that reads was answered is the same to whoever begins again."""
    lab.fault("*", "hold", service="*", each=True, seconds=300)


def hold(lab: Lab, *deaths: Death) -> None:
    for death in deaths:
        lab.fault(death.action, death.effect, service="*", times=1, seconds=300)


def held_or_ended(lab: Lab, process: subprocess.Popen[str]) -> bool:
    return bool(lab.ask("GET", "held")) or process.poll() is not None


def until_it_goes_through(
    lab: Lab, start: Callable[[], subprocess.Popen[str]], kill: Callable[[subprocess.Popen[str]], None]
) -> tuple[subprocess.Popen[str], list[Death]]:
    """Begin again and again, each time killed where the lab holds a call, until none is held any more."""
    deaths: list[Death] = []
    while True:
        process = start()
        lab.wait_for(functools.partial(held_or_ended, lab, process), seconds=300)
        held = lab.ask("GET", "held")
        if not held:
            return process, deaths
        kill(process)
        deaths.append(Death(held[0]["action"], held[0]["effect"]))
        lab.ask("POST", "release", {})


def settle_through_deaths(
    lab: Lab, person: Fuelctl, name: str, kill: Callable[[], None] | None = None, seconds: float = 480
) -> tuple[dict[str, Any], list[Death]]:
    """Until no work is under way: `kill`, by default of the whole control plane, wherever the lab holds a call."""
    deaths: list[Death] = []
    asked = 0.0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        held = lab.ask("GET", "held")
        if held:
            (kill or person.kill_everything)()
            deaths.append(Death(held[0]["action"], held[0]["effect"]))
            lab.ask("POST", "release", {})
            asked = 0.0
        elif time.monotonic() - asked > 3:
            # Starts the control plane when it is dead.
            environment = person.show(name)
            asked = time.monotonic()
            if environment["operation"] is None and not lab.ask("GET", "held"):
                return environment, deaths
        time.sleep(0.1)
    raise AssertionError(f"not settled: {person.show(name)}")


def kill_playbooks(person: Fuelctl) -> None:
    """kill -9 of every ansible-playbook of this person's, and of nothing else; AssertionError when there is none.

    These do not have the person's environment: they are found as what the control plane began.
    """
    parents = dict(_parents())
    ours = set(person.server_pids())
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    killed = 0
    for pid in ours:
        try:
            if b"bin/ansible-playbook" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                killed += 1
        except OSError:
            continue
    assert killed, "no playbook is played"


def _parents() -> Iterator[tuple[int, int]]:
    """Every process, and whose child it is."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])
