# SPDX-License-Identifier: GPL-3.0-or-later
"""The house's layers: imports run downwards only, in two columns that meet at HTTP."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fuelctl"

#: For each part, the parts of fuelctl that it may import; `_shared`, `paths` and the version are everybody's.
EVERYBODYS = {"_shared", "paths", "", "_reserved", "_environ", "_crashpoints"}
ALLOWED: dict[str, set[str]] = {
    "cli": {
        "client",
        "serve",
        "serve_start",
        "source",
        "ssh_config",
        "ssh_include",
        "git",
        "blueprints",
        "config",
        "cli",
        "__main__",
    },
    "client": set(),
    "serve_start": set(),
    "store": {"store"},
    "environments": {"environments", "store"},
    "server": {"server", "environments", "store", "config"},
    "runner": {"_run_files", "_run_events"},
    "_run_files": set(),
    "_run_events": set(),
    "_supervise": set(),
    "_crashpoints": set(),
    "config": set(),
    "workflows": {"workflows", "environments", "store", "runner"},
    "serve": {"server", "workflows", "environments", "store", "config"},
}
#: Libraries that belong to one part alone.
OWNED = {
    "ansible_runner": {"runner"},
    "dbos": {"workflows"},
    "flask": {"server"},
    "flask_openapi3": {"server"},
    "gunicorn": {"serve"},
    "alembic": {"store"},
    "apscheduler": {"workflows"},
    "typer": {"cli", "__main__"},
    "rich": {"cli"},
    "boto3": set(),
    "docker": set(),
}
#: What a quick command must never load.
HEAVY = ("boto3", "botocore", "flask", "sqlalchemy", "dbos", "ansible", "requests", "pydantic", "gunicorn")


def part_of(file: Path) -> str:
    """`server` for fuelctl/server/app.py, `runner` for fuelctl/runner.py."""
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(file: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if node.module == "fuelctl"
                else {str(node.module)}
            )
    return found


FILES = sorted(file for file in PACKAGE.rglob("*.py") if "_collection" not in file.parts)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_run_downwards(file: Path) -> None:
    part = part_of(file)
    for name in imports_of(file):
        words = name.split(".")
        if words[0] in OWNED:
            assert part in OWNED[words[0]], f"{name} belongs to {sorted(OWNED[words[0]])}"
        if words[0] == "fuelctl" and part in ALLOWED:
            target = words[1] if len(words) > 1 else ""
            assert target in ALLOWED[part] | EVERYBODYS or target.startswith("__"), f"{part} must not import {name}"


def test_no_plugin_imports_fuelctl() -> None:
    for file in (ROOT / "plugins").rglob("*.py"):
        assert not [name for name in imports_of(file) if name.split(".")[0] == "fuelctl"], file


@pytest.mark.parametrize("module", ["fuelctl._supervise", "fuelctl.serve_start", "fuelctl.paths", "fuelctl.client"])
def test_what_every_command_loads_is_light(module: str) -> None:
    code = f"import {module}, sys; print([n for n in sys.modules if n.split('.')[0] in {HEAVY!r}])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
