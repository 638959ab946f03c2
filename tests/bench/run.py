# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: run every benchmark of this folder, write build/bench.json and docs/benchmarks.md.

A missed target is shown and never fails the run: a slow machine is not a broken program. A benchmark that cannot be
measured says why, and the others go on.

    python tests/bench/run.py [NAME ...]        (default: all; a name is a file's name without .py)

Only the sections of the page that were measured are replaced; each says of which commit and machine it is.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.bench._harness import CHECKOUT, Group, table

RESULTS = CHECKOUT / "build" / "bench.json"
PAGE = CHECKOUT / "docs" / "benchmarks.md"
HEAD = """\
# Benchmarks

`make bench` wrote this page. Figures are ratios and differences within one run on one machine, medians, contenders
taking turns. A missed target is shown, not hidden.
"""


def names() -> list[str]:
    own = {Path(__file__).stem, "conftest"}
    return sorted(
        path.stem for path in HERE.glob("*.py") if not path.stem.startswith(("_", "test_")) and path.stem not in own
    )


def measure(name: str) -> tuple[ModuleType, Group | None, str]:
    module = importlib.import_module(f"tests.bench.{name}")
    started = time.monotonic()
    print(f"bench: {name} ...", flush=True)
    try:
        group = module.measure()
    except (AssertionError, ImportError, LookupError, OSError, RuntimeError, ValueError) as error:
        traceback.print_exc()
        return module, None, f"{type(error).__name__}: {error}"
    print(f"bench: {name} took {time.monotonic() - started:.0f} s", flush=True)
    return module, group, ""


def heading(module: ModuleType) -> str:
    return f"## {(module.__doc__ or module.__name__).strip().splitlines()[0].rstrip('.')}"


def section(module: ModuleType, group: Group | None, problem: str, facts: str) -> str:
    introduction = (module.__doc__ or "").strip().partition("\n\n")[2]
    parts = [heading(module) + "\n", facts]
    if introduction:
        parts.append(introduction.strip() + "\n")
    if group is None:
        parts.append(f"Could not be measured: {problem.splitlines()[0]}\n")
        return "\n".join(parts)
    verdicts = {True: "met", False: "**missed**", None: "not measured"}
    rows = [
        (
            f"`{figure.name}`",
            "-" if figure.value is None else f"{figure.value:.2f} {figure.unit}",
            f"{'at most' if figure.better == 'lower' else 'at least'} {figure.target:g} {figure.unit}",
            verdicts[figure.met],
            figure.runs,
        )
        for figure in group.figures
    ]
    parts.append(table(("figure", "value", "target", "", "runs"), rows))
    notes = [f"- `{figure.name}`: {figure.note}" for figure in group.figures if figure.note]
    if notes:
        parts.append("\n".join(notes) + "\n")
    if group.details:
        parts.append(group.details.rstrip() + "\n")
    return "\n".join(parts)


def machine() -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    ).stdout.strip()
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    engine = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    ).stdout.strip()
    load = os.getloadavg()[0]
    return (
        f"Measured {today} at commit {commit or 'unknown'}: {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Docker {engine}, Python {platform.python_version()}; load {load:.1f} when it began.\n"
    )


def main() -> int:
    # Ended from outside, it still puts away what it made.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    wanted = sys.argv[1:] or names()
    sections, results = {}, {}
    for name in wanted:
        facts = machine()
        module, group, problem = measure(name)
        sections[heading(module)] = section(module, group, problem, facts)
        for figure in group.figures if group else []:
            results[figure.name] = {
                "value": figure.value if figure.value is None else round(figure.value, 3),
                "target": figure.target,
                "better": figure.better,
                "unit": figure.unit,
                "runs": figure.runs,
            }
            shown = "not measured" if figure.value is None else f"{figure.value:.2f} {figure.unit}"
            verdict = {True: "met", False: "missed", None: ""}[figure.met]
            print(f"  {figure.name:<40} {shown:>14}  (target {figure.target:g})  {verdict}", flush=True)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    if set(wanted) != set(names()) and RESULTS.exists():
        results = {**json.loads(RESULTS.read_text()), **results}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(f"bench: wrote {RESULTS.relative_to(CHECKOUT)}")
    PAGE.write_text(page(sections))
    print(f"bench: wrote {PAGE.relative_to(CHECKOUT)}")
    return 0


def page(sections: dict[str, str]) -> str:
    """The page with these sections, by heading, in the place of those that it had."""
    before = PAGE.read_text().partition("\n## ")[2] if PAGE.exists() else ""
    parts = [f"## {part.strip()}\n" for part in before.split("\n## ") if part.strip()]
    known = {part.partition("\n")[0]: part for part in parts} | sections
    order = [heading(importlib.import_module(f"tests.bench.{name}")) for name in names()]
    return "\n".join([HEAD, *(known[title] for title in order if title in known)])


if __name__ == "__main__":
    raise SystemExit(main())
