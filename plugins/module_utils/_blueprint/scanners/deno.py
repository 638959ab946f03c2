# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Deno: deno.json(c), its tasks and its workspaces."""

from __future__ import annotations

import re
from typing import Optional

from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, json_line, json_object, line_at, strings, table, word
from ..ports import in_command, valid
from ..tree import Folder
from .common import shared_versions
from .node_workspaces import expand

_SERVE = re.compile(
    r"Deno\.serve\(\s*\{[^}]{0,200}?port:[^\d\n,}]{0,80}(\d{2,5})|\.listen\(\s*\{\s*port:\s*(\d{2,5})|\bserve\([^)]{0,200}?port:\s{0,9}(\d{2,5})",
    re.DOTALL,
)

_FRESH = frozenset(("fresh", "$fresh/", "@fresh/core"))


def scan(folder: Folder) -> Optional[Finding]:
    """The Deno project in `folder`."""
    name = folder.first("deno.json", "deno.jsonc", "deno.lock") or _conventional(folder)
    if name is None:
        return None
    configured = name.startswith("deno.json")
    data = json_object(folder, name, comments=True) if configured else {}
    text = folder.text(name) or "" if configured else ""
    finding = Finding("deno", folder.path, 68, at(folder, name), name)
    tasks = {
        key: word(value.get("command") if isinstance(value, dict) else value)
        for key, value in table(data, "tasks").items()
    }
    imports = " ".join([*map(word, table(data, "imports").values()), *tasks.values()])
    fresh = "$fresh" in imports or "@fresh/core" in imports or not _FRESH.isdisjoint(table(data, "imports"))
    if not configured:
        finding.score = 25
    elif any(key in tasks for key in ("start", "dev", "serve")):
        finding.score, finding.reason = 82, f"{name} with a start task"
    elif folder.has("package.json"):
        # Its name for a registry, or settings of its linter, beside a package of Node.js.
        finding.score = 55
    finding.versions = shared_versions(folder, "deno", ".dvmrc", ".deno-version")
    finding.managers = [Candidate("deno", at(folder, name), confidence=0.95)]
    locked = folder.has("deno.lock")
    finding.setup.append(
        Candidate(
            "deno install --frozen" if locked else "deno install",
            at(folder, "deno.lock" if locked else name),
            confidence=0.85,
        )
    )
    declared = data.get("workspace") or data.get("workspaces")
    finding.members = expand(folder, strings(declared.get("members") if isinstance(declared, dict) else declared))
    for task in ("start", "dev", "serve"):
        port = in_command(tasks.get(task, ""))
        if port:
            finding.ports.append(Candidate([port], at(folder, name, json_line(text, "tasks", task)), confidence=0.9))
            break
    _sources(folder, finding)
    for framework, port, listed in (("lume", 3000, "lume/"), ("vite", 5173, "vite")):
        if listed in table(data, "imports") or any(f"npm:{framework}" in command for command in tasks.values()):
            finding.framework = framework
            finding.default_ports.append(Candidate([port], "default", DEFAULT, 0.6, note=f"port of {framework}"))
            return finding
    if (
        fresh
        or any("deno serve" in command for command in tasks.values())
        or "@oak/oak" in imports
        or "oak" in imports
        or "hono" in imports
    ):
        finding.framework = "fresh" if fresh else "deno"
        finding.default_ports.append(Candidate([8000], "default", DEFAULT, 0.6, note=f"port of {finding.framework}"))
    return finding


def _conventional(folder: Folder) -> Optional[str]:
    """deps.ts or mod.ts: names that only Deno's own style has, where nothing else is configured."""
    if folder.first("package.json", "tsconfig.json"):
        return None
    return folder.first("deps.ts", "mod.ts")


def _sources(folder: Folder, finding: Finding) -> None:
    for entry in ("main.ts", "server.ts", "mod.ts", "app.ts", "index.ts", "src/main.ts", "main.tsx", "src/server.ts"):
        if entry.split("/", maxsplit=1)[0] in folder.names and folder.has(entry):
            text = folder.text(entry) or ""
            match = _SERVE.search(text)
            port = valid(next(group for group in match.groups() if group)) if match else None
            if match and port and not finding.ports:
                finding.ports.append(Candidate([port], at(folder, entry, line_at(text, match.start())), confidence=0.8))
            elif "Deno.serve" in text:
                finding.default_ports.append(Candidate([8000], "default", DEFAULT, 0.6, note="port of Deno.serve"))
