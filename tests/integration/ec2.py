# SPDX-License-Identifier: GPL-3.0-or-later
"""ec2_machine run against the lab: one process each, that can be killed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab.ec2.client import Ec2Lab

CHECKOUT = Path(__file__).resolve().parents[2]
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: An AMI that moto knows in every region.
AMI = "ami-12c6146b"


def environment_id() -> str:
    return "01" + "".join(secrets.choice(CROCKFORD) for _each in range(24))


class Run:
    """One run of the module."""

    def __init__(self, pid: int, output: Path) -> None:
        self.pid = pid
        self._output = output

    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> bool:
        """kill -9; False when it had ended already."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
            while self.alive():
                time.sleep(0.002)
        text = self._output.read_text() if self._output.exists() else ""
        return not text.rstrip().endswith("}")

    def result(self, seconds: float = 300.0) -> dict[str, Any]:
        """What the module printed, once it has ended."""
        deadline = time.monotonic() + seconds
        while self.alive():
            assert time.monotonic() < deadline, "the module does not end"
            time.sleep(0.01)
        lines = [line for line in self._output.read_text().splitlines() if line.startswith("{")]
        assert lines, self._output.read_text()
        parsed: dict[str, Any] = json.loads(lines[-1])
        return parsed


class Modules:
    """Starts runs against one lab."""

    def __init__(self, lab: Ec2Lab, folder: Path) -> None:
        self.lab = lab
        self._folder = folder
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.collections = folder / "collections"
        link = self.collections / "ansible_collections" / "fuel_code" / "remote"
        link.parent.mkdir(parents=True)
        link.symlink_to(CHECKOUT)

    def __enter__(self) -> Modules:
        self._forker = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("ec2_forker.py")), str(self.collections)],
            env={**os.environ, **self.lab.environment()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._forker.stdout is not None
        assert self._forker.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._forker.communicate(timeout=180)

    def start(self, *, unset: Sequence[str] = (), **arguments: Any) -> Run:
        """`unset` names environment variables that this run is not to have."""
        output = self._folder / f"{next(self._numbers)}.json"
        order = {"arguments": {"poll_interval": 0.1, **arguments}, "output": str(output), "unset": [*unset]}
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        with self._lock:
            self._forker.stdin.write(json.dumps(order) + "\n")
            self._forker.stdin.flush()
            return Run(int(self._forker.stdout.readline()), output)

    def up(self, environment: str, **arguments: Any) -> Run:
        """Start a launch; without a wait for SSH unless `port` is given."""
        defaults = {"owner": "alice", "image_id": AMI, "instance_types": ["t3.micro"], "port": 0}
        return self.start(environment_id=environment, **{**defaults, **arguments})

    def down(self, *environments: str, **arguments: Any) -> Run:
        return self.start(state="absent", environment_ids=list(environments), **{"settle": 0.5, **arguments})
