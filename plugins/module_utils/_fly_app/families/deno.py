# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Deno: the task or file that starts it, its tasks that build, migrate and work in the background."""

from __future__ import annotations

import re
import shlex
from typing import Any, Dict, List, Tuple

from ..._blueprint.parsers import at, json_line, json_object, table, word
from ..._errors import UsageError
from ..needs import wrapped
from ..repository import Decision, Repository
from ..resources import yaml_data

_MANIFESTS = ("deno.json", "deno.jsonc", "package.json", "deno.lock", ".npmrc")
_ENTRIES = ("main.ts", "server.ts", "app.ts", "index.ts", "mod.ts", "src/main.ts", "main.tsx", "src/server.ts")
#: `deno run`, which needs no shell and is not restarted by itself.
_PLAIN = re.compile(r"deno\s+(?:run|serve)\s+(?:(?!--watch)-[\w=.,:/*-]+\s+)*([\w./-]+\.[jt]sx?)\s*$")


def survey(repository: Repository, meta: Dict[str, Any], context: Dict[str, Any]) -> None:
    """Adds `deno`, `start` and `packages`; tasks of known names become release command and processes."""
    file = repository.root.first("deno.json", "deno.jsonc") or ""
    tasks = _tasks(repository, file)
    locked = repository.root.has("deno.lock")
    context["packages"] = {"build": [], "run": []}
    context["start"], entry, source = _start(repository, meta, tasks, context["port"])
    build, build_source = tasks.get("build", ("", ""))
    context["deno"] = {
        "manifests": [name for name in _MANIFESTS if repository.root.has(name)],
        "install": "deno install" + (" --frozen" if locked else ""),
        "build": "deno task build" if build else "",
        "entry": entry,
    }
    if build:
        context["decisions"].append(Decision("Dockerfile build", "deno task build", build_source, "task build"))
    context["decisions"].append(Decision("Dockerfile CMD", " ".join(context["start"]), source))
    data = yaml_data("needs.yml")
    for name in data["worker_scripts"]:
        if name in tasks:
            context["found_processes"].append(
                Decision("processes.worker", f"deno task {name}", tasks[name][1], f"task {name}")
            )
            break
    for name in () if context["release"] else data["migration_scripts"]:
        if name in tasks:
            context["release"] = wrapped(f"deno task {name}")
            context["decisions"].append(Decision("release_command", context["release"], tasks[name][1], f"task {name}"))
            break


def _tasks(repository: Repository, file: str) -> Dict[str, Tuple[str, str]]:
    """Task -> (its command, `file:line`)."""
    if not file:
        return {}
    text = repository.root.text(file) or ""
    found: Dict[str, Tuple[str, str]] = {}
    for name, value in table(json_object(repository.root, file, comments=True), "tasks").items():
        command = word(value.get("command") if isinstance(value, dict) else value)
        if command:
            found[name] = (command, at(repository.root, file, json_line(text, "tasks", name)))
    return found


def _start(
    repository: Repository, meta: Dict[str, Any], tasks: Dict[str, Tuple[str, str]], port: int
) -> Tuple[List[str], str, str]:
    """(argument vector, file whose modules are fetched beforehand, source) of what the image starts."""
    for name in ("start", "serve"):
        command, source = tasks.get(name, ("", ""))
        plain = _PLAIN.match(command)
        if plain:
            there = plain.group(1) if repository.root.has(plain.group(1)) else ""
            return shlex.split(command), there, source
        if command:
            return ["deno", "task", name], repository.root.first(*_ENTRIES) or "", source
    entry = repository.root.first(*_ENTRIES)
    if not entry:
        raise UsageError(
            "nothing says how it is started", where="deno.json", hint='add a task "start"', code="no_start"
        )
    serves = re.search(r"^export default\s*\{", repository.root.text(entry) or "", re.MULTILINE)
    words = meta["serve" if serves else "start"]
    return [word.format(entry=entry, port=port) for word in words], entry, f"{entry}:1"
