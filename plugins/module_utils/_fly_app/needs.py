# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a repository needs beside its own program: databases, storage, volumes, migrations, background work."""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .._blueprint.parsers import lines_of, table
from .repository import Decision, Repository
from .resources import yaml_data

#: A shell is needed for these; flyctl splits commands into words and starts the program itself.
_SHELL = re.compile(r"&&|\|\||[|;<>`]|\$[({\w]")
_PORT = re.compile(r"\$\{?PORT\}?(?::-\d+\})?")
#: Runtime -> what npm's programs are called there.
_RUNNERS = {
    "bun": (("npx ", "bunx --bun "), ("npm run ", "bun run ")),
    "deno": (("npx ", "deno run --allow-all npm:"), ("npm run ", "deno task ")),
}
#: Processes of a Procfile that answer requests.
WEB = ("web", "app", "server")


class Need(NamedTuple):
    """One thing that is needed, its entry in needs.yml, and what showed it."""

    name: str
    entry: Dict[str, Any]
    source: str


def needs(repository: Repository) -> List[Need]:
    """Everything that the repository shows it needs, in the order of needs.yml."""
    found: Dict[str, Need] = {}
    for name, entry in yaml_data("needs.yml").items():
        if not isinstance(entry, dict) or "title" not in entry or set(entry.get("without", ())) & set(found):
            continue
        source = _shown(repository, entry)
        if source:
            found[name] = Need(name, entry, source)
    return list(found.values())


def _shown(repository: Repository, entry: Dict[str, Any]) -> str:
    source = repository.dependency(*entry.get("dependencies", {}).get(repository.ecosystem, ()))
    if source:
        return source
    images = entry.get("images", ())
    for index, service in enumerate(repository.detection.blueprint.get("services") or ()):
        last = str(service.get("image", "")).partition("@")[0].rpartition("/")[2].partition(":")[0]
        if last in images:
            return repository.source(
                f"services[{index}].image", repository.source(f"services[{index}]", repository.source("services"))
            )
    found = _said(repository, entry.get("text", ()))
    if found and "and_text" in entry:
        return _said(repository, entry["and_text"])
    return found


def _said(repository: Repository, places: List[Dict[str, str]]) -> str:
    for place in places:
        match = repository.grep(place["pattern"], place["file"])
        if match:
            return match[1]
    return ""


def migration(repository: Repository) -> Optional[Decision]:
    """The command that brings the database up to date."""
    for entry in yaml_data("needs.yml")["migrations"]:
        if (
            entry["runtime"] != repository.ecosystem
            or entry.get("framework", repository.framework) != repository.framework
        ):
            continue
        files = entry["file"] if isinstance(entry["file"], list) else [entry["file"]]
        file = next((name for name in files if repository.has(name)), "")
        needed = entry.get("dependency")
        source = repository.dependency(needed) if needed else ""
        if file and needed and not source and repository.ecosystem == "node":
            source = _developed(repository, needed)
        if file and (source or not needed):
            command = run_by(repository.runtime, entry["command"])
            return Decision("release_command", command, f"{file}:1", f"migrations by {needed or file}")
    if repository.ecosystem == "node":
        for name in yaml_data("needs.yml")["migration_scripts"]:
            command, source = repository.script(name)
            if command and not re.search(r"\b(?:dev|reset|create|make|generate)\b", command):
                return Decision(
                    "release_command", run_by(repository.runtime, f"npm run {name}"), source, f"script {name}"
                )
    return None


def run_by(runtime: str, command: str) -> str:
    """A command of npm's as the runtime without npm runs it."""
    for begin, instead in _RUNNERS.get(runtime, ()):
        if command.startswith(begin):
            return instead + command[len(begin) :]
    return command


def _developed(repository: Repository, name: str) -> str:
    development = table(repository.package, "devDependencies")
    return repository.source("runtimes[0].name") if name in development else ""


def developed(repository: Repository, command: str) -> bool:
    """Whether a command of npx runs what only development installs: then that has to stay in the image."""
    tool = re.sub(r"^(?:npx|bunx --bun) ", "", command).split()[0] if command.startswith(("npx ", "bunx ")) else ""
    return bool(tool) and tool not in repository.dependencies and bool(_developed(repository, tool))


def procfile(repository: Repository, port: int) -> Tuple[Dict[str, Decision], Optional[Decision]]:
    """(process -> its command, what runs at a release) of a Procfile, as flyctl would start them."""
    processes: Dict[str, Decision] = {}
    release: Optional[Decision] = None
    for number, line in lines_of(repository.root.text("Procfile") or "") if repository.root.has("Procfile") else ():
        name, colon, command = line.partition(":")
        name, command = name.strip(), command.strip()
        if not colon or not command or not re.fullmatch(r"[A-Za-z][\w-]{0,30}", name):
            continue
        source = f"Procfile:{number}"
        plain = wrapped(_PORT.sub(str(port), command))
        if name == "release":
            release = Decision("release_command", plain, source, "release of the Procfile")
        else:
            processes[name] = Decision(f"processes.{name}", plain, source, "Procfile")
    return processes, release


def wrapped(command: str) -> str:
    """A command that needs a shell, in one."""
    if not _SHELL.search(command):
        return command
    return "sh -c '" + command.replace("'", "'\"'\"'") + "'"


def workers(repository: Repository, package: str) -> List[Decision]:
    """Programs that work in the background, of known libraries and by the names of scripts."""
    data = yaml_data("needs.yml")
    for entry in data["workers"]:
        source = repository.dependency(entry["dependency"]) if entry["runtime"] == repository.ecosystem else ""
        if not source or ("file" in entry and not repository.has(entry["file"])):
            continue
        if entry.get("package"):
            place = repository.grep(r"^\s*(\w+)\s*=\s*(?:celery\.)?Celery\(|^import dramatiq|^from dramatiq", "*.py")
            if place is None and not package:
                continue
            module = place[1].rpartition(":")[0][:-3].replace("/", ".").replace(".__init__", "") if place else package
            source = place[1] if place else source
            # A project's own celery.py is reached by its package.
            package = module[: -len(".celery")] if module.endswith(".celery") else module
        command = entry["command"].format(package=package)
        return [
            Decision(f"processes.{entry['name']}", command, source, f"{entry['dependency']} works in the background")
        ]
    if repository.ecosystem == "node":
        for name in data["worker_scripts"]:
            command, source = repository.script(name)
            if command:
                run = run_by(repository.runtime, f"npm run {name}")
                return [Decision("processes.worker", run, source, f"script {name}")]
    return []


def runtime_packages(packages: List[str]) -> List[str]:
    """What of packages for building the running program needs."""
    data = yaml_data("needs.yml")
    known, only = data["runtime_packages"], data["build_only"]
    found = [known.get(name, name) for name in packages if name not in only]
    return sorted({name for name in found if not name.endswith("-dev")})
