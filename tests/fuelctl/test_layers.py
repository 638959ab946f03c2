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

#: What everybody may import: the shared domain, folders, the version, and a few small tables.
EVERYBODYS = {"_shared", "paths", "_reserved", "_environ", "_crashpoints", "_docker_engine", "provider_traits"}
#: For each part, the other parts of fuelctl that it imports; all of them, and no more. (`fuelctl server run` is the
#: control plane: it alone leaves the CLI, by the module's name.)
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"cli"},
    "cli": {"blueprints", "client", "git", "prices", "serve_start", "source", "ssh_config", "ssh_include"},
    "answers": set(),
    "client": {"answers", "transport"},
    "transport": {"answers"},
    "blueprints": set(),
    "git": set(),
    "source": {"git"},
    "ssh_config": set(),
    "ssh_include": set(),
    "paths": set(),
    "config": set(),
    "serve_start": set(),
    "serve": {"_server_log", "config", "server", "serving"},
    "serving": {
        "_run_files",
        "_server_log",
        "accounts",
        "config",
        "environments",
        "server",
        "store",
        "webhooks",
        "workflows",
    },
    "server": {"_server_log", "accounts", "environments", "store", "config", "prices"},
    "webhooks": {"environments", "store", "config"},
    "accounts": {"environments", "store"},
    "workflows": {"_lifelines", "_run_files", "environments", "store", "runner"},
    "environments": {"store", "prices"},
    "prices": set(),
    "store": set(),
    "runner": {"_lifelines", "_run_files", "_run_events", "_supervise"},
    "_run_files": set(),
    "_lifelines": set(),
    "worker": {"_run_files", "_server_log", "workflows", "environments", "store", "config"},
    "_run_events": set(),
    "_supervise": set(),
    "_crashpoints": set(),
    "_docker_engine": set(),
    "provider_traits": set(),
    "_environ": set(),
    "_server_log": set(),
    "_reserved": set(),
    "_shared": set(),
}
#: Libraries that belong to one part alone.
OWNED = {
    "ansible_runner": {"runner"},
    "dbos": {"workflows"},
    "flask": {"server"},
    "flask_openapi3": {"server"},
    "gunicorn": {"serving"},
    "alembic": {"store"},
    "apscheduler": {"workflows"},
    "prometheus_client": {"server"},
    "psycopg": {"store"},
    "typer": {"cli", "__main__"},
    "rich": {"cli"},
    "boto3": {"store"},
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
def test_a_library_belongs_to_one_part(file: Path) -> None:
    for name in imports_of(file):
        first = name.split(".")[0]
        assert part_of(file) in OWNED.get(first, {part_of(file)}), f"{name} belongs to {sorted(OWNED[first])}"


def test_imports_run_downwards_and_no_allowance_is_idle() -> None:
    used: dict[str, set[str]] = {}
    for file in FILES:
        part = part_of(file)
        targets = {name.split(".")[1] for name in imports_of(file) if name.startswith("fuelctl.")}
        used.setdefault(part, set()).update(
            target for target in targets - EVERYBODYS - {part} if not target.startswith("__")
        )
    assert used == ALLOWED


def test_no_plugin_imports_fuelctl() -> None:
    for file in (ROOT / "plugins").rglob("*.py"):
        assert not [name for name in imports_of(file) if name.split(".")[0] == "fuelctl"], file


@pytest.mark.parametrize(
    "module", ["fuelctl._supervise", "fuelctl.serve_start", "fuelctl.paths", "fuelctl.client", "fuelctl.cli._logins"]
)
def test_what_every_command_loads_is_light(module: str) -> None:
    code = f"import {module}, sys; print([n for n in sys.modules if n.split('.')[0] in {HEAVY!r}])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
