# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""From a repository to the variables of the templates, each decision with its source."""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .._blueprint.parsers import toml_line, toml_table, word
from .._errors import UsageError
from . import needs as needed
from .families import survey
from .repository import Decision, Repository
from .resources import Framework, frameworks, yaml_data

CI = ("github", "gitlab", "circleci", "none")
#: Region where nothing names one.
REGION = "iad"
_ROUTES = "healthz|health|healthcheck|health-check|_health|livez|readyz|status|ping|up"
_SOURCES = (
    "*.js", "*.ts", "*.mjs", "*.cjs", "*.jsx", "*.tsx", "*.py", "*.go", "*.rb", "*.ex", "*.exs",
)  # fmt: skip


class Options(NamedTuple):
    """What the caller asks for; empty: what the repository says, or the default."""

    environments: Sequence[str] = ()
    ci: str = ""
    regions: Sequence[str] = ()
    app: str = ""


class Plan(NamedTuple):
    """The variables of the templates, and what is told about them."""

    framework: Framework
    context: Dict[str, Any]
    #: The environments, in the order of deployment; each as environments.yml has it, with its name.
    environments: List[Dict[str, Any]]
    ci: str
    decisions: List[Decision]
    notes: List[str]
    warnings: List[Dict[str, Any]]
    #: Commands that come next, for the last environment.
    commands: List[str]


def plan(path: str, options: Options) -> Plan:
    """What would be written for the repository in `path`; UsageError when no template fits it."""
    environments = _environments(options.environments)
    if options.ci and options.ci not in CI:
        raise UsageError(f"unknown CI {options.ci!r}", hint="one of " + ", ".join(CI))
    repository = Repository(path)
    framework = choose(repository)
    meta = framework.meta
    decisions: List[Decision] = [
        Decision("framework", framework.name, repository.source("runtimes[0].name"), meta["title"])
    ]
    context: Dict[str, Any] = {
        "framework": {
            "name": framework.name,
            "title": meta["title"],
            "kill_signal": meta.get("kill_signal", "SIGTERM"),
            "kill_timeout": meta.get("kill_timeout", 10),
            "concurrency": meta.get("concurrency", {}),
            "ignore": meta.get("ignore", []),
        },
        "kind": meta["kind"],
        "decisions": decisions,
        "notes": [],
        "found_processes": [],
        "build_args": _build_args(repository),
        "package": "",
        "console": meta.get("console", ""),
        "vm": {"size": "shared-cpu-1x", "memory": meta["memory"]},
    }
    context["images"] = {"build": _image(repository, meta["images"]["build"])}
    decisions.append(Decision("Dockerfile FROM", context["images"]["build"], repository.source("runtimes[0].version")))
    _names(repository, options, context)
    _port(repository, meta, context)
    found = needed.needs(repository)
    _volume(found, context)
    step = needed.migration(repository)
    listed, release = needed.procfile(repository, context.get("port", 0))
    step = release or step
    context["release"] = step.value if step else ""
    if step:
        decisions.append(step)
    survey(meta["family"])(repository, meta, context)
    _processes(repository, listed, context)
    _health(repository, meta, context)
    _settings(repository, meta, found, context)
    _migrate_at_start(context)
    decisions += [Decision("needs", need.name, need.source, need.entry["title"]) for need in found]
    ci = options.ci or _ci(repository, decisions)
    context["branch"] = _branch(repository)
    return Plan(
        framework,
        context,
        environments,
        ci,
        decisions,
        context["notes"],
        repository.detection.warnings,
        _commands(found, context, environments),
    )


def choose(repository: Repository) -> Framework:
    """The framework whose templates fit: by the detected framework, then by what listens, then by the runtime."""
    every = frameworks()
    listens = bool(repository.finding and repository.finding.ports)
    for framework in every:
        if repository.framework and repository.framework in framework.meta.get("frameworks", ()):
            return framework
    for framework in every:
        if listens and repository.runtime in framework.meta.get("listens", ()):
            return framework
    for framework in every:
        if repository.runtime in framework.meta.get("runtimes", ()):
            return framework
    what = " ".join(name for name in (repository.runtime, repository.framework) if name) or "no runtime that is known"
    raise UsageError(
        f"no template fits: found {what}",
        where=repository.detection.directory,
        hint="there are templates for " + ", ".join(framework.meta["title"] for framework in every),
        code="no_template",
    )


def _environments(names: Sequence[str]) -> List[Dict[str, Any]]:
    known = yaml_data("environments.yml")
    for name in names:
        if name not in known:
            raise UsageError(f"unknown environment {name!r}", hint="one of " + ", ".join(known))
    return [{"name": name, **entry} for name, entry in known.items() if name in (names or ("production",))]


def _image(repository: Repository, pattern: str) -> str:
    image, version, suite = repository.image()
    return pattern.format(image=image, version=version, suite=suite)


def _names(repository: Repository, options: Options, context: Dict[str, Any]) -> None:
    """App and regions: the option, else the fly.toml that is there, else the folder's name and the default region."""
    decisions: List[Decision] = context["decisions"]
    there = toml_table(repository.root, "fly.toml") if repository.root.has("fly.toml") else {}
    text = repository.root.text("fly.toml") or "" if there else ""
    app, source = options.app, "--app"
    if not app and word(there.get("app")):
        app, source = word(there["app"]), f"fly.toml:{toml_line(text, 'app')}"
    if not app:
        app, source = repository.detection.blueprint.get("name") or "", "name of the folder"
        app = app or repository.tree.root.rpartition("/")[2]
    app = re.sub(r"[^a-z0-9-]+", "-", app.lower()).strip("-")[:50] or "app"
    decisions.append(Decision("app", app, source))
    regions, source = list(options.regions), "--region"
    if not regions and word(there.get("primary_region")):
        regions, source = [word(there["primary_region"])], f"fly.toml:{toml_line(text, 'primary_region')}"
    if not regions:
        regions, source = [REGION], "default"
        context["notes"].append(f"region {REGION} is only the default: --region names the one nearest to your users")
    for region in regions:
        if not re.fullmatch(r"[a-z]{3}", region):
            raise UsageError(
                f"{region!r} is no region of Fly.io", hint="three letters, as `fly platform regions` lists them"
            )
    decisions.append(Decision("primary_region", regions[0], source))
    context.update(app=app, regions=regions)


def _port(repository: Repository, meta: Dict[str, Any], context: Dict[str, Any]) -> None:
    context["port"] = meta.get("port", 0)
    if meta["kind"] == "worker":
        return
    if meta["family"] == "static":
        context["decisions"].append(
            Decision("http_service.internal_port", context["port"], "default", "the web server's")
        )
        return
    ports = repository.detection.blueprint.get("ports") or []
    fields = repository.detection.fields
    candidates = fields.get("ports") or fields.get("ports[0]") or ()
    stated = next((item for item in candidates if item.source != "default"), None)
    value, source = context["port"], "default"
    if stated is not None and ports and not stated.source.startswith("fly"):
        first = stated.value[0] if isinstance(stated.value, list) else stated.value
        if isinstance(first, int):
            value, source = first, stated.source
    context["port"] = value
    context["decisions"].append(Decision("http_service.internal_port", value, source))


def _volume(found: List[needed.Need], context: Dict[str, Any]) -> None:
    context["volume"] = None
    for need in found:
        if "volume" in need.entry:
            volume = dict(need.entry["volume"])
            context["volume"] = volume
            context["decisions"].append(
                Decision("mounts.destination", volume["path"], need.source, need.entry["title"])
            )
            return


def _processes(repository: Repository, listed: Dict[str, Decision], context: Dict[str, Any]) -> None:
    """Several processes only where there are: one command needs no process group."""
    start = " ".join(needed_word(item) for item in context["start"])
    web = next((name for name in needed.WEB if name in listed), "")
    if web:
        context["start"] = _words(listed[web].value)
        start = listed[web].value
        context["decisions"].append(Decision("Dockerfile CMD", start, listed[web].source, "Procfile"))
    others = [item for name, item in listed.items() if name != web]
    if not listed:
        others = [*context["found_processes"], *needed.workers(repository, context["package"])]
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


def needed_word(text: str) -> str:
    """One argument as flyctl's splitting of words gives it back."""
    import shlex

    return shlex.quote(text)


def _words(command: str) -> List[str]:
    import shlex

    try:
        return shlex.split(command)
    except ValueError:
        return ["sh", "-c", command]


def _health(repository: Repository, meta: Dict[str, Any], context: Dict[str, Any]) -> None:
    """The route that answers health checks: one that the sources have, else what the framework surely serves."""
    health = {"path": meta.get("health", ""), "grace": meta.get("grace", "10s"), "headers": meta.get("headers", {})}
    context["health"] = health
    if context["kind"] == "worker" or meta["family"] == "static":
        return
    found = repository.grep(rf"rails/health#show|[\"'`](/?(?:api/)?(?:{_ROUTES})/?)[\"'`]", *_SOURCES)
    if found and found[0].group(0) == "rails/health#show":
        health["path"] = "/up"
    elif found:
        route = found[0].group(1)
        health["path"] = route if route.startswith("/") else f"/{route}"
    if repository.framework == "next" and not found:
        page = next((name for name in repository.files("*app/api/health*/route.*")), "")
        if page:
            health["path"] = "/" + page.partition("app/")[2].rpartition("/")[0]
    if health["path"]:
        source = found[1] if found else "default"
        context["decisions"].append(
            Decision("http_service.checks.path", health["path"], source, "answers health checks")
        )
    else:
        context["notes"].append("no route answers health checks: add GET /healthz and run this again")


def _settings(repository: Repository, meta: Dict[str, Any], found: List[needed.Need], context: Dict[str, Any]) -> None:
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
        if name not in env and name not in ("PORT", "NODE_ENV", "HOST") and SECRET.search(name)
    ]
    if context["kind"] == "web":
        env["PORT"] = str(context["port"])
        if meta["family"] == "static":
            env.pop("PORT")
    if repository.framework == "phoenix":
        env["PHX_HOST"] = f"{context['app']}.fly.dev"
    if context["volume"] and any(need.name == "sqlite" for need in found):
        _sqlite(repository, env, context)
    # One that was given a value needs no secret, and none is named twice.
    unique = {item.value: item for item in reversed(secrets) if item.value not in env}
    context["secrets"] = [unique[name] for name in dict.fromkeys(item.value for item in secrets) if name in unique]
    context["decisions"] += context["secrets"]
    context["env"] = env


#: Names of variables that hold secrets.
SECRET = re.compile(
    r"(?:^|_)(?:SECRET|PASSWORD|PASSWD|PASSPHRASE|TOKEN|CREDENTIALS?|PRIVATE_KEY|API_?KEY|ACCESS_KEY|MASTER_KEY|"
    r"ENCRYPTION_KEY|SECRET_KEY(?:_BASE)?|DSN|AUTH_KEY|SIGNING_KEY)(?:$|_)|^(?:DATABASE|REDIS|MONGODB?|POSTGRES|MYSQL|AMQP)_UR[LI]$",
    re.IGNORECASE,
)


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


def _migrate_at_start(context: Dict[str, Any]) -> None:
    """A release command has no volume: with a database on one, the program's own Machine migrates before it starts."""
    if not context["volume"] or not context["release"] or context["volume"]["name"] != "data":
        return
    command = f"{context['release']} && exec {' '.join(needed_word(item) for item in context['start'])}"
    context["start"] = ["sh", "-c", command]
    if context["processes"]:
        context["processes"][context["web"]] = f"sh -c {needed_word(command)}"
    context["decisions"].append(
        Decision("Dockerfile CMD", command, "default", "a release command has no volume, so it migrates at its start")
    )
    context["release"] = ""


def _build_args(repository: Repository) -> List[str]:
    """Names that are compiled into what browsers get; public by their nature."""
    declared = [
        *(repository.detection.blueprint.get("secrets") or []),
        *(repository.detection.blueprint.get("env") or {}),
    ]
    return [name for name in declared if name.startswith(("NEXT_PUBLIC_", "VITE_", "REACT_APP_"))]


def _ci(repository: Repository, decisions: List[Decision]) -> str:
    """The CI that the repository has, else of the host it is on."""
    for name, place in (("github", ".github"), ("gitlab", ".gitlab-ci.yml"), ("circleci", ".circleci")):
        if repository.has(place):
            decisions.append(Decision("ci", name, place))
            return name
    config = repository.tree.text(".git/config") if repository.tree.is_file(".git/config") else ""
    name = "gitlab" if config and "gitlab" in config else "github"
    decisions.append(Decision("ci", name, ".git/config" if config and name in config else "default"))
    return name


def _branch(repository: Repository) -> str:
    head = repository.tree.text(".git/HEAD") if repository.tree.is_file(".git/HEAD") else ""
    name = (head or "").strip().rpartition("refs/heads/")[2]
    return name if name in ("main", "master", "trunk", "develop") else "main"


def _commands(found: List[needed.Need], context: Dict[str, Any], environments: List[Dict[str, Any]]) -> List[str]:
    """What comes next, for the environment that is deployed last."""
    last = environments[-1]
    app = context["app"] + last["suffix"]
    config = "" if last["file"] == "fly.toml" else f" --config {last['file']}"
    commands = [f"fly apps create {app}"]
    for need in found:
        commands += [line.format(app=app, region=context["regions"][0]) for line in need.entry.get("commands", ())]
    provided = {name for need in found for name in need.entry.get("secrets", ())}
    rest = [item.value for item in context["secrets"] if item.value not in provided]
    if rest:
        commands.append("fly secrets set " + " ".join(f"{name}=..." for name in rest) + f" --app {app}")
    commands.append(f"fly deploy{config}")
    total = _machines(context, last)
    if len(context["regions"]) > 1:
        commands.append(f"fly scale count {total} --region {','.join(context['regions'])}{config}")
    return commands


def _machines(context: Dict[str, Any], environment: Dict[str, Any]) -> int:
    count: int = environment["machines"]
    return count + len(context["regions"]) - 1


def machines(context: Dict[str, Any], environment: Dict[str, Any]) -> Tuple[int, Optional[str]]:
    """(Machines in all regions together, option of flyctl that names this environment's file)."""
    return _machines(context, environment), None if environment["file"] == "fly.toml" else environment["file"]
