# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Compose files: the services beside the application, and where the application's own images are built."""

from __future__ import annotations

import posixpath
import re
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from ..data_services import PASSWORDS, PORTS
from ..findings import Candidate
from ..parsers import at, line_at, strings, table, word, yaml_object
from ..ports import unique, valid
from ..tree import Folder
from ..versions import candidate
from .dockerfile import runtime_of_image

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
OVERRIDES = (
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
)
LOCAL = ("local.yml", "local.yaml")
#: Files for development by their names; production and test files are for machines, not for people.
_DEVELOPMENT = re.compile(
    r"(?:docker-)?compose[.-](?:dev|develop|development|local|services|infra|db|deps|dependencies)\.ya?ml"
)
_NESTED = (
    "docker/docker-compose.yml",
    "docker/docker-compose.yaml",
    "docker/compose.yml",
    "docker/compose.yaml",
    "infra/docker-compose.yml",
    "deploy/docker-compose.yml",
    "deployments/docker-compose.yml",
    ".docker/docker-compose.yml",
)
#: Names that services of an application's own have.
_APPLICATIONS = frozenset("app web api backend frontend worker website webapp streaming sidekiq celery beat".split())
_PROXIES = frozenset("nginx nginx-unprivileged httpd apache caddy traefik haproxy envoy".split())
#: Manifest -> where it names the project; what stands before a slash is its owner.
_NAMES = (
    ("package.json", re.compile(r"^[ \t{]{0,9}\"name\"[ \t]{0,9}:[ \t]{0,9}\"([\w./@-]{1,200})\"", re.MULTILINE)),
    ("composer.json", re.compile(r"^[ \t{]{0,9}\"name\"[ \t]{0,9}:[ \t]{0,9}\"([\w./-]{1,200})\"", re.MULTILINE)),
    ("go.mod", re.compile(r"^module[ \t]{1,9}([\w./~-]{1,200})", re.MULTILINE)),
    ("pyproject.toml", re.compile(r"^name[ \t]{0,9}=[ \t]{0,9}[\"']([\w.-]{1,200})[\"']", re.MULTILINE)),
    ("Cargo.toml", re.compile(r"^name[ \t]{0,9}=[ \t]{0,9}[\"']([\w.-]{1,200})[\"']", re.MULTILINE)),
    ("mix.exs", re.compile(r"\bapp:[ \t]{0,9}:(\w{1,200})")),
)
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:?[-?+])([^}]*))?\}|\$(\w+)")
_IMAGE = re.compile(r"^[a-z0-9][a-z0-9._:/@-]*(?::[\w][\w.-]*)?(?:@sha256:[a-f0-9]{64})?$", re.IGNORECASE)


class Service(NamedTuple):
    """A service that runs from an image of others."""

    data: Dict[str, Any]
    source: str


class Compose(NamedTuple):
    """What all compose files of a project say together."""

    services: Tuple[Service, ...]
    #: (ports, source) of services that are built here or mount the whole tree.
    applications: Tuple[Tuple[List[int], str], ...]
    #: Folders that images are built from, relative to the tree's root.
    contexts: Tuple[str, ...]
    #: (runtime, candidate) of stock images that the tree is mounted into.
    versions: Tuple[Tuple[str, Candidate], ...]


def files_of(folder: Folder, more: Tuple[str, ...] = ()) -> List[str]:
    """Compose files in the order in which they are laid over each other."""
    base = folder.first(*NAMES)
    files = [base] if base else []
    files += [name for name in OVERRIDES if folder.has(name)]
    files += sorted(name for name in folder.names if _DEVELOPMENT.fullmatch(name))
    if not files:
        files += [name for name in _NESTED if name.split("/", maxsplit=1)[0] in folder.names and folder.has(name)][:1]
    if not files:
        # The names that Cookiecutter Django gave its files.
        files += [name for name in LOCAL if folder.has(name)][:1]
    if not files:
        files += sorted(name for name in folder.names if re.fullmatch(r"(?:docker-)?compose[\w.-]*\.ya?ml", name))[:1]
    return list(dict.fromkeys([*files, *more]))


def read(folder: Folder, files: List[str]) -> Compose:
    """Services of all `files` together; a later file changes what an earlier one says."""
    merged: Dict[str, Dict[str, Any]] = {}
    sources: Dict[str, str] = {}
    homes: Dict[str, str] = {}
    queue = list(files)
    for name in queue:
        data = yaml_object(folder, name)
        for entry in data.get("include") or [] if isinstance(data.get("include"), list) else []:
            for path in strings(entry.get("path") if isinstance(entry, dict) else entry):
                inner = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
                if not inner.startswith("..") and inner not in queue and len(queue) < 20:
                    queue.append(inner)
        declared = table(data, "services")
        if not declared and isinstance(data.get("version"), type(None)):
            # The first format has the services at the top.
            declared = {
                key: value
                for key, value in data.items()
                if isinstance(value, dict) and ("image" in value or "build" in value)
            }
        text = folder.text(name) or ""
        for key, value in declared.items():
            if isinstance(key, str) and isinstance(value, dict):
                merged[key] = {**merged.get(key, {}), **_extended(folder, name, value, declared, 0)}
                homes.setdefault(key, posixpath.dirname(name))
                if key not in sources:
                    found = re.search(rf"^[ \t]+[\"']?{re.escape(key)}[\"']?[ \t]*:", text, re.MULTILINE)
                    sources[key] = at(folder, name, line_at(text, found.start()) if found else 1)
    return _sort(folder, merged, sources, homes)


def _extended(folder: Folder, name: str, value: Dict[str, Any], siblings: Dict[str, Any], depth: int) -> Dict[str, Any]:
    """`value` laid over the service that it extends, in this file or another."""
    extends = value.get("extends")
    if not extends or depth > 4:
        return value
    wanted = extends.get("service") if isinstance(extends, dict) else extends
    file = extends.get("file") if isinstance(extends, dict) else None
    if isinstance(file, str):
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), file))
        siblings = table(yaml_object(folder, name), "services") if not name.startswith("..") else {}
    parent = siblings.get(wanted) if isinstance(wanted, str) else None
    return {**_extended(folder, name, parent, siblings, depth + 1), **value} if isinstance(parent, dict) else value


def _sort(folder: Folder, merged: Dict[str, Dict[str, Any]], sources: Dict[str, str], homes: Dict[str, str]) -> Compose:
    services: List[Service] = []
    applications: List[Tuple[List[int], str]] = []
    contexts: List[str] = []
    versions: List[Tuple[str, Candidate]] = []
    own = _own_images(merged)
    names = _project_names(folder)
    for name, value in merged.items():
        image = resolve(word(value.get("image")))
        build = value.get("build")
        database = _database(folder, build, homes[name]) if build else ""
        if database:
            # A database with a script or an extension of its own is still a database.
            image, build = database, None
        stock = image if image and not build and runtime_of_image(image)[0] else ""
        if build or stock or image in own or _bears(image, names) or _mounts_tree(value, homes[name]):
            applications.append((targets(value.get("ports")) or targets(value.get("expose")), sources[name]))
            if image and not build:
                runtime, version = runtime_of_image(image)
                versions += [
                    (runtime, item)
                    for item in (candidate(version, runtime, sources[name], confidence=0.8) if runtime else ())
                ]
            context = build if isinstance(build, str) else table(build).get("context") if build else None
            path = posixpath.normpath(posixpath.join(homes[name], resolve(word(context)))) if context else "."
            if path not in (".", "..") and not path.startswith(("../", "/")) and folder.tree.is_folder(folder.at(path)):
                contexts.append(folder.at(path))
        elif (
            image
            and _IMAGE.match(image)
            and not value.get("profiles")
            and re.fullmatch(r"[A-Za-z0-9][\w.-]{0,62}", name)
        ):
            services.append(Service(_service(name, image, value), sources[name]))
    return Compose(tuple(services), tuple(applications), tuple(dict.fromkeys(contexts)), tuple(versions))


def _own_images(merged: Dict[str, Dict[str, Any]]) -> Set[str]:
    """Images of the application itself: built by some service here, or published and run under such a name."""
    images: Set[str] = set()
    for name, value in merged.items():
        image = resolve(word(value.get("image")))
        published = "/" in image and kind_of(image) not in (*PORTS, *_PROXIES) and name in _APPLICATIONS
        if image and (value.get("build") or published):
            images.add(image)
    return images


def _project_names(folder: Folder) -> Set[str]:
    """What the project calls itself: in its manifests, and by its folder."""
    names = {posixpath.basename(folder.tree.root).lower()}
    for file, pattern in _NAMES:
        match = pattern.search(folder.text(file) or "") if folder.has(file) else None
        if match:
            names.add(re.sub(r"/v\d{1,4}$", "", match.group(1).lower()).rsplit("/", 1)[-1])
    return {name for name in names if name}


def _bears(image: str, names: Set[str]) -> bool:
    """Whether an image that somebody publishes bears the project's name: then it is the application, made elsewhere."""
    kind = kind_of(image)
    return (
        "/" in image
        and kind not in (*PORTS, *_PROXIES)
        and any(name == kind or name.endswith(f"-{kind}") or kind.startswith(f"{name}-") for name in names)
    )


def _database(folder: Folder, build: Any, home: str) -> str:
    """Image of the service that a Dockerfile only adds to; "" where it builds anything else."""
    context = build if isinstance(build, str) else word(table(build).get("context"))
    recipe = (word(table(build).get("dockerfile")) if isinstance(build, dict) else "") or "Dockerfile"
    path = posixpath.normpath(posixpath.join(home, resolve(context) or ".", resolve(recipe)))
    text = folder.text(path) or "" if not path.startswith(("..", "/")) else ""
    bases = re.findall(
        r"^FROM[ \t]+(?:--\S+[ \t]+)?([\w./:@-]+)[ \t]*(?:[aA][sS][ \t]+\S+[ \t]*)?$", text, re.MULTILINE
    )
    return bases[0] if len(bases) == 1 and kind_of(bases[0]) in PORTS else ""


def _mounts_tree(value: Dict[str, Any], home: str) -> bool:
    """Whether a service mounts the whole project: then it is the application in a stock image."""
    tree = {".", "./"} if not home else {posixpath.relpath(".", home), posixpath.relpath(".", home) + "/"}
    for volume in value.get("volumes") or [] if isinstance(value.get("volumes"), list) else []:
        origin = (
            volume.get("source")
            if isinstance(volume, dict)
            else volume.split(":", 1)[0]
            if isinstance(volume, str)
            else None
        )
        if origin in tree or origin in ("${PWD}", "$PWD"):
            return True
    return False


def _service(name: str, image: str, value: Dict[str, Any]) -> Dict[str, Any]:
    kind = kind_of(image)
    ports = targets(value.get("ports")) or targets(value.get("expose")) or list(PORTS.get(kind, ()))
    command = value.get("command")
    words = (
        [resolve(part) for part in strings(command)] if isinstance(command, list) else _split(resolve(word(command)))
    )
    return {
        "name": name,
        "image": image,
        "env": _environment(value.get("environment"), kind),
        "ports": ports,
        "command": words,
    }


def kind_of(image: str) -> str:
    """`ghcr.io/team/postgres:16` is postgres."""
    return image.split("@", 1)[0].rsplit("/", 1)[-1].split(":", 1)[0].lower()


def _split(command: str) -> List[str]:
    import shlex

    try:
        return shlex.split(command)
    except ValueError:
        return []


def _environment(value: Any, kind: str) -> Dict[str, str]:
    pairs: Dict[str, str] = {}
    if isinstance(value, dict):
        for key, item in value.items():
            text = str(item).lower() if isinstance(item, bool) else word(item)
            pairs[str(key)] = resolve(text)
    else:
        for entry in strings(value):
            key, _equals, text = entry.partition("=")
            pairs[key.strip()] = resolve(text.strip())
    for key in PASSWORDS.get(kind, ()):
        if key in pairs and not pairs[key]:
            # Its value is in a file that is not ours to read, and without one the service does not start.
            pairs[key] = "development"
    return {
        key: text for key, text in pairs.items() if text and re.fullmatch(r"[A-Za-z_]\w*", key) and "\n" not in text
    }


def resolve(text: str) -> str:
    """`${NAME:-default}` as its default; a variable without one becomes nothing, and so does a tag made of it."""
    resolved = _VARIABLE.sub(lambda match: (match.group(3) or "") if (match.group(2) or "").endswith("-") else "", text)
    return resolved.rstrip(":").rstrip("-") if resolved != text else text


def targets(value: Any) -> List[int]:
    """Container ports of `ports:` or `expose:`, in every way of writing them."""
    ports: List[Optional[int]] = []
    for entry in value if isinstance(value, list) else []:
        if isinstance(entry, dict):
            ports.append(valid(word(entry.get("target"))))
            continue
        text = resolve(word(entry))
        if text.endswith("/udp"):
            continue
        last = text.split("/", 1)[0].rsplit(":", 1)[-1]
        ports.append(valid(last.split("-", 1)[0]))
    return unique([port for port in ports if port])
