# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for Fly.io run against the lab: one process each, that can be killed."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab.fly.client import FlyLab

from .ec2 import CHECKOUT, Run, environment_id

__all__ = ["FlyLab", "Modules", "Run", "app_of", "environment_id"]


def app_of(environment: str) -> str:
    return f"fuel-code-{environment.lower()}"


def token_of(environment: str) -> str:
    """A token of its own, by which faults know whose call it is."""
    return f"FlyV1 lab-{environment}"


class Modules:
    """Starts runs against one lab."""

    def __init__(self, lab: FlyLab, folder: Path) -> None:
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
            [sys.executable, str(Path(__file__).with_name("fly_forker.py")), str(self.collections)],
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

    def start(self, module: str, **arguments: Any) -> Run:
        output = self._folder / f"{next(self._numbers)}.json"
        order = {"module": module, "arguments": arguments, "output": str(output)}
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        with self._lock:
            self._forker.stdin.write(json.dumps(order) + "\n")
            self._forker.stdin.flush()
            return Run(int(self._forker.stdout.readline()), output)

    def result(self, module: str, **arguments: Any) -> dict[str, Any]:
        """What the module printed."""
        return self.start(module, **arguments).result()
