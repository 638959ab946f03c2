# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Everything around the code that says how it runs, read only when it is asked for."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Tuple

from .data_ci import SETUP_KEYS
from .findings import ALIAS, RANGE, Candidate
from .parsers import at, line_at, lines_of, table, toml_line, toml_table, word
from .ports import in_command, unique, valid
from .tree import Folder
from .versions import END, candidate

if TYPE_CHECKING:
    from .around.compose import Compose
    from .around.devcontainer import DevContainer
    from .around.dockerfile import Dockerfile

_CI_FILES = 12
#: Names of a matrix that one key may refer to.
_CI_MATRICES = 8
#: Lines with one key, and characters of a value, that are read of one workflow.
_CI_LINES, _CI_VALUE = 60, 2000
#: Processes of a Procfile that somebody connects to.
_LISTENING = frozenset("web server app api backend frontend client".split())
_CI_IMAGE = re.compile(r"^[ \t]*(?:-[ \t]+)?(?:image|name):[ \t]*[\"']?([a-z0-9][\w./:@-]{1,200})", re.MULTILINE)
_TARGET = re.compile(r"^(setup|bootstrap|install|deps|init|dependencies|install-deps)\s*:(?!=)", re.MULTILINE)


class Signals:
    """Lazily read surroundings of the root."""

    def __init__(self, root: Folder) -> None:
        self.root = root
        self.dev: Optional[DevContainer] = None
        if ".devcontainer" in root.names or ".devcontainer.json" in root.names:
            from .around import devcontainer

            self.dev = devcontainer.read(root)
        self.compose: Optional[Compose] = self._compose()
        self._docker: Dict[str, List[Tuple[str, Dockerfile]]] = {}
        self._ci: Optional[List[Tuple[str, Candidate]]] = None

    def _compose(self) -> Optional[Compose]:
        extra = self.dev.compose if self.dev else ()
        if not extra and not any("compose" in name for name in self.root.names):
            others = ("docker", ".docker", "infra", "deploy", "deployments", "local.yml", "local.yaml")
            if not any(name in self.root.names for name in others):
                return None
        from .around import compose

        files = compose.files_of(self.root, tuple(name for name in extra if name and self.root.has(name)))
        return compose.read(self.root, files) if files else None

    def folders(self) -> List[str]:
        """Folders that the project names as its own parts: build contexts of compose files."""
        return list(self.compose.contexts) if self.compose else []

    def dockerfiles(self, folder: Folder) -> List[Tuple[str, Dockerfile]]:
        """(name, content) of the Dockerfiles of a folder, the most telling first."""
        known = self._docker.get(folder.path)
        if known is None:
            known = []
            names = [name for name in folder.names if "ockerfile" in name or "ontainerfile" in name or name == "docker"]
            if names:
                from .around import dockerfile

                for name in dockerfile.NAMES:
                    if name.split("/", maxsplit=1)[0] in names and folder.has(name):
                        read = dockerfile.read(folder, name)
                        if read is not None:
                            known.append((name, read))
                            break
            self._docker[folder.path] = known
        return known

    def versions(self, folder: Folder, runtime: str) -> List[Candidate]:
        """Candidates of a runtime from the dev container and the Dockerfiles."""
        found = [item for name, item in self.dev.versions if name == runtime] if self.dev else []
        for place in {folder.path: folder, "": self.root}.values():
            for name, file in self.dockerfiles(place):
                from .around import dockerfile

                matching = [item for kind, item in dockerfile.versions(place, name, file) if kind == runtime]
                found += matching[-1:]
        if self.compose and not folder.path:
            found += [item for name, item in self.compose.versions if name == runtime]
        return found

    def base_runtimes(self, folder: Folder) -> List[Tuple[str, str]]:
        """(runtime, source) that base images name, the last stage first."""
        found: List[Tuple[str, str]] = []
        for name, file in self.dockerfiles(folder):
            found += [(runtime, at(folder, name, line)) for runtime, _version, line in reversed(file.bases)]
        return found

    def ci_versions(self, runtime: str) -> List[Candidate]:
        """What workflows set up: a weak source, read only where nothing better is there."""
        if self._ci is None:
            self._ci = [*(self._read_ci() if ".github" in self.root.names else []), *self._ci_images()]
        return [item for name, item in self._ci if name == runtime]

    def _read_ci(self) -> List[Tuple[str, Candidate]]:
        found: List[Tuple[str, Candidate]] = []
        folder = ".github/workflows"
        names = sorted(name for name in self.root.tree.names(self.root.at(folder)) if name.endswith((".yml", ".yaml")))
        # The workflow that tests says more than one that labels issues.
        names.sort(key=lambda name: 0 if re.match(r"(ci|test|build|main)", name) else 1)
        for name in names[:_CI_FILES]:
            file = f"{folder}/{name}"
            text = self.root.text(file) or ""
            known = {runtime for runtime, _item in found}
            for key, runtime in SETUP_KEYS.items():
                if runtime not in known:
                    words = list(_ci_words(text, key))
                    found += [(runtime, item) for item in _best(words, runtime, at(self.root, file))]
        return found

    def _ci_images(self) -> List[Tuple[str, Candidate]]:
        """What GitLab's and CircleCI's jobs run in."""
        found: List[Tuple[str, Candidate]] = []
        for name in (".gitlab-ci.yml", ".circleci/config.yml"):
            text = self.root.text(name) or "" if name.partition("/")[0] in self.root.names else ""
            for match in islice(_CI_IMAGE.finditer(text), _CI_LINES):
                from .around.dockerfile import runtime_of_image

                runtime, version = runtime_of_image(match.group(1))
                source = at(self.root, name, line_at(text, match.start()))
                if version and not any(known == runtime for known, _item in found):
                    found += [
                        (runtime, item) for item in candidate(version, runtime, source, confidence=0.5, note="CI")
                    ]
        return found

    def ports(self, folder: Folder) -> List[Candidate]:
        """Stated ports of the application, the source that counts first at the front."""
        found: List[Candidate] = []
        if self.dev and self.dev.ports and not folder.path:
            found.append(self.dev.ports)
        for name, file in self.dockerfiles(folder):
            if file.ports:
                found.append(
                    Candidate(list(file.ports), at(folder, name, file.ports_line), confidence=0.95, note="EXPOSE")
                )
        if not folder.path:
            found += self._compose_ports()
            found += self._fly_ports()
            for name in ("Procfile.dev", "Procfile"):
                found += self._procfile(name)
        for name, file in self.dockerfiles(folder):
            if file.started:
                found.append(
                    Candidate(
                        [file.started],
                        at(folder, name, file.started_line),
                        confidence=0.85,
                        note="start command of the image",
                    )
                )
        return found

    def served_ports(self, folder: Folder) -> List[Candidate]:
        """Port of the web server whose image pages or PHP are put into."""
        return [
            Candidate([file.served[0]], at(folder, name, file.served[1]), confidence=0.7, note="port of the base image")
            for name, file in self.dockerfiles(folder)
            if file.served
        ]

    def _compose_ports(self) -> List[Candidate]:
        stated = [(ports, source) for ports, source in (self.compose.applications if self.compose else ()) if ports]
        if not stated:
            return []
        numbers = unique([port for ports, _source in stated for port in ports])
        return [Candidate(numbers, stated[0][1], confidence=0.93, note="target of the compose file")]

    def _fly_ports(self) -> List[Candidate]:
        if "fly.toml" not in self.root.names:
            return []
        data = toml_table(self.root, "fly.toml")
        text = self.root.text("fly.toml") or ""
        services = data.get("services")
        for value in (
            table(data, "http_service").get("internal_port"),
            *[
                service.get("internal_port")
                for service in (services if isinstance(services, list) else [services])
                if isinstance(service, dict)
            ],
        ):
            port = valid(word(value))
            if port:
                return [
                    Candidate(
                        [port],
                        at(self.root, "fly.toml", toml_line(text, "internal_port")),
                        confidence=0.92,
                        note="internal_port",
                    )
                ]
        return []

    def _procfile(self, name: str) -> List[Candidate]:
        ports: List[int] = []
        processes: List[str] = []
        first = 0
        for number, line in lines_of(self.root.text(name) or "") if name in self.root.names else ():
            process, _colon, command = line.partition(":")
            port = in_command(command) if process in _LISTENING else None
            if port:
                first = first or number
                ports.append(port)
                processes.append(process)
        if not ports:
            return []
        note = f"process {', '.join(processes)}"
        return [Candidate(unique(ports), at(self.root, name, first), confidence=0.9, note=note)]

    def setup_target(self) -> List[Candidate]:
        """The set-up target of a Makefile or justfile."""
        for name, command in (("Makefile", "make"), ("makefile", "make"), ("justfile", "just"), ("Justfile", "just")):
            if name in self.root.names:
                text = self.root.text(name) or ""
                match = _TARGET.search(text)
                # `install` of a Makefile of a C program copies files into the system.
                if match and not (command == "make" and match.group(1) == "install" and "DESTDIR" in text):
                    source = at(self.root, name, line_at(text, match.start()))
                    return [Candidate(f"{command} {match.group(1)}", source, confidence=0.7, note="set-up target")]
        return []

    def debian_packages(self, streamlit: bool) -> List[Candidate]:
        """Packages that a list for some host names: Binder's, Heroku's, and Streamlit's where it is Streamlit."""
        for name in ("apt.txt", "binder/apt.txt", "Aptfile", *(["packages.txt"] if streamlit else [])):
            if name.split("/", 1)[0] in self.root.names and self.root.has(name):
                return [
                    Candidate(line, at(self.root, name, number), note="listed there")
                    for number, line in lines_of(self.root.text(name) or "")
                    if re.fullmatch(r"[a-z0-9][a-z0-9+.-]{1,80}", line)
                ]
        return []

    def env_names(self) -> List[Candidate]:
        """Names of the variables that an example file lists; never their values."""
        for name in (".env.example", ".env.sample", ".env.template", ".env.dist", "env.example", "example.env"):
            if name in self.root.names and not self.root.names[name]:
                names = re.findall(
                    r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=", self.root.text(name) or "", re.MULTILINE
                )
                if names:
                    return [
                        Candidate(list(dict.fromkeys(names)), at(self.root, name), confidence=0.9, note="names only")
                    ]
        return []


def _ci_words(text: str, key: str, matrix: bool = True) -> Iterator[Tuple[str, int]]:
    """(version word, line) of every `key:` of a workflow: one value, a list in either way of writing it, a matrix."""
    followed = {key}
    lines = re.finditer(rf"^[ \t]*(?:-[ \t]+)?{re.escape(key)}:[ \t]*(.*)$", text, re.MULTILINE)
    for match in islice(lines, _CI_LINES):
        value = match.group(1)
        reference = re.search(r"\bmatrix\.([\w-]+)", value)
        if reference and matrix:
            if reference.group(1) not in followed and len(followed) < _CI_MATRICES:
                followed.add(reference.group(1))
                yield from _ci_words(text, reference.group(1), matrix=False)
            continue
        if not value or value.startswith("#"):
            listed = re.compile(r"(?:\n[ \t]*(?:-[ \t].*|#.*)?)*").match(text, match.end())
            value = re.sub(r"(?m)^[ \t]*-|#.*$", "", listed.group(0)) if listed else ""
        line = line_at(text, match.start())
        for item in re.findall(r"[\w.*/-]+", re.sub(r"\$\{\{.*?\}\}|#.*", "", value[:_CI_VALUE])):
            if item.lstrip("v")[:1].isdigit() or item.startswith("lts") or item == "stable":
                yield item, line


def _best(words: List[Tuple[str, int]], runtime: str, file: str) -> List[Candidate]:
    """One candidate of all that a workflow sets up: the only one, or the newest of several, and then as a range."""
    flavour = "pep440" if runtime == "python" else "npm"
    found: Dict[str, Candidate] = {}
    for text, line in words:
        source = f"{file.rpartition(':')[0]}:{line}"
        for item in candidate(text, runtime, source, flavour=flavour, confidence=0.5, note="CI"):
            found.setdefault(item.value, item)
    if len(found) < 2:
        return list(found.values())
    newest = max(found.values(), key=lambda item: item.bounds[0][0] if item.bounds else END)
    if newest.kind == ALIAS:
        return [newest]
    bounds = tuple(bound for item in found.values() for bound in item.bounds)
    raw = ", ".join(item.raw for item in found.values())[:100]
    return [newest._replace(kind=RANGE, confidence=0.45, raw=raw, note="CI matrix", bounds=bounds)]
