# SPDX-License-Identifier: GPL-3.0-or-later
"""Detecting a blueprint.

Ours against `@specfy/stack-analyser`, `@netlify/build-info` and `linguist-js`: each in one warm process of its own, on
the same directories, the machine's cache warm for all. Small projects are the corpus of the tests; the big trees are
made for this. They answer different questions (a peer may find fewer things, or other ones): time is what is compared.
"""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fuelctl._shared import _blueprint
from tests.bench._harness import BUILD, Figure, Group, command, table
from tests.unit.plugins.module_utils._blueprint.corpus_table import materialise, projects

PEERS = ("@specfy/stack-analyser", "@netlify/build-info", "linguist-js")
RUNS = 5
SCRIPT = Path(__file__).with_name("blueprint_peers.mjs")


def measure() -> Group:
    """Medians of each project's median; the tail is the 95th percentile over projects."""
    peers = _install()
    with tempfile.TemporaryDirectory(prefix="fuel-code-bench-detect-") as name:
        folder = Path(name)
        small = [
            _made(folder / f"small-{number}", functools.partial(materialise, row))
            for number, row in enumerate(projects())
        ]
        big = {
            "monorepo of 300 workspaces": _made(folder / "workspaces", _workspaces),
            "tree of 200,000 files": _made(folder / "tree", _tree),
        }
        rows: list[tuple[object, ...]] = []
        ours = [statistics.median(times) for times in _ours(small)]
        rows.append(_row("small projects", "fuelctl", ours))
        # A fifth of them for the peers: the slowest takes a fifth of a second for each.
        rows += [
            _row("small projects (every fifth)", peer, [times[0] for times in _theirs(peers, peer, small[::5], 1)])
            for peer in PEERS
        ]
        figures = [
            Figure("detect_small_median_ms", statistics.median(ours), 1.0, "ms", RUNS),
            Figure("detect_small_p95_ms", _tail(ours), 5.0, "ms", RUNS),
        ]
        for title, path in big.items():
            mine = statistics.median(_ours([path])[0])
            rows.append(_row(title, "fuelctl", [mine]))
            theirs = {peer: statistics.median(_theirs(peers, peer, [path], 0)[0]) for peer in PEERS}
            rows += [_row(title, peer, [milliseconds]) for peer, milliseconds in theirs.items()]
            key = "workspaces" if "workspaces" in title else "tree"
            figures += [
                Figure(f"detect_{key}_ms", mine, 10.0, "ms", RUNS),
                Figure(
                    f"detect_{key}_fastest_peer_per_ours", min(theirs.values()) / mine, 5.0, "x", RUNS, better="higher"
                ),
            ]
        note = "imports included, byte code compiled"
        figures.append(Figure("detect_first_in_a_process_ms", _cold(small[0]), 60.0, "ms", RUNS, note=note))
    return Group(figures=figures, details=table(("what", "detector", "median ms", "p95 ms"), rows))


def _row(what: str, who: str, milliseconds: Sequence[float]) -> tuple[object, ...]:
    return what, f"`{who}`", f"{statistics.median(milliseconds):.2f}", f"{_tail(milliseconds):.2f}"


def _tail(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(len(values) * 0.95) - 1]


def _made(path: Path, make: Callable[[Path], object]) -> Path:
    path.mkdir()
    make(path)
    return path


def _workspaces(root: Path) -> None:
    (root / "package.json").write_text(
        json.dumps({"private": True, "workspaces": ["apps/*", "packages/*"], "packageManager": "pnpm@9.1.0"})
    )
    (root / "pnpm-lock.yaml").write_text("lockfileVersion: '9.0'\n" + "# line\n" * 20000)
    for number in range(300):
        folder = root / ("apps" if number % 6 == 0 else "packages") / f"part-{number}"
        (folder / "src").mkdir(parents=True)
        framework = {"next": "15"} if number % 6 == 0 else {"react": "19"}
        (folder / "package.json").write_text(
            json.dumps({"name": folder.name, "dependencies": framework, "scripts": {"build": "tsc"}}, indent=2)
        )
        for file in ("tsconfig.json", "README.md", "src/index.ts"):
            (folder / file).write_text("{}\n")


def _tree(root: Path) -> None:
    (root / "package.json").write_text(
        json.dumps({"dependencies": {"express": "4"}, "scripts": {"start": "node a.js"}})
    )
    for number in range(2000):
        folder = root / f"area-{number % 40}" / f"part-{number}"
        folder.mkdir(parents=True)
        for file in range(100):
            (folder / f"module-{file}.js").touch()


def _ours(places: Sequence[Path]) -> list[list[float]]:
    result = []
    for place in places:
        _blueprint.detect(place)
        mine = []
        for _run in range(RUNS):
            started = time.perf_counter()
            _blueprint.detect(place)
            mine.append((time.perf_counter() - started) * 1000)
        result.append(mine)
    return result


def _cold(place: Path) -> float:
    """The first detection of a process, milliseconds; with byte code, which an installed package always has."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(BUILD / "bytecode")}
    code = (
        "import sys, time; t = time.perf_counter(); from fuelctl._shared import _blueprint as b; "
        "b.detect(sys.argv[1]); print((time.perf_counter() - t) * 1000)"
    )

    def run() -> float:
        return float(command(sys.executable, "-c", code, str(place), env=environment))

    run()
    return statistics.median(run() for _run in range(RUNS))


def _install() -> Path:
    """The peers from npm, once per checkout; LookupError where there is no Node.js."""
    node = shutil.which("node")
    npm = shutil.which("npm")
    if not node or not npm:
        raise LookupError("the peers need node and npm on this machine")
    folder = BUILD / "detect-peers"
    if not all((folder / "node_modules" / peer / "package.json").exists() for peer in PEERS):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        command(npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *PEERS, cwd=folder)
    shutil.copy(SCRIPT, folder / SCRIPT.name)
    return folder


def _theirs(folder: Path, peer: str, places: Sequence[Path], runs: int) -> list[list[float]]:
    done = subprocess.run(
        ["node", SCRIPT.name, peer, str(runs)],
        cwd=folder,
        input="\n".join(map(str, places)),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env={**os.environ, "NODE_NO_WARNINGS": "1"},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{peer} ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    times: list[list[float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return times
