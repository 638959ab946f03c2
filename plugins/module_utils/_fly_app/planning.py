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
from . import shape
from .families import survey
from .repository import Decision, Repository
from .resources import Framework, frameworks, yaml_data
from .writing import ours

CI = ("github", "gitlab", "circleci", "none")
#: Region where nothing names one.
REGION = "iad"


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
    if options.ci and options.ci not in CI:
        raise UsageError(f"unknown CI {options.ci!r}", hint="one of " + ", ".join(CI))
    repository = Repository(path)
    _readable(repository)
    environments = _environments(repository, options.environments)
    framework = choose(repository)
    meta = framework.meta
    title = meta["title"].replace("Node.js", "Bun") if repository.runtime == "bun" else meta["title"]
    decisions: List[Decision] = [Decision("framework", framework.name, repository.source("runtimes[0].name"), title)]
    context: Dict[str, Any] = {
        "framework": {
            "name": framework.name,
            "title": title,
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
    _names(repository, options, context)
    _port(repository, meta, context)
    found = needed.needs(repository)
    shape.volume(found, context)
    step = needed.migration(repository)
    listed, release = needed.procfile(repository, context.get("port", 0))
    step = release or step
    context["release"] = step.value if step else ""
    if step:
        decisions.append(step)
    survey(meta["family"])(repository, meta, context)
    site = context.get("site", {"builder": True})
    image = context["images"]["build" if site["builder"] else "run"]
    decisions.append(Decision("Dockerfile FROM", image, repository.source("runtimes[0].version")))
    shape.processes(repository, listed, context)
    shape.health(repository, meta, context)
    shape.settings(repository, meta, found, context)
    shape.migrate_at_start(context)
    decisions += [Decision("needs", need.name, need.source, need.entry["title"]) for need in found]
    ci = options.ci or _ci(repository, decisions)
    context["branch"] = _branch(repository)
    return Plan(
        framework,
        context,
        environments,
        ci,
        _settled(decisions),
        context["notes"],
        repository.detection.warnings,
        _commands(found, context, environments),
    )


def _readable(repository: Repository) -> None:
    """What the runtime was recognised by must be readable: without it everything else would be guessed."""
    manifest = repository.source("runtimes[0].name").rpartition(":")[0]
    for warning in repository.detection.warnings:
        if manifest and warning["file"] == manifest and warning["message"].startswith("skipped:"):
            raise UsageError(
                warning["message"].partition(": ")[2],
                where=f"{manifest}:{warning['line']}" if warning["line"] else manifest,
                hint="correct it first: everything else follows from it",
                code="unreadable_manifest",
            )


def _settled(decisions: List[Decision]) -> List[Decision]:
    """One decision a field, the last that was made; what is needed and secret are several."""
    last = {item.field: item for item in decisions}
    return [item for item in decisions if item.field in ("needs", "secrets") or last[item.field] is item]


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
    known = ", ".join(framework.meta["title"] for framework in every)
    if not repository.runtime:
        raise UsageError(
            "no program that is known was found",
            where=repository.detection.directory,
            hint=f"run it in the folder that has the program; there are templates for {known}",
            code="no_template",
        )
    what = " ".join(dict.fromkeys(name for name in (repository.runtime, repository.framework) if name))
    by_hand = "with its Dockerfile" if repository.tree.is_file("Dockerfile") else "with a Dockerfile of your own"
    raise UsageError(
        f"no template fits: found {what}",
        where=repository.detection.directory,
        hint=f"{by_hand}, `fly launch --no-deploy` writes fly.toml and `fuelctl fly check` reads both; "
        f"there are templates for {known}",
        code="no_template",
    )


def _environments(repository: Repository, names: Sequence[str]) -> List[Dict[str, Any]]:
    """Those that are asked for; else production, and those that have a file already."""
    known = yaml_data("environments.yml")
    for name in names:
        if name not in known:
            raise UsageError(f"unknown environment {name!r}", hint="one of " + ", ".join(known))
    there = [name for name, entry in known.items() if name == "production" or repository.root.has(entry["file"])]
    return [{"name": name, **entry} for name, entry in known.items() if name in (names or there)]


def _image(repository: Repository, pattern: str) -> str:
    image, version, suite = repository.image()
    found = pattern.format(image=image, version=version, suite=suite)
    if not re.fullmatch(r"[\w./:@+-]+", found):
        raise UsageError(
            f"{found!r} is no image", where=repository.source("runtimes[0].version"), hint="name a version"
        )
    return found


def _names(repository: Repository, options: Options, context: Dict[str, Any]) -> None:
    """App and regions: the option, else the fly.toml that is there, else the folder's name and the default region."""
    decisions: List[Decision] = context["decisions"]
    there = toml_table(repository.root, "fly.toml") if repository.root.has("fly.toml") else {}
    app, source = options.app, "--app"
    if not app and word(there.get("app")):
        app, source = word(there["app"]), _remembered(repository, "app")
    if not app:
        app, source = repository.detection.blueprint.get("name") or "", "name of the folder"
        app = app or repository.tree.root.rpartition("/")[2]
    app = re.sub(r"[^a-z0-9-]+", "-", app.lower()).strip("-")[:50] or "app"
    decisions.append(Decision("app", app, source))
    regions, source = list(options.regions), "--region"
    if not regions and word(there.get("primary_region")):
        regions, source = [word(there["primary_region"])], _remembered(repository, "primary_region")
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


def _remembered(repository: Repository, key: str) -> str:
    """Where a value of fly.toml came from: what our own file says of it, else its line there."""
    text = repository.root.text("fly.toml") or ""
    line = toml_line(text, key)
    _value, comment, source = text.split("\n")[line - 1].partition("  # ")
    if ours(text):
        return source.strip() if comment else "default"
    return f"fly.toml:{line}"


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
    stated = next(
        (item for item in candidates if item.source != "default" and not _made_here(repository, item.source)), None
    )
    value, source = context["port"], "default"
    if stated is not None and ports:
        first = stated.value[0] if isinstance(stated.value, list) else stated.value
        if isinstance(first, int):
            value, source = first, stated.source
    context["port"] = value
    context["decisions"].append(Decision("http_service.internal_port", value, source))


def _made_here(repository: Repository, source: str) -> bool:
    """Whether a source is one of our own files: then it says what was decided, not why."""
    file = source.rpartition(":")[0]
    return repository.tree.is_file(file) and ours(repository.tree.text(file) or "")


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
