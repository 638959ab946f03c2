# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""How a coarse module says what it is doing: one JSON line per step, appended to a file on the machine it runs on.

Ansible reports a module only when it has ended. Whoever wants to follow (fuelctl's runner, `tail -f`) reads the file.
Line: {"at": epoch seconds, "stage": str, "step": str, "state": "start"|"ok"|"reused"|"failed"|"output",
"seconds": float (not on start and output), "message": str}.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional

#: The stages that a person sees, in their usual order.
STAGES = ("source", "provider", "container", "workspace", "setup", "agent", "ready", "rescue", "survey", "destroy")


class Step:
    """What a step learns about itself while it runs."""

    def __init__(self) -> None:
        self.reused = False
        self.message = ""

    def reuse(self, message: str = "") -> None:
        """Nothing had to be done: the result of an earlier run was found and checked."""
        self.reused = True
        self.message = message or self.message


class Progress:
    """Collects the steps of one stage and appends them to `path` (when given) as they happen."""

    def __init__(self, stage: str, path: Optional[str] = None, clock: Callable[[], float] = time.time) -> None:
        self._stage = stage
        self._path = path
        self._clock = clock
        self.steps: List[Dict[str, Any]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step; an exception marks it failed and goes on its way."""
        begun = self._clock()
        step = Step()
        self._write(step=name, state="start", message="")
        try:
            yield step
        except BaseException as error:
            self._end(name, "failed", begun, str(error))
            raise
        self._end(name, "reused" if step.reused else "ok", begun, step.message)

    def output(self, step: str, text: str) -> None:
        """A piece of a command's own output, as it came."""
        self._write(step=step, state="output", message=text)

    def _end(self, name: str, state: str, begun: float, message: str) -> None:
        seconds = round(max(0.0, self._clock() - begun), 3)
        self.steps.append({"stage": self._stage, "step": name, "state": state, "seconds": seconds, "message": message})
        self._write(step=name, state=state, seconds=seconds, message=message)

    def _write(self, **fields: Any) -> None:
        if not self._path:
            return
        line = json.dumps({"at": round(self._clock(), 3), "stage": self._stage, **fields}) + "\n"
        # One write to an O_APPEND descriptor: lines of two writers never mix.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line.encode("utf-8"))
        finally:
            os.close(descriptor)
