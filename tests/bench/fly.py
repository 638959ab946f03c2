# SPDX-License-Identifier: GPL-3.0-or-later
"""Fly.io: files made and checked, and a recommendation.

Every kind of project that there are templates for (the samples of the tests). *In a warm process*: the median over
kinds of each kind's median. *As a command*: `fuelctl` from its start to its end on the Django sample, imports and all;
hadolint, another program of a quarter of a second, is left out of the check.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fuelctl._shared import _recommend
from fuelctl._shared._fly_app.checking import check
from fuelctl._shared._fly_app.planning import Options, plan
from fuelctl._shared._fly_app.rendering import render
from fuelctl._shared._fly_app.writing import compare, write
from tests.bench._harness import BUILD, CHECKOUT, FUELCTL, Figure, Group, command, table
from tests.fuelctl.fly_archive import unpack

SAMPLES = CHECKOUT / "tests" / "fuelctl" / "fly_samples"
RUNS = 5
#: Milliseconds: what is promised of making the files, and what nobody waits for.
PROMISED, NOTICED = 1000.0, 100.0
_OPTIONS = Options(environments=("dev", "staging", "production"), ci="github", regions=("fra", "iad"))


def measure() -> Group:
    """Milliseconds of each step, in one process and as a command."""
    with tempfile.TemporaryDirectory(prefix="fuel-code-bench-fly-") as name:
        places = [_made(Path(name), archive) for archive in sorted(SAMPLES.glob("*.txt"))]
        steps: dict[str, Callable[[Path], object]] = {
            "make": lambda place: render(plan(str(place), _OPTIONS)),
            "check": lambda place: check(str(place)),
            "recommend": lambda place: _recommend.recommend(_recommend.read(str(place)), {}),
        }
        warm = {step: [_median(partial(run, place)) for place in places] for step, run in steps.items()}
        django = str(Path(name) / "django")
        cold = {
            "make": _command("fly", "init", django, "--dry-run", "-e", "production"),
            "check": _command("fly", "check", django, "--no-hadolint"),
            "recommend": _command("recommend", django, "--yes"),
        }
    figures = [Figure(f"fly_{step}_ms", statistics.median(times), NOTICED, "ms", RUNS) for step, times in warm.items()]
    figures += [Figure(f"fly_{step}_command_ms", value, PROMISED, "ms", RUNS) for step, value in cold.items()]
    rows = [
        (step, len(times), f"{statistics.median(times):.1f}", f"{max(times):.1f}", f"{cold[step]:.0f}")
        for step, times in warm.items()
    ]
    head = ("step", "kinds", "warm, median ms", "warm, slowest kind ms", "command ms")
    return Group(figures=figures, details=table(head, rows))


def _made(root: Path, archive: Path) -> Path:
    folder = root / archive.stem
    folder.mkdir()
    unpack(archive, folder)
    for file in compare(str(folder), render(plan(str(folder), _OPTIONS))):
        write(str(folder), file)
    return folder


def _median(run: Callable[[], object]) -> float:
    times = []
    for turn in range(RUNS + 1):
        started = time.perf_counter()
        run()
        if turn:
            times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def _command(*arguments: str) -> float:
    """With byte code, which an installed package always has."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(BUILD / "bytecode")}
    return _median(lambda: command(FUELCTL, *arguments, env=environment))
