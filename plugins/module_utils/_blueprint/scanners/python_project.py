# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What the files of one Python project say, each read once."""

from __future__ import annotations

import re
from typing import Any, Dict, Set

from ..parsers import line_at, lines_of, strings, table, toml_table
from ..tree import Folder

_CONDA = ("environment.yml", "environment.yaml", "conda.yaml", "conda.yml")
_REQUIREMENTS = (
    "requirements.txt",
    "requirements.in",
    "requirements/base.txt",
    "requirements/production.txt",
    "requirements/dev.txt",
)
_REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)")


class Project:
    """What the files of one folder say, each read once."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.pyproject = toml_table(folder, "pyproject.toml") if folder.has("pyproject.toml") else {}
        self.text = folder.text("pyproject.toml") or "" if folder.has("pyproject.toml") else ""
        tool = self.pyproject.get("tool")
        self.tool: Dict[str, Any] = tool if isinstance(tool, dict) else {}
        self.pipfile = toml_table(folder, "Pipfile") if folder.has("Pipfile") else {}
        self.requirements = [name for name in _REQUIREMENTS if folder.has(name)]
        self.conda = folder.first(*_CONDA)
        self.dependencies: Dict[str, str] = {}
        #: Those that only development, tests or an extra ask for.
        self.optional: Set[str] = set()
        self._collect()

    def _collect(self) -> None:
        project = table(self.pyproject, "project")
        for requirement in strings(project.get("dependencies")):
            self._add(requirement, "pyproject.toml")
        poetry = table(self.tool, "poetry")
        for section in (poetry.get("dependencies"),):
            for name in section if isinstance(section, dict) else ():
                self._add(name, "pyproject.toml")
        for name in table(self.pipfile, "packages"):
            self._add(name, "Pipfile")
        for name in self.requirements:
            for number, line in lines_of(self.folder.text(name) or ""):
                if line[0] not in "-.":
                    self._add(line, f"{name}:{number}")
        if self.conda:
            for number, line in lines_of(self.folder.text(self.conda) or ""):
                if line.startswith("- "):
                    self._add(line[2:].rsplit("::", 1)[-1], f"{self.conda}:{number}")
        for name in ("setup.py", "setup.cfg"):
            if self.folder.has(name) and not self.dependencies:
                for requirement in re.findall(
                    r"^[ \t]*[\"']?([A-Za-z][\w.-]+)(?:\[[\w,]+\])?\s*(?:[=<>!~]=|>|<)",
                    self.folder.text(name) or "",
                    re.MULTILINE,
                ):
                    self._add(requirement, name)

        known = set(self.dependencies)
        self._collect_optional(project, poetry)
        self.optional = set(self.dependencies) - known

    def _collect_optional(self, project: Dict[str, Any], poetry: Dict[str, Any]) -> None:
        extras = table(project, "optional-dependencies")
        for group in (*extras.values(), *table(self.pyproject, "dependency-groups").values()):
            for requirement in strings(group):
                self._add(requirement, "pyproject.toml")
        groups = [table(group, "dependencies") for group in table(poetry, "group").values()]
        for section in (table(poetry, "dev-dependencies"), *groups):
            for name in section:
                self._add(name, "pyproject.toml")
        for name in table(self.pipfile, "dev-packages"):
            self._add(name, "Pipfile")

    def _add(self, requirement: str, source: str) -> None:
        match = _REQUIREMENT.match(requirement)
        if match:
            name = re.sub(r"[-_.]+", "-", match.group(1)).lower()
            self.dependencies.setdefault(name, source)

    def source(self, name: str) -> str:
        """`file:line` of a dependency."""
        where = self.dependencies[name]
        if ":" not in where:
            text = self.folder.text(where) or ""
            found = re.search(rf"(?i)(?<![\w-]){re.escape(name).replace('-', '[-_.]')}(?![\w-])", text)
            where = f"{where}:{line_at(text, found.start() if found else 0)}"
        return self.folder.at(where)
