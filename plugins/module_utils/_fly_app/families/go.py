# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Go: which packages are programs, whether C is needed, which folders the program reads."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Tuple

from ..._errors import UsageError
from ..needs import runtime_packages
from ..repository import Decision, Repository

#: Folders that programs read when they run, where they are not embedded.
_ASSETS = ("templates", "views", "static", "public", "assets", "web", "migrations")
#: Modules that need cgo.
_C = (
    "github.com/mattn/go-sqlite3",
    "github.com/confluentinc/confluent-kafka-go",
    "github.com/h2non/bimg",
    "gocv.io/x/gocv",
)


def survey(repository: Repository, meta: Dict[str, Any], context: Dict[str, Any]) -> None:
    """Adds `go`, `start` and `packages`; several programs below cmd/ become processes."""
    programs = _programs(repository)
    if not programs:
        raise UsageError(
            "no package main was found", hint="main.go belongs into the root or below cmd/NAME/", code="no_start"
        )
    cgo = repository.dependency(*_C)
    embedded = repository.grep(r"^//go:embed", "*.go")
    packages = list(repository.detection.blueprint.get("system_packages") or []) if cgo else []
    context["go"] = {
        "manifests": [name for name in ("go.mod", "go.sum") if repository.root.has(name)],
        "packages": [path for _name, path, _source in programs],
        "cgo": bool(cgo),
        "assets": [] if embedded else [name for name in _ASSETS if repository.tree.is_folder(name)],
    }
    running = runtime_packages(packages)
    context["packages"] = {"build": [name for name in packages if name not in running], "run": running}
    images = meta["images"]
    context["images"]["run"] = (
        images["run_volume"] if context["volume"] or running else images["run_cgo"] if cgo else images["run"]
    )
    name, _path, source = next((item for item in programs if item[0] in ("server", "web", "api", "app")), programs[0])
    context["start"] = [name]
    context["decisions"].append(Decision("Dockerfile CMD", name, source))
    if cgo:
        context["decisions"].append(Decision("CGO_ENABLED", 1, cgo, "needs the C library"))
    for other, _path, place in programs:
        if other in ("worker", "scheduler", "cron", "consumer") and other != name:
            context["found_processes"].append(Decision(f"processes.{other}", other, place, "a program of its own"))


def _programs(repository: Repository) -> List[Tuple[str, str, str]]:
    """(name of the binary, package to build, source) of every program."""
    found: List[Tuple[str, str, str]] = []
    module = repository.grep(r"^module\s+(\S+)", "go.mod")
    if repository.grep(r"^package main\b", "*.go") and repository.root.ending(".go"):
        place = repository.grep(r"^func main\(\)", *repository.root.ending(".go"))
        if place:
            name = module[0].group(1).rpartition("/")[2] if module else "app"
            found.append((name, ".", place[1]))
    for folder in sorted(repository.tree.names("cmd")):
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", folder):
            continue
        path = f"cmd/{folder}"
        inner = [f"{path}/{name}" for name in sorted(repository.tree.names(path)) if name.endswith(".go")]
        place = repository.grep(r"^func main\(\)", *inner) if inner else None
        if place:
            found.append((folder, f"./{path}", place[1]))
    return found
