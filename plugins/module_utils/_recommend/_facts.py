# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a repository shows about how it could be hosted: facts by name, each with where it was seen."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List

from .._blueprint import detect
from .._blueprint.tree import IGNORED, Tree
from .data_rules import DEPENDENCIES, MANIFESTS, PLATFORMS, SIGNS, SIGNS_INSIDE

#: Folders looked at: parts of a monorepo lie in the second level.
_DEPTH, _MOST_FOLDERS = 2, 200
#: Parts that run side by side and are many.
_MANY = 4
_SERVERS = ("elixir", "php")
_DATABASES = re.compile(r"postgres|mysql|mariadb|cockroach|mssql|timescale|postgis", re.IGNORECASE)
_CACHES = re.compile(r"redis|valkey|memcached|dragonfly|keydb", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """Facts that hold -> `file:line` or the like where that was seen; platforms as the detector gives them."""

    seen: Dict[str, str] = field(default_factory=dict)
    platforms: List[Dict[str, Any]] = field(default_factory=list)


def read(folder: str) -> Facts:
    """Look at a repository; UsageError when there is no such folder."""
    found = detect(folder)
    platforms = [each for each in found.platforms if each["detected"]]
    seen: Dict[str, str] = {}
    for each in platforms:
        seen.setdefault(PLATFORMS[each["name"]], each["signals"][0]["source"])
    tree = Tree(folder)
    for path in _files(tree):
        for fact in _of_file(tree, path):
            seen.setdefault(fact, path)
    blueprint = found.blueprint
    for service in blueprint.get("services", []):
        image = str(service["image"])
        if _DATABASES.search(image):
            seen.setdefault("postgres", f"service {service['name']}")
        if _CACHES.search(image):
            seen.setdefault("cache", f"service {service['name']}")
    runtimes = [runtime["name"] for runtime in blueprint.get("runtimes", [])]
    if runtimes == ["static"]:
        seen.setdefault("site", "its files")
    if "server" not in seen and any(name in _SERVERS for name in runtimes):
        seen["server"] = "its runtime"
    parts = _parts(tree)
    if len(parts) + len(blueprint.get("services", [])) >= _MANY:
        seen["many"] = ", ".join(parts) or "its services"
    return Facts(seen, platforms)


def _files(tree: Tree) -> Iterator[str]:
    folders, known = deque([""]), 1
    while folders:
        folder = folders.popleft()
        for name, is_folder in sorted(tree.names(folder).items()):
            path = f"{folder}/{name}" if folder else name
            if is_folder:
                looked = name not in IGNORED and not name.startswith(".") and path.count("/") < _DEPTH
                if looked and known < _MOST_FOLDERS:
                    folders.append(path)
                    known += 1
            elif name in MANIFESTS or name in SIGNS or name in SIGNS_INSIDE:
                yield path


def _of_file(tree: Tree, path: str) -> Iterator[str]:
    name = path.rpartition("/")[2]
    if name in SIGNS:
        yield SIGNS[name]
        return
    text = tree.text(path) or ""
    signs = SIGNS_INSIDE.get(name, DEPENDENCIES)
    yield from (fact for fact, sign in signs.items() if _has(sign, text))


def _has(pattern: str, text: str) -> bool:
    return bool(re.search(pattern, text, re.MULTILINE | re.IGNORECASE))


def _parts(tree: Tree) -> List[str]:
    """Folders that are built into images of their own."""
    images = (path.rpartition("/") for path in _files(tree))
    return sorted({folder or "." for folder, _slash, name in images if SIGNS.get(name) == "image"})
