# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Members of JavaScript workspaces: npm, Yarn, pnpm, Bun, Lerna, Nx and Rush."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase, translate
from typing import Any, Dict, List

from ..parsers import json_object, lines_of, strings
from ..tree import Folder


def members(folder: Folder, data: Dict[str, Any]) -> List[str]:
    """Folders that the manifest at `folder` declares, in order; none that leads out of the tree."""
    patterns: List[str] = []
    declared = data.get("workspaces")
    patterns += strings(declared.get("packages") if isinstance(declared, dict) else declared)
    if "pnpm-workspace.yaml" in folder.names:
        patterns += _pnpm(folder)
    if "lerna.json" in folder.names and not patterns:
        patterns += strings(json_object(folder, "lerna.json").get("packages")) or ["packages/*"]
    if "nx.json" in folder.names and not patterns:
        patterns += ["apps/*", "libs/*", "packages/*"]
    if "rush.json" in folder.names:
        projects = json_object(folder, "rush.json", comments=True).get("projects")
        patterns += [
            project["projectFolder"]
            for project in (projects if isinstance(projects, list) else [])
            if isinstance(project, dict) and isinstance(project.get("projectFolder"), str)
        ]
    return expand(folder, patterns)


_ELSEWHERE = re.compile(r"(?:\bcd|--prefix|--cwd|--dir|-C)[ =]+[\"']?(?:\./)?([\w-][\w./-]*)")


def script_folders(folder: Folder, scripts: Dict[str, str]) -> List[str]:
    """Folders that scripts change into: they are parts of the project without being a workspace."""
    found: Dict[str, None] = {}
    for command in scripts.values():
        for path in _ELSEWHERE.findall(command):
            clean = path.strip("/")
            if ".." not in clean and folder.has_folder(clean) and clean not in ("node_modules", "dist", "build"):
                found[folder.at(clean)] = None
    return list(found)


def _pnpm(folder: Folder) -> List[str]:
    """The list `packages:` of pnpm-workspace.yaml, read by its lines: the file is a list of quoted words."""
    patterns: List[str] = []
    inside = False
    for _number, line in lines_of(folder.text("pnpm-workspace.yaml") or ""):
        if line.startswith("packages:"):
            inside = True
            patterns += re.findall(r"""["']?([^"',\[\]\s]+)["']?""", line[len("packages:") :])
        elif inside and line.startswith("- "):
            patterns.append(line[2:].strip().strip("\"'"))
        elif inside and not line.startswith("-"):
            inside = line in ("]", "[")
    return patterns


def expand(folder: Folder, patterns: List[str]) -> List[str]:
    """Folders that the patterns name, without what `!` patterns take away. `**` goes two levels deep."""
    taken: Dict[str, None] = {}
    refused: List[str] = []
    for pattern in patterns[:200]:
        clean = pattern.strip().lstrip("!").strip("/")
        clean = clean[2:] if clean.startswith("./") else clean
        if pattern.startswith("!"):
            refused.append(clean)
        elif clean and clean != "." and ".." not in clean.split("/"):
            for path in _match(folder, clean.split("/")):
                taken[path] = None
    if not refused:
        return list(taken)
    root = folder.path + "/" if folder.path else ""
    return [
        path
        for path in taken
        if not any(
            fnmatchcase(path[len(root) :], pattern.replace("**/", "*").replace("**", "*")) for pattern in refused
        )
    ]


def _match(folder: Folder, parts: List[str]) -> List[str]:
    paths = [folder.path]
    for part in parts:
        following: List[str] = []
        for path in paths:
            if part == "**":
                first = list(folder.tree.folders(path, declared=True))
                following += first
                for inner in first:
                    following += folder.tree.folders(inner, declared=True)
            elif "*" in part or "?" in part or "{" in part:
                inside = folder.tree.folders(path, declared=True)
                if part != "*":
                    fits = re.compile("|".join(map(translate, _braces(part)))).match
                    inside = (found for found in inside if fits(found.rpartition("/")[2]))
                following += inside
            else:
                joined = f"{path}/{part}" if path else part
                if folder.tree.is_folder(joined):
                    following.append(joined)
        paths = following[:2000]
    return [path for path in paths if path != folder.path]


def _braces(part: str) -> List[str]:
    match = re.fullmatch(r"([^{}]*)\{([^{}]*)\}([^{}]*)", part[:300])
    return [match.group(1) + option + match.group(3) for option in match.group(2).split(",")] if match else [part]
