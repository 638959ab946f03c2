# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""devcontainer.json: what its author wrote for development outranks what we would guess."""

from __future__ import annotations

import posixpath
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ..findings import Candidate
from ..parsers import at, json_line, json_object, line_at, strings, table, word
from ..ports import unique, valid
from ..scanners.common import TOOLS, clean
from ..tree import Folder
from ..versions import candidate
from . import dockerfile

_BAD_BASE = ("alpine", "scratch", "windows", "fedora", "centos", "rocky", "alma", "ubi", "arch", "nixos")
_COMPOSE_NAMES = 8


class DevContainer(NamedTuple):
    """What the file states."""

    image: Optional[Candidate]
    #: (runtime, candidate) of the image and the features.
    versions: Tuple[Tuple[str, Candidate], ...]
    ports: Optional[Candidate]
    setup: Tuple[Candidate, ...]
    compose: Tuple[str, ...]


def read(root: Folder) -> Optional[DevContainer]:
    """The development container of the project; None when it has none."""
    name = _find(root)
    if name is None:
        return None
    data = json_object(root, name, comments=True)
    text = root.text(name) or ""
    if not data:
        return None
    home = posixpath.dirname(name)
    image = word(data.get("image"))
    versions: List[Tuple[str, Candidate]] = []
    chosen = None
    if image and "$" not in image:
        source = at(root, name, json_line(text, "image"))
        runtime, version = dockerfile.runtime_of_image(image)
        if runtime and version:
            versions += [
                (runtime, item)
                for item in candidate(version, runtime, source, confidence=0.88, note="image of the dev container")
            ]
        if not any(bad in image for bad in _BAD_BASE) and re.fullmatch(r"[a-z0-9][\w./:@-]*", image):
            chosen = Candidate(image, source, confidence=0.95, note="image of the dev container")
    versions += _features(root, name, text, table(data, "features"))
    recipe = _beside(home, word(table(data, "build").get("dockerfile")) or word(data.get("dockerFile")) or "Dockerfile")
    if home and root.has(recipe):
        arguments = {key: word(value) for key, value in table(data, "build", "args").items()}
        own = dockerfile.read(root, recipe, arguments)
        versions += dockerfile.versions(root, recipe, own)[-1:] if own else []
    return DevContainer(
        chosen,
        tuple(versions),
        _ports(root, name, text, data),
        tuple(_setup(root, name, text, data)),
        tuple(_beside(home, file) for file in strings(data.get("dockerComposeFile"))[:_COMPOSE_NAMES]),
    )


def _find(root: Folder) -> Optional[str]:
    if ".devcontainer" in root.names:
        if root.has(".devcontainer/devcontainer.json"):
            return ".devcontainer/devcontainer.json"
        for folder in sorted(root.tree.names(root.at(".devcontainer"))):
            if root.has(f".devcontainer/{folder}/devcontainer.json"):
                return f".devcontainer/{folder}/devcontainer.json"
    return ".devcontainer.json" if root.has(".devcontainer.json") else None


def _beside(home: str, file: str) -> str:
    path = posixpath.normpath(posixpath.join(home, file)) if file else ""
    return "" if path.startswith(("..", "/")) else path


def _features(root: Folder, name: str, text: str, features: Dict[str, Any]) -> List[Tuple[str, Candidate]]:
    found: List[Tuple[str, Candidate]] = []
    for key, options in features.items():
        tool = key.split(":", 1)[0].rsplit("/", 1)[-1]
        runtime = TOOLS.get(tool)
        version = word(options.get("version")) if isinstance(options, dict) else word(options)
        if runtime and version and version not in ("none", "os-provided"):
            source = at(root, name, line_at(text, text.find(key)))
            found += [
                (runtime, item)
                for item in candidate(
                    clean(runtime, version), runtime, source, confidence=0.88, note="feature of the dev container"
                )
            ]
    return found


def _ports(root: Folder, name: str, text: str, data: Dict[str, Any]) -> Optional[Candidate]:
    for key in ("forwardPorts", "appPort"):
        value = data.get(key)
        numbers = [
            valid(word(entry).rsplit(":", 1)[-1])
            for entry in (value if isinstance(value, list) else [value])
            if not (key == "forwardPorts" and ":" in word(entry))
        ]
        ports = unique([number for number in numbers if number])
        if ports:
            return Candidate(ports, at(root, name, json_line(text, key)), confidence=0.97, note=key)
    return None


def _setup(root: Folder, name: str, text: str, data: Dict[str, Any]) -> List[Candidate]:
    found: List[Candidate] = []
    for key in ("onCreateCommand", "updateContentCommand", "postCreateCommand"):
        source = at(root, name, json_line(text, key))
        commands = [command for command in _commands(data.get(key)) if "${" not in command]
        found += [Candidate(command, source, confidence=0.97, note=key) for command in commands]
    return found


def _commands(value: Any) -> List[str]:
    import shlex

    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list):
        return [" ".join(shlex.quote(part) for part in strings(value))] if strings(value) else []
    if isinstance(value, dict):
        return [command for entry in value.values() for command in _commands(entry)]
    return []
