# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""A project as the check sees it: its fly.toml files, the Dockerfile and context of each."""

from __future__ import annotations

import os
import posixpath
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .._blueprint.tree import Tree
from .._errors import UsageError
from .dockerfile import Dockerfile, ignore_patterns
from .dockerfile import parse as parse_dockerfile
from .toml_lines import Path, Toml, TomlError
from .toml_lines import parse as parse_toml

CONFIG = re.compile(r"^(?:fly(?:[.-][\w.-]+)?|[\w-]+\.fly)\.toml$")
_DOCKERFILE = re.compile(r"^(?:Dockerfile|Containerfile)(?:\.[\w.-]+)?$")
_DEEPEST = 3
#: Words in file names of environments that are not production.
_OTHERS = re.compile(
    r"(?:^|[._-])(?:staging|stage|dev|development|test|testing|review|preview|pr|qa|sandbox|demo)(?:[._-]|$)"
)


class Image(NamedTuple):
    """A Dockerfile and what decides what gets into its context."""

    file: str
    text: str
    parsed: Dockerfile
    #: Patterns of its ignore file; None when there is none.
    ignore: Optional[List[str]]
    #: The folder that is sent to the builder.
    context: str


class App(NamedTuple):
    """One fly.toml with its image; `file` is "" for a Dockerfile that no fly.toml names."""

    file: str
    document: Toml
    image: Optional[Image]
    tree: Tree

    @property
    def data(self) -> Dict[str, Any]:
        """The whole configuration."""
        return self.document.data

    @property
    def production(self) -> bool:
        """Whether the file's name does not say that it is for something else."""
        return not _OTHERS.search(posixpath.basename(self.file))

    def line(self, *path: Any) -> int:
        """Line of a key, or of the nearest above it."""
        return self.document.line(*path)

    def table(self, *path: Any) -> Dict[str, Any]:
        """The table there, {} for anything else."""
        value: Any = self.data
        for key in path:
            value = (
                value.get(key)
                if isinstance(value, dict)
                else value[key]
                if isinstance(value, list) and isinstance(key, int) and key < len(value)
                else None
            )
        return value if isinstance(value, dict) else {}

    def many(self, *path: Any) -> Iterator[Tuple[Path, Dict[str, Any]]]:
        """(path, table) of each there: of an array of tables, or of the one table."""
        value: Any = self.data
        for key in path:
            value = (
                value.get(key)
                if isinstance(value, dict)
                else value[key]
                if isinstance(value, list) and isinstance(key, int) and key < len(value)
                else None
            )
        if isinstance(value, dict):
            yield tuple(path), value
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield (*path, index), item

    @property
    def groups(self) -> Dict[str, str]:
        """Process group -> its command; the image's own command is "app" with an empty one."""
        found = {name: command for name, command in self.table("processes").items() if isinstance(command, str)}
        return found or {"app": ""}

    def mounts(self) -> List[Tuple[Path, Dict[str, Any]]]:
        """Every volume, under its new and its old name."""
        return [*self.many("mounts"), *self.many("mount")]

    def services(self) -> List[Tuple[Path, Dict[str, Any]]]:
        """http_service and services."""
        return [*self.many("http_service"), *self.many("services")]

    def mounted(self, service: Dict[str, Any]) -> bool:
        """Whether the Machines of a service's groups have a volume."""
        groups = set(strings(service.get("processes"))) or set(self.groups)
        return any(
            not mount.get("processes") or groups & set(strings(mount["processes"])) for _path, mount in self.mounts()
        )


class Trouble(NamedTuple):
    """A file that is not what it should be: the rule that it breaks, and where."""

    rule: str
    file: str
    line: int
    message: str
    #: What to do, where that is not what the rule says.
    fix: str = ""


class Project(NamedTuple):
    """All apps of a folder, what could not be used, and the text of every file that was."""

    apps: List[App]
    troubles: List[Trouble]
    texts: Dict[str, str]


def strings(value: Any) -> List[str]:
    """The strings of a list, whatever else is there."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def read(path: str) -> Project:
    """The project in a folder, or the one file that is named; UsageError when there is nothing to check."""
    if os.path.isfile(path):
        folder, name = os.path.split(os.path.abspath(path))
        tree = Tree(folder)
        configs = [name] if name.endswith(".toml") else []
        images = [] if configs else [name]
    elif os.path.isdir(path):
        tree = Tree(path)
        configs, images = _look(tree)
        configs += [name for name in _folders(tree) if name not in configs]
    else:
        raise UsageError(
            "there is no such file or folder", where=path, hint="name a project, a fly.toml or a Dockerfile"
        )
    if not configs and not images:
        raise UsageError(
            "there is neither a fly.toml nor a Dockerfile",
            where=path,
            hint="`fuelctl fly init` writes both",
            code="nothing_to_check",
        )
    return _read(tree, configs, images)


def _look(tree: Tree) -> Tuple[List[str], List[str]]:
    configs: List[str] = []
    images: List[str] = []
    places = [""]
    for _depth in range(_DEEPEST):
        deeper: List[str] = []
        for place in places:
            prefix = f"{place}/" if place else ""
            for name, folder in sorted(tree.names(place).items()):
                if not folder and CONFIG.match(name):
                    configs.append(prefix + name)
                elif (
                    not folder
                    and _DOCKERFILE.match(name)
                    and not name.endswith((".dockerignore", ".j2", ".erb", ".tmpl"))
                ):
                    images.append(prefix + name)
            deeper += tree.folders(place)
        places = deeper
    # Dockerfiles that nothing deploys matter where there is no fly.toml.
    return configs, images if not configs else []


def _folders(tree: Tree) -> List[str]:
    """Folders that bear the name of a fly.toml: somebody meant a file."""
    return sorted(name for name, folder in tree.names("").items() if folder and CONFIG.match(name))


def _read(tree: Tree, configs: List[str], images: List[str]) -> Project:
    project = Project([], [], {})
    for file in configs:
        text = tree.text(file)
        if text is None:
            project.troubles.append(_unreadable(tree, file))
            continue
        project.texts[file] = text
        line = _misread(tree, file)
        if line:
            message = "it is not UTF-8, as TOML has to be"
            project.troubles.append(Trouble("toml-invalid", file, line, message, "save the file as UTF-8"))
        try:
            document = parse_toml(text)
        except TomlError as error:
            project.troubles.append(Trouble("toml-invalid", file, error.line, error.message))
            continue
        project.apps.append(App(file, document, _image_of(tree, file, document, project), tree))
    for file in images:
        project.apps.append(App("", Toml({}, {}), _image(tree, file, posixpath.dirname(file), "", project), tree))
    return project


def _unreadable(tree: Tree, file: str) -> Trouble:
    found = next((trouble for trouble in tree.troubles if trouble.file == file), None)
    what = "it is a folder" if tree.is_folder(file) else found.message if found else "it cannot be read"
    return Trouble("unreadable", file, (found.line if found else None) or 1, what)


def _misread(tree: Tree, file: str) -> int:
    """The line on which a text that was read all the same is no UTF-8, 0 when all of it is."""
    told = next((item for item in tree.troubles if item.file == file and "read as" in item.message), None)
    return (told.line or 1) if told else 0


def _image_of(tree: Tree, file: str, document: Toml, project: Project) -> Optional[Image]:
    """The image that an app is built from: the Dockerfile it names, or the one beside it; none for ready images."""
    build = document.data.get("build")
    build = build if isinstance(build, dict) else {}
    folder = posixpath.dirname(file)
    named = build.get("dockerfile")
    if isinstance(named, str):
        place = posixpath.normpath(posixpath.join(folder, named))
        return _image(tree, place, folder, str(build.get("ignorefile") or ""), project)
    if any(build.get(key) for key in ("image", "builder", "builtin", "buildpacks")):
        return None
    for name in ("Dockerfile", "dockerfile"):
        place = posixpath.join(folder, name)
        if tree.is_file(place):
            return _image(tree, place, folder, str(build.get("ignorefile") or ""), project)
    return None


def _image(tree: Tree, file: str, context: str, ignorefile: str, project: Project) -> Optional[Image]:
    if file.startswith(("../", "/")) or not tree.is_file(file):
        return None
    text = tree.text(file)
    if text is None:
        trouble = _unreadable(tree, file)
        if trouble not in project.troubles:
            project.troubles.append(trouble)
        return None
    project.texts[file] = text
    names = [posixpath.join(context, ignorefile)] if ignorefile else []
    names += [f"{file}.dockerignore", posixpath.join(context, ".dockerignore")]
    place = next((name for name in names if tree.is_file(name)), "")
    patterns = ignore_patterns(tree.text(place) or "") if place else None
    return Image(file, text, parse_dockerfile(text), patterns, context)
