# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Python: how dependencies are installed from each manifest, which module and which server serve it."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Tuple

from ..._blueprint.parsers import strings, table, toml_table
from ..._errors import UsageError
from ..needs import runtime_packages
from ..repository import Decision, Repository

#: Versions that images are built with; pinned, so that a build of tomorrow is the one of today.
TOOLS = {"uv": "0.8.22", "poetry": "2.1.4", "pdm": "2.25.9", "pipenv": "2025.0.4"}
#: What a tool of that version does not run with, though it says nothing of it.
_WITH = {"pdm": " 'hishel<1' 'unearth<0.18'"}
_PIP = "/venv/bin/pip install --no-cache-dir"
_REQUIREMENTS = ("requirements.txt", "requirements/production.txt", "requirements/base.txt", "requirements.in")
#: Lists that include each other.
_LISTED = re.compile(r"(?:requirements|constraints)[\w.-]*\.txt")
_ENTRIES = (
    "main.py",
    "app.py",
    "server.py",
    "run.py",
    "worker.py",
    "bot.py",
    "src/main.py",
    "app/main.py",
    "__main__.py",
)
_MODULES = ("main.py", "app.py", "wsgi.py", "asgi.py", "server.py", "api.py", "run.py", "*.py")


def survey(repository: Repository, meta: Dict[str, Any], context: Dict[str, Any]) -> None:
    """Adds `python`, `start` and `packages`."""
    python = _install(repository)
    server = meta.get("server")
    if server and not repository.dependency(server["package"]) and not _standard(repository):
        # Flask's and Django's own servers are for development only.
        python["install"].append(f"{_PIP} {server['package']}=={server['version']}")
        context["decisions"].append(
            Decision(
                "server", f"{server['package']}=={server['version']}", "default", "no server among the dependencies"
            )
        )
        context["notes"].append(
            f"add {server['package']} to the project's dependencies: the Dockerfile installs it by itself"
        )
    packages = [
        *(repository.detection.blueprint.get("system_packages") or []),
        *(["libpq-dev", "build-essential"] if repository.dependency("psycopg2") else []),
    ]
    packages = list(dict.fromkeys(packages))
    context["packages"] = {"build": sorted(packages), "run": runtime_packages(packages)}
    module, source = _module(repository, context["framework"]["name"])
    python["path"] = ""
    if module.startswith("src.") and not repository.tree.is_file("src/__init__.py"):
        # What is below src/ imports each other without it.
        module, python["path"] = module[len("src.") :], "/app/src"
    context["package"] = module.partition(":")[0].partition(".")[0]
    entry = _entry(repository)
    start = [
        argument.format(port=context["port"], module=module, entry=entry)
        for argument in meta.get("start", ["python", "{entry}"])
    ]
    if "python" in start[:1] and not entry:
        raise UsageError("nothing says how it is started", hint="add a Procfile with a line for it", code="no_start")
    context["start"] = start
    context["decisions"].append(
        Decision("Dockerfile CMD", " ".join(start), source if module else f"{entry}:1" if entry else "default")
    )
    settings = repository.grep(r"^STATIC_ROOT\s*=", "*settings*.py")
    python["collectstatic"] = bool(settings) and repository.root.has("manage.py")
    key = repository.grep(
        r"(?:environ(?:\.get)?|getenv|env(?:\.str)?|config)[\[(]\s*[\"'](\w*SECRET_KEY)[\"']", "*settings*.py", "*.py"
    )
    python["secret_key"] = key[0].group(1) if key else "SECRET_KEY"
    if key:
        context["key_name"] = (key[0].group(1), key[1])
    context["python"] = python


def _standard(repository: Repository) -> bool:
    """Whether `fastapi[standard]`, `fastapi[all]` or `uvicorn[...]` brings the server."""
    return bool(repository.grep(r"(?:fastapi|uvicorn)\[", "requirements*.txt", "pyproject.toml", "Pipfile"))


def _install(repository: Repository) -> Dict[str, Any]:
    manager = repository.manager or "pip"
    root = repository.root
    locks = {"uv": "uv.lock", "poetry": "poetry.lock", "pdm": "pdm.lock", "pipenv": "Pipfile.lock"}
    if manager in locks and (manager != "uv" or root.has("pyproject.toml")):
        locked = root.has(locks[manager])
        files = ["Pipfile" if manager == "pipenv" else "pyproject.toml", *([locks[manager]] if locked else [])]
        # Beside the program's environment, so that the manager is no part of the image.
        tool = f"python -m venv /tools && /tools/bin/pip install --no-cache-dir {manager}=={TOOLS[manager]}"
        tool += _WITH.get(manager, "")
        steps = {
            "uv": [
                f"UV_PROJECT_ENVIRONMENT=/venv /tools/bin/uv sync {'--locked ' if locked else ''}--no-dev"
                " --no-install-project --no-cache"
            ],
            "poetry": ["VIRTUAL_ENV=/venv /tools/bin/poetry install --only main --no-root --no-interaction --no-cache"],
            "pdm": [
                *([] if locked else ["/tools/bin/pdm lock"]),
                "/tools/bin/pdm export --prod --without-hashes --output /tmp/requirements.txt",
                f"{_PIP} --requirement /tmp/requirements.txt",
            ],
            "pipenv": [
                *([] if locked else ["/tools/bin/pipenv lock"]),
                "/tools/bin/pipenv requirements > /tmp/requirements.txt",
                f"{_PIP} --requirement /tmp/requirements.txt",
            ],
        }[manager]
        return {"manifests": [(" ".join(files), "./")], "install": [tool, *steps], "late": ""}
    if manager in ("conda", "pixi"):
        raise UsageError(
            f"no template installs with {manager} yet",
            where=repository.source("runtimes[0].package_manager"),
            hint="add a requirements.txt, or write the Dockerfile by hand",
        )
    listed = root.first(*_REQUIREMENTS)
    if listed:
        folder = listed.partition("/")[0] if "/" in listed else ""
        beside = " ".join(name for name in root.ending(".txt") if _LISTED.fullmatch(name)) or listed
        manifests = [(folder, f"./{folder}")] if folder else [(beside, "./")]
        return {"manifests": manifests, "install": [f"{_PIP} --requirement {listed}"], "late": ""}
    if root.has("pyproject.toml") or root.has("setup.py"):
        requirements = strings(table(toml_table(root, "pyproject.toml"), "project").get("dependencies"))
        quoted = " ".join(f"'{name}'" for name in requirements if re.fullmatch(r"[\w.,\[\]<>=!~* -]+", name))
        names = " ".join(name for name in ("pyproject.toml", "setup.py", "setup.cfg") if root.has(name))
        return {
            "manifests": [(names, "./")],
            "install": [f"{_PIP} {quoted}"] if quoted else [f"{_PIP} ."],
            "late": "",
        }
    return {"manifests": [], "install": ["/venv/bin/pip --version"], "late": ""}


def _module(repository: Repository, framework: str) -> Tuple[str, str]:
    """(`package.module:callable`, source) of the application."""
    if framework == "django":
        kind = (
            "asgi"
            if repository.dependency("uvicorn", "daphne", "channels") and not repository.dependency("gunicorn")
            else "wsgi"
        )
        place = next(
            iter(repository.files(f"*/{kind}.py") or repository.files(f"{kind}.py") or repository.files("*/wsgi.py")),
            "",
        )
        return (f"{_dotted(place)}:application", f"{place}:1") if place else ("wsgi:application", "default")
    name = {"fastapi": r"(?:FastAPI|Starlette|Litestar)", "flask": r"(?:Flask|APIFlask|OpenAPI)"}.get(framework)
    if name is None:
        return "", ""
    found = repository.grep(rf"^(\w+)(?:\s*:\s*\w+)?\s*=\s*(?:\w+\.)?{name}\(", *_MODULES)
    if found:
        return f"{_dotted(found[1].rpartition(':')[0])}:{found[0].group(1)}", found[1]
    made = repository.grep(r"^(?:async\s+)?def\s+(create_app|make_app|get_app)\(", *_MODULES)
    if made:
        call = "()" if framework == "flask" else ""
        return f"{_dotted(made[1].rpartition(':')[0])}:{made[0].group(1)}{call}", made[1]
    return "app:app", "default"


def _dotted(path: str) -> str:
    return re.sub(r"(?:/__init__)?\.py$", "", path).replace("/", ".")


def _entry(repository: Repository) -> Optional[str]:
    found: List[str] = [name for name in _ENTRIES if repository.root.has(name)]
    main = repository.grep(r"^if __name__ == [\"']__main__[\"']", "*.py") if not found else None
    return found[0] if found else main[1].rpartition(":")[0] if main else None
