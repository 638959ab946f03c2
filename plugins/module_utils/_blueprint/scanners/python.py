# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Python: pyproject.toml, requirements, Pipfile, conda and pixi files, setup.py (read as text, never run)."""

from __future__ import annotations

import re
from typing import Any, List, Optional, Set, Tuple

from ..data_frameworks import PYTHON, PYTHON_LIBRARIES, Framework
from ..data_packages import PYTHON as PYTHON_PACKAGES
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at, lines_of, strings, table, toml_line, toml_table, without_comments, word
from ..ports import in_source, valid
from ..tree import Folder
from ..versions import candidate
from .common import tools_of, upward, version_file
from .cpp import builds_c
from .node_workspaces import expand
from .python_managers import DEVELOPMENT, install, managers
from .python_project import Project

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
_FALLBACK = r"(?:int\(\s*)?(?:os\.(?:environ\.get|getenv)\(\s*[\"']\w+[\"']\s*,\s*)?[\"']?(\d{2,5})\b"
_RUNS = r"run|serve|run_app|run_server|launch|listen|start|make_server|HTTPServer|TCPServer|ThreadingHTTPServer"
#: The most telling first: what a server is started with, then PORT with its fallback, then anything called port.
_LISTEN = (
    re.compile(rf"\b(?:{_RUNS})\([^()]*?(?:\bport\s*=\s*|\bserver_port\s*=\s*){_FALLBACK}"),
    re.compile(
        r"\b(?:HTTPServer|TCPServer|ThreadingHTTPServer|make_server)\(\s*\(?\s*[\"'][\w.]*[\"']\s*,\s*(\d{2,5})\b"
    ),
    re.compile(r"\.listen\(\s*(\d{2,5})\b|add_insecure_port\(\s*f?[\"'][^\"']*:(\d{2,5})[\"']"),
    re.compile(
        r"(?:environ\.get|getenv)\(\s*[\"'](?:\w+_)?PORT[\"']\s*,\s*[\"']?(\d{2,5})\b|^[ \t]*PORT\s*=\s*(\d{2,5})\b",
        re.MULTILINE,
    ),
    re.compile(rf"\bport\s*=\s*{_FALLBACK}"),
)
_BIND = re.compile(r"^bind[ \t]{0,9}=[ \t]{0,9}\[?\s{0,9}f?[\"'][^\"'\n:]{0,200}:(\d{2,5})", re.MULTILINE)
#: Settings of servers -> where they say the port.
_SETTINGS = (
    (".flaskenv", re.compile(r"^(?:export[ \t]+)?FLASK_RUN_PORT[ \t]*=[ \t]*[\"']?(\d{2,5})", re.MULTILINE)),
    ("gunicorn.conf.py", _BIND),
    ("gunicorn_conf.py", _BIND),
    ("gunicorn_config.py", _BIND),
)
_MAX_PACKAGES = 20
_SETUP_PYTHON = re.compile(r"python_requires\s*=\s*[\"']?([^\"'\n#]+)")


def scan(folder: Folder) -> Optional[Finding]:
    """The Python project in `folder`."""
    project = Project(folder)
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
    finding.managers = managers(project)
    framework, key = _framework(project)
    finding.framework = framework[0] if framework else ""
    _score(project, finding, manifest, framework, key)
    install(project, finding)
    _ports(project, finding, framework, key)
    workspace = table(project.tool, "uv", "workspace")
    excluded = [f"!{pattern}" for pattern in strings(workspace.get("exclude"))]
    finding.members = expand(folder, strings(workspace.get("members")) + excluded)
    for name, packages in PYTHON_PACKAGES.items():
        if name in project.dependencies and packages:
            source = project.source(name)
            finding.packages += [Candidate(package, source, note=f"{name} needs it") for package in packages]
    return finding


def _manifest(project: Project) -> Optional[str]:
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
        *DEVELOPMENT,
    )
    found = folder.first(*(name for name in names if name))
    if found:
        return found
    if folder.has("setup.cfg") and re.search(
        r"^\[(?:metadata|options)\]", folder.text("setup.cfg") or "", re.MULTILINE
    ):
        return "setup.cfg"
    return next((name for name in sorted(folder.names) if re.fullmatch(r"requirements[\w.-]*\.(?:txt|in)", name)), None)


def _versions(project: Project) -> List[Candidate]:
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
        match = _SETUP_PYTHON.search(without_comments(folder.text(file) or "", "hash")) if folder.has(file) else None
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
        match = re.match(r"-\s*[\"']?(?:[\w-]+::)?python\s*((?:[=<>!~]=?|\s+(?=\d))[^\"']*)", line)
        if match:
            # conda's single `=` is a prefix, and `=3.11=build` names a build.
            wanted = match.group(1).strip()
            exact = re.match(r"(?:={1,2}\s*)?(\d[\d.]*\*?)", wanted)
            text = exact.group(1).rstrip(".*") if exact else wanted
            return candidate(text, "python", at(folder, name, number), flavour="pep440")
    return []


def _framework(project: Project) -> Tuple[Optional[Framework], str]:
    if project.folder.has("manage.py"):
        return PYTHON["django"], "django"
    for key, framework in PYTHON.items():
        if key in project.dependencies and key not in project.optional:
            return framework, key
    return None, ""


def _entry(folder: Folder) -> str:
    return folder.first(*_ENTRIES) or next(
        (name for name in _NESTED_ENTRIES if name.split("/", maxsplit=1)[0] in folder.names and folder.has(name)), ""
    )


def _only_a_library(project: Project, key: str) -> bool:
    """Whether what is described is installed by others: packaged, and nothing in it starts a server."""
    folder = project.folder
    packaged = "build-system" in project.pyproject or folder.has("setup.py")
    if not packaged or _entry(folder) or folder.has("manage.py"):
        return False
    starts = ("manage.py",) if key == "django" else _ENTRIES
    inner = [*folder.tree.folders(folder.path), *folder.tree.folders(folder.at("src"))]
    return not any(folder.tree.is_file(f"{path}/{name}") for path in inner[:_MAX_PACKAGES] for name in starts)


def _score(
    project: Project, finding: Finding, manifest: Optional[str], framework: Optional[Framework], key: str
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
    elif table(project.tool, "maturin").get("bindings") == "bin":
        finding.score, finding.reason = 50, "wheel around a Rust program"
    elif _builds_rust(project):
        finding.score, finding.reason = 81, "Python package with a Rust extension"
    elif manifest in project.requirements and not framework and builds_c(folder) and not folder.ending(".py"):
        finding.score, finding.reason = 50, "requirements of a C or C++ build"
    elif manifest == "pyproject.toml" and (locked or "project" in project.pyproject or "poetry" in project.tool):
        finding.score, finding.reason = 68 if locked else 64, "pyproject.toml"
    elif manifest in DEVELOPMENT:
        finding.score, finding.reason = 35, manifest


def _builds_rust(project: Project) -> bool:
    """Whether building the package compiles Rust for it."""
    system = table(project.pyproject, "build-system")
    return any(
        name.replace("_", "-").startswith(("maturin", "setuptools-rust"))
        for name in [word(system.get("build-backend")), *strings(system.get("requires"))]
    )


def _ports(project: Project, finding: Finding, framework: Optional[Framework], key: str) -> None:
    folder = project.folder
    checked: Set[str] = set()
    for name, pattern in _SETTINGS:
        text = folder.text(name) or "" if name in folder.names else ""
        match = pattern.search(text)
        port = valid(match.group(1)) if match else None
        if match and port:
            source = at(folder, name, line_at(text, match.start(1)))
            finding.ports.append(Candidate([port], source, confidence=0.9, note="server's settings"))
            break
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
            if name.split("/", maxsplit=1)[0] not in folder.names or not folder.has(name) or name in checked:
                continue
            checked.add(name)
            text = folder.text(name) or ""
            stated = in_source(text, _LISTEN[:4] if not framework and "http" not in text else _LISTEN)
            if stated:
                source = at(folder, name, line_at(text, stated[1]))
                finding.ports.append(Candidate([stated[0]], source, confidence=0.8, note="listens there"))
                break
    serves = framework is not None and (
        key not in PYTHON_LIBRARIES
        or (framework[2] and bool(_entry(folder)))
        or (framework[0] == "mkdocs" and folder.first("mkdocs.yml", "mkdocs.yaml") is not None)
    )
    # A framework among the requirements of something else serves only when something starts it.
    confidence = 0.6 if _entry(folder) or folder.has("manage.py") else 0.35
    commands = bool(table(project.pyproject, "project", "scripts")) or any(
        "console_scripts" in (folder.text(name) or "") for name in ("setup.py", "setup.cfg")
    )
    program = commands and not _entry(folder)
    if framework and serves and not program and not _only_a_library(project, key):
        finding.default_ports.append(
            Candidate([framework[1]], "default", DEFAULT, confidence, note=f"port of {framework[0]}")
        )
