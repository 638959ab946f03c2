# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""One repository as the generator sees it: what detection found in it, and questions to its files with `file:line`."""

from __future__ import annotations

import fnmatch
import re
from typing import Any, Dict, List, Match, NamedTuple, Optional, Tuple

from .._blueprint.data_images import RUNTIME_DATA
from .._blueprint.detection import detect
from .._blueprint.findings import Finding
from .._blueprint.parsers import at, json_line, json_object, line_at, table
from .._blueprint.scanners import scanner
from .._blueprint.tree import Folder, Tree
from .._errors import UsageError

#: Sources that are looked through for a pattern, and how deep they lie.
_MOST, _DEEPEST = 150, 3
_GEM = re.compile(r"^[ \t]*gem[\s(]+[\"']([\w.-]+)[\"']", re.MULTILINE)
_NPM = re.compile(r"\"npm:/?((?:@[\w.-]+/)?[\w.-]+)")
_HEX = re.compile(r"\{\s*:(\w+)\s*,")
_MODULE = re.compile(r"^[ \t]*(?:require[ \t]+)?([\w.-]+\.[\w./-]+)[ \t]+v", re.MULTILINE)


class Decision(NamedTuple):
    """One value of the generated files and where it came from: `file:line`, an option, or `default`."""

    field: str
    value: Any
    source: str
    why: str = ""

    def as_dict(self) -> Dict[str, Any]:
        """The same as plain data."""
        return self._asdict()


class Repository:
    """What is known of the folder `path`; UsageError when there is nothing in it that could be deployed from there."""

    def __init__(self, path: str) -> None:
        self.detection = detect(path)
        self.tree = Tree(path)
        self.root: Folder = self.tree.folder("")
        runtimes = self.detection.blueprint.get("runtimes") or []
        self.runtime: str = runtimes[0]["name"] if runtimes else ""
        self.version: str = runtimes[0].get("version", "") if runtimes else ""
        self.manager: str = runtimes[0].get("package_manager", "") if runtimes else ""
        self.finding: Optional[Finding] = self._finding(path)
        self._dependencies: Optional[Dict[str, str]] = None
        self._sources: Optional[List[str]] = None

    def _finding(self, path: str) -> Optional[Finding]:
        """The primary runtime as its scanner describes it, with the framework's name."""
        if not self.runtime:
            return None
        named = self.detection.fields["runtimes[0].name"][0]
        folder = named.source.rpartition(":")[0].rpartition("/")[0]
        found = scanner("node" if self.runtime == "bun" else self.runtime)(self.tree.folder(folder))
        if folder and found is not None and not self._nested(folder):
            raise UsageError(
                f"the application is in {folder}/",
                where=path,
                hint=f"run it there: fuelctl fly init {path.rstrip('/')}/{folder}",
                code="nested_application",
            )
        return found

    def _nested(self, folder: str) -> bool:
        """Whether a source folder such as src/ only holds the loose sources of the root."""
        return folder in ("src", "app", "lib") and "/" not in folder

    @property
    def ecosystem(self) -> str:
        """The runtime whose packages it uses: Bun and Deno take those of Node.js."""
        return "node" if self.runtime in ("bun", "deno") else self.runtime

    @property
    def framework(self) -> str:
        """Name of the framework, "" when none was recognised."""
        return self.finding.framework if self.finding else ""

    def image(self) -> Tuple[str, str, str]:
        """(official image, its version, its Debian release) of the primary runtime."""
        from .._blueprint.versions import image_for

        image = image_for(self.runtime, self.version) if self.runtime in RUNTIME_DATA else "debian:bookworm"
        if self.runtime == "bun":
            # Its slim images are Debian's too, and name no release.
            image = image.partition("-")[0]
        tag = image.partition(":")[2]
        version, _dash, suite = tag.partition("-")
        return image, version, suite or "bookworm"

    def source(self, field: str, default: str = "default") -> str:
        """`file:line` of a field of the blueprint."""
        found = self.detection.fields.get(field)
        return found[0].source if found and found[0].source else default

    # --- dependencies

    @property
    def dependencies(self) -> Dict[str, str]:
        """Name of each dependency of the running program -> `file:line`."""
        if self._dependencies is None:
            reader = {
                "node": self._node,
                "bun": self._node,
                "deno": self._deno,
                "python": self._python,
                "ruby": self._ruby,
                "elixir": self._elixir,
                "go": self._go,
            }.get(self.runtime)
            self._dependencies = reader() if reader else {}
        return self._dependencies

    def _node(self) -> Dict[str, str]:
        text = self.root.text("package.json") or ""
        names = table(self.package, "dependencies")
        return {name: at(self.root, "package.json", json_line(text, "dependencies", name)) for name in names}

    def _deno(self) -> Dict[str, str]:
        """Of npm's packages, those that the import map or the manifest names."""
        found = self._node()
        for file in ("deno.json", "deno.jsonc"):
            text = self.root.text(file) or "" if self.root.has(file) else ""
            for match in _NPM.finditer(text):
                found.setdefault(match.group(1), at(self.root, file, line_at(text, match.start())))
        return found

    def _python(self) -> Dict[str, str]:
        from .._blueprint.scanners.python_project import Project

        project = Project(self.root)
        return {name: project.source(name) for name in project.dependencies if name not in project.optional}

    def _ruby(self) -> Dict[str, str]:
        return self._matches("Gemfile", _GEM)

    def _elixir(self) -> Dict[str, str]:
        return self._matches("mix.exs", _HEX)

    def _go(self) -> Dict[str, str]:
        return self._matches("go.mod", _MODULE)

    def _matches(self, name: str, pattern: "re.Pattern[str]") -> Dict[str, str]:
        text = self.root.text(name) or ""
        return {match.group(1): at(self.root, name, line_at(text, match.start(1))) for match in pattern.finditer(text)}

    def dependency(self, *names: str) -> str:
        """`file:line` of the first of these that is there, "" for none. Of Go modules every major version counts."""
        for name in names:
            found = self.dependencies.get(name)
            if not found and self.runtime == "go":
                found = next((source for known, source in self.dependencies.items() if known.startswith(name)), None)
            if found:
                return found
        return ""

    # --- files

    @property
    def package(self) -> Dict[str, Any]:
        """package.json, {} when there is none."""
        return json_object(self.root, "package.json") if self.root.has("package.json") else {}

    def script(self, name: str) -> Tuple[str, str]:
        """(command, `file:line`) of a script in package.json."""
        command = table(self.package, "scripts").get(name)
        if not isinstance(command, str):
            return "", ""
        line = json_line(self.root.text("package.json") or "", "scripts", name)
        return command, at(self.root, "package.json", line)

    def has(self, path: str) -> bool:
        """Whether there is a file or folder of that path."""
        return self.tree.is_file(path) or self.tree.is_folder(path)

    def files(self, pattern: str) -> List[str]:
        """Files that a pattern names, the shallowest first; a pattern without `*` names one."""
        if "*" not in pattern:
            return [pattern] if self.tree.is_file(pattern) else []
        return [path for path in self._all() if fnmatch.fnmatchcase(path, pattern)]

    def _all(self) -> List[str]:
        if self._sources is None:
            found: List[str] = []
            places = [""]
            for _depth in range(_DEEPEST + 1):
                deeper: List[str] = []
                for place in places:
                    names = self.tree.names(place)
                    prefix = f"{place}/" if place else ""
                    found += [f"{prefix}{name}" for name, folder in sorted(names.items()) if not folder]
                    deeper += self.tree.folders(place)
                places = deeper
                if len(found) > _MOST * 10:
                    break
            self._sources = found
        return self._sources

    def grep(self, expression: str, *patterns: str) -> Optional[Tuple[Match[str], str]]:
        """The first match in files of these patterns, and its `file:line`."""
        compiled = re.compile(expression, re.MULTILINE)
        looked = 0
        for pattern in patterns:
            for path in self.files(pattern):
                looked += 1
                if looked > _MOST:
                    return None
                text = self.tree.text(path) or ""
                match = compiled.search(text)
                if match:
                    return match, f"{path}:{line_at(text, match.start())}"
        return None
