# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Names of the variables that a project reads, by its example files, its code and its fly.toml; never a value."""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from .._blueprint.tree import IGNORED, Tree
from .._fly_app.secret_words import private
from .data_secrets import EXAMPLES, PROVIDED, REFERENCES, ROTATIONS

#: Bounds of the search: more files of one project teach nothing new.
_MOST_FILES, _DEPTH, _MOST_SOURCES = 3000, 8, 3
#: How `fly init` lists in fly.toml what has to be set.
_LISTED = re.compile(r"^#[ ]{2,4}([A-Z][A-Z0-9_]+)(?: \(.*\))?$")
_LINE = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Z][A-Z0-9_]*)[ \t]*=")


class Name(NamedTuple):
    """A variable: its name, whether its value is a secret, where it was seen (`file:line`)."""

    name: str
    secret: bool
    sources: Tuple[str, ...]

    def as_dict(self) -> Dict[str, Any]:
        """The same as plain data; of a secret also how it is rotated."""
        known: Dict[str, Any] = {"name": self.name, "sources": list(self.sources)}
        if self.secret:
            rotation = next(each for each in ROTATIONS if re.search(each.names, self.name))
            known["rotation"] = {"kind": rotation.kind, "every_days": rotation.every_days, "how": rotation.how}
        return known


def names(tree: Tree, config: Dict[str, Any], config_path: str) -> List[Name]:
    """Every variable of the project in order of names; those that the platform sets are left out."""
    seen: Dict[str, List[str]] = {}
    secret_files = [
        str(each.get("secret_name"))
        for each in config.get("files", [])
        if isinstance(each, dict) and each.get("secret_name")
    ]
    for name in secret_files:
        seen.setdefault(name, []).append(config_path)
    for number, line in enumerate((tree.text(config_path) or "").split("\n"), 1):
        listed = _LISTED.match(line)
        if listed:
            seen.setdefault(listed.group(1), []).append(f"{config_path}:{number}")
    for path in _files(tree):
        for name, number in _in_file(tree, path):
            sources = seen.setdefault(name, [])
            if len(sources) < _MOST_SOURCES and not any(source.startswith(f"{path}:") for source in sources):
                sources.append(f"{path}:{number}")
    return [
        Name(name, private(name) or name in secret_files, tuple(sources))
        for name, sources in sorted(seen.items())
        if not re.search(PROVIDED, name)
    ]


def _files(tree: Tree) -> Iterator[str]:
    """Example files and sources, folders before what is in them."""
    folders = deque([""])
    count = 0
    while folders:
        folder = folders.popleft()
        for name, is_folder in sorted(tree.names(folder).items()):
            path = f"{folder}/{name}" if folder else name
            if is_folder:
                if name not in IGNORED and not name.startswith(".") and path.count("/") < _DEPTH:
                    folders.append(path)
            elif name in EXAMPLES or name.rpartition(".")[2] in REFERENCES:
                count += 1
                if count > _MOST_FILES:
                    return
                yield path


def _in_file(tree: Tree, path: str) -> Iterator[Tuple[str, int]]:
    text = tree.text(path)
    if text is None:
        return
    base = path.rpartition("/")[2]
    if base in EXAMPLES:
        for number, line in enumerate(text.split("\n"), 1):
            found = _LINE.match(line)
            if found:
                yield found.group(1), number
        return
    for pattern in REFERENCES[base.rpartition(".")[2]]:
        for match in re.finditer(pattern, text):
            yield match.group(1), text.count("\n", 0, match.start()) + 1
