# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Python: pyproject.toml, requirements, Pipfile, conda and pixi files, setup.py (read as text, never run)."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Set, Tuple

from ..data_frameworks import PYTHON, PYTHON_LIBRARIES, Framework
from ..data_packages import PYTHON as PYTHON_PACKAGES
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at, lines_of, strings, table, toml_line, toml_table, word
from ..ports import valid
from ..tree import Folder
from ..versions import candidate
from .common import tools_of, upward, version_file
from .node_workspaces import expand

_ENTRIES = (
    "main.py",
    "app.py",
    "server.py",
    "wsgi.py",
    "asgi.py",
    "run.py",
    "streamlit_app.py",
    "__main__.py",
    "bot.py",
    "api.py",
)
_NESTED_ENTRIES = (
    "app/main.py",
    "src/main.py",
    "app/app.py",
    "src/app.py",
    "app/__init__.py",
    "api/main.py",
    "app/server.py",
)
_CONDA = ("environment.yml", "environment.yaml")
_REQUIREMENTS = (
    "requirements.txt",
    "requirements.in",
    "requirements/base.txt",
    "requirements/production.txt",
    "requirements/dev.txt",
)
_DEVELOPMENT = (
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements/dev.txt",
    "requirements/development.txt",
    "requirements/local.txt",
)
_REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)")
_RUN_PORT = re.compile(
    r"\b(?:run|serve|run_app|run_server|launch|listen|start|make_server|HTTPServer|TCPServer)\([^()]*?(?:\b(?:port|server_port)\s*=\s*|\(\s*[\"'][\w.]*[\"']\s*,\s*|listen\(\s*)(?:int\(\s*)?(?:os\.(?:environ\.get|getenv)\(\s*[\"']\w+[\"']\s*,\s*)?[\"']?(\d{2,5})\b",
    re.DOTALL,
)
_LISTEN_PORT = re.compile(
    r"(?:\.listen\(\s*|environ\.get\(\s*[\"']PORT[\"']\s*,\s*[\"']?|getenv\(\s*[\"']PORT[\"']\s*,\s*[\"']?|^\s*PORT\s*=\s*|\bport\s*=\s*)(\d{2,5})\b",
    re.MULTILINE,
)
_SETUP_PYTHON = re.compile(r"python_requires\s*=\s*[\"']?([^\"'\n#]+)")


class _Project:
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
        self._collect()

    def _collect(self) -> None:
        project = table(self.pyproject, "project")
        groups = [project.get("dependencies"), *table(project, "optional-dependencies").values()]
        groups += table(self.pyproject, "dependency-groups").values()
        for group in groups:
            for requirement in strings(group):
                self._add(requirement, "pyproject.toml")
        poetry = table(self.tool, "poetry")
        for section in (
            poetry.get("dependencies"),
            poetry.get("dev-dependencies"),
            *[table(group, "dependencies") for group in table(poetry, "group").values()],
        ):
            for name in section if isinstance(section, dict) else ():
                self._add(name, "pyproject.toml")
        for section in ("packages", "dev-packages"):
            for name in table(self.pipfile, section):
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
                    r"^\s*[\"']?([A-Za-z][\w.-]+)(?:\[[\w,]+\])?\s*(?:[=<>!~]=|>|<)",
                    self.folder.text(name) or "",
                    re.MULTILINE,
                ):
                    self._add(requirement, name)

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


def scan(folder: Folder) -> Optional[Finding]:
    """The Python project in `folder`."""
    project = _Project(folder)
    manifest = _manifest(project)
    sources = sorted(
        name for name, is_folder in folder.names.items() if not is_folder and name.endswith((".py", ".ipynb"))
    )
    if manifest is None and not sources:
        if folder.has("pyproject.toml"):
            return Finding(
                "python",
                folder.path,
                14,
                at(folder, "pyproject.toml", 1),
                "pyproject.toml with settings of tools only",
                tools_only=True,
            )
        return None
    finding = Finding("python", folder.path, 60, at(folder, manifest or sources[0], 1), manifest or "Python sources")
    finding.versions = _versions(project)
    finding.managers = _managers(project)
    framework, key = _framework(project)
    finding.framework = framework[0] if framework else ""
    _score(project, finding, manifest, framework, key)
    _install(project, finding)
    _ports(project, finding, framework, key)
    workspace = table(project.tool, "uv", "workspace")
    excluded = [f"!{pattern}" for pattern in strings(workspace.get("exclude"))]
    finding.members = expand(folder, strings(workspace.get("members")) + excluded)
    for name, packages in PYTHON_PACKAGES.items():
        if name in project.dependencies and packages:
            source = project.source(name)
            finding.packages += [Candidate(package, source, note=f"{name} needs it") for package in packages]
    return finding


def _manifest(project: _Project) -> Optional[str]:
    folder = project.folder
    if folder.has("manage.py") and "django" in (folder.text("manage.py") or "").lower():
        return "manage.py"
    real = ("project", "build-system", "dependency-groups")
    tools = ("poetry", "pdm", "uv", "pixi", "flit", "hatch")
    if any(key in project.pyproject for key in real) or any(key in project.tool for key in tools):
        return "pyproject.toml"
    if folder.has("pyproject.toml") and not project.pyproject:
        return "pyproject.toml"
    names = (
        "Pipfile",
        *project.requirements,
        "setup.py",
        "pixi.toml",
        project.conda or "",
        "uv.lock",
        "poetry.lock",
        "pdm.lock",
        "Pipfile.lock",
        *_DEVELOPMENT,
    )
    found = folder.first(*(name for name in names if name))
    if found:
        return found
    if folder.has("setup.cfg") and re.search(
        r"^\[(?:metadata|options)\]", folder.text("setup.cfg") or "", re.MULTILINE
    ):
        return "setup.cfg"
    return next((name for name in sorted(folder.names) if re.fullmatch(r"requirements[\w.-]*\.(?:txt|in)", name)), None)


def _versions(project: _Project) -> List[Candidate]:
    folder, text = project.folder, project.text
    found: List[Candidate] = []
    for place in upward(folder):
        found += tools_of(place).get("python", [])
        for file in (".python-version", ".python-versions"):
            if file in place.names:
                found += version_file(place, file, "python", "pep440")
    if folder.has("runtime.txt"):
        found += version_file(folder, "runtime.txt", "python", "pep440")
    requires = table(project.pipfile, "requires")
    for key in ("python_full_version", "python_version"):
        if word(requires.get(key)):
            source = at(folder, "Pipfile", toml_line(folder.text("Pipfile") or "", "requires", key))
            found += candidate(word(requires[key]), "python", source, flavour="pep440")
            break
    if project.conda:
        found += _conda_version(folder, project.conda)
    if folder.has("pixi.toml"):
        pixi = toml_table(folder, "pixi.toml")
        wanted = _version_of(table(pixi, "dependencies").get("python"))
        if wanted:
            source = at(folder, "pixi.toml", toml_line(folder.text("pixi.toml") or "", "dependencies", "python"))
            found += candidate(wanted, "python", source, flavour="pep440", plain_is_range=True)
    wanted = _version_of(table(project.tool, "pixi", "dependencies").get("python"))
    if wanted:
        source = at(folder, "pyproject.toml", toml_line(text, "tool", "pixi", "dependencies", "python"))
        found += candidate(wanted, "python", source, flavour="pep440", plain_is_range=True)
    wanted = word(table(project.pyproject, "project").get("requires-python"))
    if wanted:
        source = at(folder, "pyproject.toml", toml_line(text, "project", "requires-python"))
        found += candidate(wanted, "python", source, flavour="pep440", plain_is_range=True, confidence=0.9)
    wanted = _version_of(table(project.tool, "poetry", "dependencies").get("python"))
    if wanted:
        source = at(folder, "pyproject.toml", toml_line(text, "tool", "poetry", "dependencies", "python"))
        found += candidate(wanted, "python", source, plain_is_range=True, confidence=0.9)
    for file in ("setup.cfg", "setup.py"):
        match = _SETUP_PYTHON.search(folder.text(file) or "") if folder.has(file) else None
        if match:
            source = at(folder, file, line_at(folder.text(file) or "", match.start()))
            found += candidate(
                match.group(1).strip(), "python", source, flavour="pep440", plain_is_range=True, confidence=0.85
            )
    return found


def _version_of(value: Any) -> str:
    return word(value.get("version")) if isinstance(value, dict) else word(value)


def _conda_version(folder: Folder, name: str) -> List[Candidate]:
    for number, line in lines_of(folder.text(name) or ""):
        match = re.match(r"-\s*[\"']?(?:[\w-]+::)?python\s*((?:[=<>!~]=?)[^\"']*)", line)
        if match:
            # conda's single `=` is a prefix, and `=3.11=build` names a build.
            wanted = match.group(1).strip()
            exact = re.match(r"={1,2}\s*([\d.]+\*?)", wanted)
            text = exact.group(1).rstrip(".*") if exact else wanted
            return candidate(text, "python", at(folder, name, number), flavour="pep440")
    return []


def _managers(project: _Project) -> List[Candidate]:
    folder, tool = project.folder, project.tool
    found: List[Candidate] = []
    locks = (
        ("uv.lock", "uv"),
        ("poetry.lock", "poetry"),
        ("pdm.lock", "pdm"),
        ("Pipfile.lock", "pipenv"),
        ("Pipfile", "pipenv"),
        ("pixi.lock", "pixi"),
        ("pixi.toml", "pixi"),
    )
    for place in upward(folder):
        for name, manager in locks:
            if place.has(name) and (place is folder or name == "uv.lock"):
                found.append(Candidate(manager, at(place, name), confidence=0.96, raw=name))
    if project.conda:
        found.append(Candidate("conda", at(folder, project.conda), confidence=0.94, raw=project.conda))
    backend = word(table(project.pyproject, "build-system").get("build-backend"))
    for manager in ("uv", "poetry", "pdm", "pixi"):
        if manager in tool:
            found.append(
                Candidate(
                    manager,
                    at(folder, "pyproject.toml", line_at(project.text, project.text.find(f"[tool.{manager}"))),
                    confidence=0.9,
                )
            )
    if folder.has("uv.toml"):
        found.append(Candidate("uv", at(folder, "uv.toml"), confidence=0.88))
    for prefix, manager in (("poetry", "poetry"), ("uv_build", "uv"), ("pdm", "pdm")):
        if backend.startswith(prefix) and not project.requirements:
            found.append(
                Candidate(
                    manager,
                    at(folder, "pyproject.toml", toml_line(project.text, "build-system", "build-backend")),
                    confidence=0.7,
                )
            )
    named = folder.first(*project.requirements, *_DEVELOPMENT, "setup.py", "setup.cfg", "pyproject.toml")
    for name in project.requirements[:1]:
        head = "\n".join((folder.text(name) or "").split("\n")[:4])
        if "uv pip compile" in head or "uv export" in head:
            found.append(Candidate("uv", at(folder, name, 1), confidence=0.75))
    if named and not (found and named == "pyproject.toml"):
        found.append(Candidate("pip", at(folder, named), confidence=0.85))
    if not found:
        found.append(Candidate("pip", "default", DEFAULT, 0.6, note="the one that Python brings"))
    return found


def _framework(project: _Project) -> Tuple[Optional[Framework], str]:
    if project.folder.has("manage.py"):
        return PYTHON["django"], "django"
    for key, framework in PYTHON.items():
        if key in project.dependencies:
            return framework, key
    return None, ""


def _entry(folder: Folder) -> str:
    return folder.first(*_ENTRIES) or next(
        (name for name in _NESTED_ENTRIES if name.split("/")[0] in folder.names and folder.has(name)), ""
    )


def _score(
    project: _Project, finding: Finding, manifest: Optional[str], framework: Optional[Framework], key: str
) -> None:
    folder = project.folder
    entry = _entry(folder)
    root_entry = entry if "/" not in entry else ""
    locked = any(chosen.raw.endswith(".lock") for chosen in finding.managers)
    if manifest == "manage.py" or (folder.has("manage.py") and framework and framework[0] == "django"):
        finding.score, finding.reason = 100, "manage.py of Django"
    elif manifest is None:
        finding.score, finding.reason = (28 if root_entry else 20), "loose Python sources"
    elif framework and key not in PYTHON_LIBRARIES and root_entry:
        finding.score, finding.reason = 90, f"{framework[0]} with {root_entry}"
    elif framework and key not in PYTHON_LIBRARIES and entry:
        finding.score, finding.reason = 86, f"{framework[0]} with {entry}"
    elif locked and root_entry:
        finding.score, finding.reason = 79, f"lockfile and {root_entry}"
    elif root_entry:
        finding.score, finding.reason = 74, f"{manifest} with {root_entry}"
    elif manifest == "pyproject.toml" and (locked or "project" in project.pyproject or "poetry" in project.tool):
        finding.score, finding.reason = 68 if locked else 64, "pyproject.toml"
    elif manifest in _DEVELOPMENT:
        finding.score, finding.reason = 35, manifest


def _install(project: _Project, finding: Finding) -> None:
    folder = project.folder
    chosen = finding.managers[0]
    manager, source = chosen.value, chosen.source
    commands: List[str] = []
    if manager == "uv":
        locked = any(place.has("uv.lock") for place in upward(folder))
        commands.append("sudo pip install --root-user-action=ignore uv")
        if locked or folder.has("pyproject.toml"):
            commands.append("uv sync --locked" if locked else "uv sync")
        else:
            commands += [
                "uv venv",
                f"uv pip install -r {project.requirements[0] if project.requirements else 'requirements.txt'}",
            ]
    elif manager in ("poetry", "pdm", "pipenv"):
        commands.append(f"sudo pip install --root-user-action=ignore {manager}")
        locked = folder.has({"poetry": "poetry.lock", "pdm": "pdm.lock", "pipenv": "Pipfile.lock"}[manager])
        exact = {
            "poetry": "poetry install",
            "pdm": "pdm sync" if locked else "pdm install",
            "pipenv": "pipenv sync --dev" if locked else "pipenv install --dev",
        }
        commands.append(exact[manager])
    elif manager == "pixi":
        commands.append("pixi install --locked" if folder.has("pixi.lock") else "pixi install")
        finding.image = Candidate("ghcr.io/prefix-dev/pixi:bookworm", source, confidence=0.8)
    elif manager == "conda":
        commands.append(f"conda env create -f {project.conda}")
        finding.image = Candidate("continuumio/miniconda3:latest", source, confidence=0.8)
    else:
        commands += _pip(project)
    finding.setup += [Candidate(command, source, confidence=0.9) for command in commands]


def _pip(project: _Project) -> List[str]:
    folder = project.folder
    commands: List[str] = []
    development = folder.first(*_DEVELOPMENT)
    listed = (
        folder.first("requirements.txt", "requirements/base.txt", "requirements/production.txt")
        if development != "requirements/dev.txt"
        else None
    )
    if listed:
        commands.append(f"pip install -r {listed}")
    if development:
        commands.append(f"pip install -r {development}")
    if not commands and (
        "project" in project.pyproject
        or "build-system" in project.pyproject
        or folder.has("setup.py")
        or folder.has("setup.cfg")
    ):
        commands.append("pip install -e .")
    return commands


def _ports(project: _Project, finding: Finding, framework: Optional[Framework], key: str) -> None:
    folder = project.folder
    checked: Set[str] = set()
    if folder.has(".streamlit/config.toml") if ".streamlit" in folder.names else False:
        port = table(toml_table(folder, ".streamlit/config.toml"), "server").get("port")
        if isinstance(port, int) and valid(str(port)):
            finding.ports.append(
                Candidate(
                    [port],
                    at(
                        folder,
                        ".streamlit/config.toml",
                        toml_line(folder.text(".streamlit/config.toml") or "", "server", "port"),
                    ),
                )
            )
    if framework is None or framework[0] != "django":
        for name in (*_ENTRIES, *_NESTED_ENTRIES):
            if name.split("/")[0] not in folder.names or not folder.has(name) or name in checked:
                continue
            checked.add(name)
            text = folder.text(name) or ""
            match = _RUN_PORT.search(text) or (
                _LISTEN_PORT.search(text) if framework or "http" in text or "socket" in text else None
            )
            port = valid(match.group(1)) if match else None
            if match and port:
                finding.ports.append(
                    Candidate(
                        [port], at(folder, name, line_at(text, match.start(1))), confidence=0.8, note="listens there"
                    )
                )
                break
    serves = framework is not None and (key not in PYTHON_LIBRARIES or (framework[2] and bool(_entry(folder))))
    # A framework among the requirements of something else serves only when something starts it.
    confidence = 0.6 if _entry(folder) or folder.has("manage.py") else 0.35
    program = bool(table(project.pyproject, "project", "scripts")) and not _entry(folder)
    if framework and serves and not program:
        finding.default_ports.append(
            Candidate([framework[1]], "default", DEFAULT, confidence, note=f"port of {framework[0]}")
        )
