# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmark files share: figures, fair timing, and this machine's own fuelctl in a home of its own.

A benchmark is a file in this folder without a leading underscore. Its docstring's first line is the section's title in
docs/benchmarks.md, the rest its introduction, and it defines `measure() -> Group`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

CHECKOUT = Path(__file__).resolve().parents[2]
BUILD = CHECKOUT / "build" / "bench"
BIN = Path(sys.executable).parent
FUELCTL = str(BIN / "fuelctl")


@dataclass(frozen=True)
class Figure:
    """One number with its target. `value` is None when it could not be measured; `note` then says why."""

    name: str
    value: float | None
    target: float
    unit: str
    runs: int
    better: Literal["lower", "higher"] = "lower"
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target


@dataclass
class Group:
    """The figures of one file and, in Markdown, what they are made of."""

    figures: list[Figure]
    details: str = ""


@dataclass
class Contender:
    """One way to do the work. `prepare` runs before each timed run, `after` afterwards; neither is counted.

    Neither of them removes files that a run has made: ext4 keeps the inodes of removed files for some minutes, and
    looks for others at such length that whoever makes files next pays a second for what somebody else has removed.
    """

    name: str
    run: Callable[[], None]
    prepare: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def race(contenders: Sequence[Contender], *, runs: int, warm_up: int = 1) -> None:
    """Time them in turn, round by round, so that whatever else the machine does meets all of them alike."""
    for turn in range(warm_up + runs):
        for contender in contenders:
            contender.prepare()
            # What the one before has left to be written is not this one's to wait for.
            os.sync()
            started = time.perf_counter()
            try:
                contender.run()
            finally:
                seconds = time.perf_counter() - started
                contender.after()
            if turn >= warm_up:
                contender.seconds.append(seconds)


def command(*argv: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run to the end and return its standard output; RuntimeError with its last lines when it fails."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, cwd=cwd or CHECKOUT, check=False
    )
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise RuntimeError(f"{' '.join(argv[:4])} ended with {done.returncode}:\n{tail}")
    return done.stdout


@contextmanager
def fuelctl_home() -> Iterator[dict[str, str]]:
    """The environment variables of a user of fuelctl with nothing in it; at the end everything they started is gone."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="fuel-code-bench-") as folder:
        env = {**os.environ, "FUELCTL_HOME": f"{folder}/fuelctl", "HOME": folder, "NO_COLOR": "1"}
        env["PATH"] = f"{BIN}{os.pathsep}{env['PATH']}"
        try:
            yield env
        finally:
            for arguments in (["down", "--all", "--yes", "--discard"], ["server", "stop"]):
                subprocess.run(
                    [FUELCTL, *arguments], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
                )


def _quietly(env: Mapping[str, str], *arguments: str) -> bool:
    """Whether fuelctl did it."""
    argv = [FUELCTL, *arguments]
    return subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; all columns but the first are numbers, to the right."""
    lines = [f"| {' | '.join(header)} |", f"|---|{'---:|' * (len(header) - 1)}"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"
