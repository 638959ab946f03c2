# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The shape of a deployment: volume, process groups, health check, variables and secrets, when migrations run."""

from __future__ import annotations

import shlex
from typing import Any, Dict, List

from .needs import WEB, Need, workers
from .repository import Decision, Repository
from .secret_words import named

_ROUTES = "healthz|health|healthcheck|health-check|_health|livez|readyz|status|ping|up"
_SOURCES = (
    "*.js", "*.ts", "*.mjs", "*.cjs", "*.jsx", "*.tsx", "*.py", "*.go", "*.rb", "*.ex", "*.exs",
)  # fmt: skip


def volume(found: List[Need], context: Dict[str, Any]) -> None:
    context["volume"] = None
    for need in found:
        if "volume" in need.entry:
            volume = dict(need.entry["volume"])
            context["volume"] = volume
            context["decisions"].append(
                Decision("mounts.destination", volume["path"], need.source, need.entry["title"])
            )
            if len(context["regions"]) > 1:
                context["notes"].append(f"a volume is in one region: only {context['regions'][0]} is used")
                context["regions"] = context["regions"][:1]
            return


def processes(repository: Repository, listed: Dict[str, Decision], context: Dict[str, Any]) -> None:
    """Several processes only where there are: one command needs no process group."""
    start = " ".join(quoted(item) for item in context["start"])
    web = next((name for name in WEB if name in listed), "")
    if web:
        context["start"] = _words(listed[web].value)
        start = listed[web].value
        context["decisions"].append(Decision("Dockerfile CMD", start, listed[web].source, "Procfile"))
    others = [item for name, item in listed.items() if name != web]
    if not listed:
        others = [*context["found_processes"], *workers(repository, context["package"])]
    context["web"] = web or "web"
    context["processes"], context["background"] = {}, []
    if context["kind"] == "worker":
        if listed and not web:
            context["start"] = _words(others[0].value)
        elif web:
            context["kind"] = "web"
        context["background"] = [item.field.partition(".")[2] for item in others] or ["app"]
        if len(others) > 1:
            context["processes"] = {item.field.partition(".")[2]: item.value for item in others}
            context["decisions"] += others
        elif len(others) == 1 and not listed:
            context["start"] = _words(others[0].value)
            context["decisions"].append(others[0]._replace(field="Dockerfile CMD"))
            context["background"] = ["app"]
        if context["kind"] == "worker":
            return
    if others:
        context["processes"] = {context["web"]: start, **{item.field.partition(".")[2]: item.value for item in others}}
        context["background"] = [item.field.partition(".")[2] for item in others]
        context["decisions"] += others


def quoted(text: str) -> str:
    """One argument as flyctl's splitting of words gives it back."""
    return shlex.quote(text)


def _words(command: str) -> List[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return ["sh", "-c", command]


def health(repository: Repository, meta: Dict[str, Any], context: Dict[str, Any]) -> None:
    """The route that answers health checks: one that the sources have, else what the framework surely serves."""
    headers = dict(meta.get("headers", {}))
    health = {"path": meta.get("health", ""), "grace": meta.get("grace", "10s"), "headers": headers}
    context["health"] = health
    if context["kind"] == "worker" or meta["family"] == "static":
        return
    found = repository.grep(rf"rails/health#show|[\"'`](/?(?:api/)?(?:{_ROUTES})/?)[\"'`]", *_SOURCES)
    if found and found[0].group(0) == "rails/health#show":
        health["path"] = "/up"
    elif found:
        route = found[0].group(1)
        health["path"] = route if route.startswith("/") else f"/{route}"
    page = ""
    if repository.framework == "next" and not found:
        page = next((name for name in repository.files("*app/api/health*/route.*")), "")
        if page:
            health["path"] = "/" + page.partition("app/")[2].rpartition("/")[0]
    if "Host" in headers:
        _host(repository, headers, context)
    if health["path"]:
        source = found[1] if found else f"{page}:1" if page else "default"
        context["decisions"].append(
            Decision("http_service.checks.path", health["path"], source, "answers health checks")
        )
    else:
        context["notes"].append("no route answers health checks: add GET /healthz and run this again")


def _host(repository: Repository, headers: Dict[str, str], context: Dict[str, Any]) -> None:
    """The host that a check asks for: one that the program answers for."""
    allowed = repository.grep(r"^ALLOWED_HOSTS\s*=\s*\[\s*[\"']([\w.*-]+)[\"']", "*settings*.py", "*settings/*.py")
    name = allowed[0].group(1).lstrip(".") if allowed else "fly.dev"
    if name == "*":
        del headers["Host"]
    elif allowed and name in ("localhost", "127.0.0.1"):
        context["notes"].append(f"{allowed[1]}: ALLOWED_HOSTS must name {context['app']}.fly.dev too")
    elif name != "fly.dev" and not name.endswith(".fly.dev"):
        headers["Host"] = name


def settings(repository: Repository, meta: Dict[str, Any], found: List[Need], context: Dict[str, Any]) -> None:
    """Variables and names of secrets."""
    env = dict(meta.get("env", {}))
    secrets: List[Decision] = []
    known = context.get("key_name")
    for name in meta.get("secrets", ()):
        shown, source = known if known and name.endswith(("SECRET_KEY", "MASTER_KEY")) else (name, "default")
        secrets.append(Decision("secrets", shown, source))
    for need in found:
        secrets += [
            Decision("secrets", name, need.source, need.entry["title"]) for name in need.entry.get("secrets", ())
        ]
    declared = repository.detection.blueprint.get("secrets") or []
    secrets += [
        Decision("secrets", name, repository.source("secrets"), "named by the repository")
        for name in declared
        if name not in env and (named(name) or name.endswith("_URL"))
    ]
    if context["kind"] == "web":
        env["PORT"] = str(context["port"])
        if meta["family"] == "static":
            env.pop("PORT")
    if context["volume"] and any(need.name == "sqlite" for need in found):
        _sqlite(repository, env, context)
    # One that was given a value needs no secret, and none is named twice.
    unique = {item.value: item for item in reversed(secrets) if item.value not in env}
    context["secrets"] = [unique[name] for name in dict.fromkeys(item.value for item in secrets) if name in unique]
    context["decisions"] += context["secrets"]
    context["env"] = env


def _sqlite(repository: Repository, env: Dict[str, str], context: Dict[str, Any]) -> None:
    """Where the database lies: on the volume, which the program has to be told by a variable that it reads."""
    path = f"{context['volume']['path']}/app.db"
    url = {"python": f"sqlite:///{path}", "ruby": f"sqlite3:{path}"}.get(repository.runtime, f"file:{path}")
    for name, value in (("DATABASE_PATH", path), ("SQLITE_PATH", path), ("DB_PATH", path), ("DATABASE_URL", url)):
        read = repository.grep(rf"\b{name}\b", "prisma/schema.prisma", *_SOURCES, "config/database.yml")
        if read or (repository.framework == "rails" and name == "DATABASE_URL"):
            env[name] = value
            context["decisions"].append(Decision(f"env.{name}", value, read[1] if read else "default", "on the volume"))
            return
    context["notes"].append(
        f"SQLite's file must lie on the volume: have the program read its path from DATABASE_PATH ({path})"
    )


def migrate_at_start(context: Dict[str, Any]) -> None:
    """A release command has no volume: with a database on one, the program's own Machine migrates before it starts."""
    if not context["volume"] or not context["release"] or context["volume"]["name"] != "data":
        return
    command = f"{context['release']} && exec {' '.join(quoted(item) for item in context['start'])}"
    context["start"] = ["sh", "-c", command]
    if context["processes"]:
        context["processes"][context["web"]] = f"sh -c {quoted(command)}"
    context["decisions"].append(
        Decision("Dockerfile CMD", command, "default", "a release command has no volume, so it migrates at its start")
    )
    context["release"] = ""
    context["decisions"][:] = [item for item in context["decisions"] if item.field != "release_command"]
