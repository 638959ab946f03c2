# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Which package manager a Python project uses, and how it installs exactly what is locked."""

from __future__ import annotations

from typing import List

from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at, table, toml_line, word
from .common import upward
from .python_project import Project

DEVELOPMENT = (
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements/dev.txt",
    "requirements/development.txt",
    "requirements/local.txt",
)


def managers(project: Project) -> List[Candidate]:
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
    for manager in [name for name in ("uv", "poetry", "pdm", "pixi") if name in tool]:
        source = at(folder, "pyproject.toml", line_at(project.text, project.text.find(f"[tool.{manager}")))
        found += [Candidate(manager, source, confidence=0.9)]
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
    named = folder.first(*project.requirements, *DEVELOPMENT, "setup.py", "setup.cfg", "pyproject.toml")
    if named and not (found and named == "pyproject.toml"):
        found.append(Candidate("pip", at(folder, named), confidence=0.85))
    if not found:
        found.append(Candidate("pip", "default", DEFAULT, 0.6, note="the one that Python brings"))
    return found


def install(project: Project, finding: Finding) -> None:
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


def _pip(project: Project) -> List[str]:
    folder = project.folder
    commands: List[str] = []
    development = folder.first(*DEVELOPMENT)
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
        extras = table(project.pyproject, "project", "optional-dependencies")
        extra = next((name for name in ("dev", "develop", "development", "test", "tests") if name in extras), "")
        commands.append(f"pip install -e '.[{extra}]'" if extra else "pip install -e .")
    return commands
