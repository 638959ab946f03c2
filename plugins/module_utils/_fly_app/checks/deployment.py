# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Deployment: process groups, commands, strategy, volumes, size of Machines, what is built."""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import Any, Iterator, List, Tuple

from ..project import App, strings
from ..report import Finding, finding
from ..schema_walk import shown
from ..toml_lines import Path
from .services import checks_of

#: What only a shell understands; a program that is a shell gets it as one word.
_SHELL = re.compile(r"&&|\|\||(?<!\\)[|;<>`]|\$[({A-Za-z_]")
_IS_SHELL = re.compile(r"^(?:\S*/)?(?:ba|da|z|a)?sh\s+-[a-z]*c\b|^(?:\S*/)?env\s+-S\b")
_BUILDS = re.compile(
    r"\b(?:assets:precompile|collectstatic|(?:npm|yarn|pnpm|bun) (?:run )?build|next build|vite build|webpack|"
    r"go build|cargo build|pip install|npm (?:ci|install)|bundle install|composer install|"
    r"mix (?:compile|release|assets\.deploy)|apt(?:-get)? install)\b"
)
_ANSWERS = re.compile(r"^(?:web|http|server|api|frontend|www)$")


def check(app: App) -> Iterator[Finding]:
    """Every finding about how an app is deployed and what its Machines are."""
    if not app.file:
        return
    yield from _processes(app)
    yield from _commands(app)
    yield from _strategy(app)
    yield from _release(app)
    yield from _machines(app)
    yield from _build(app)


def _named(app: App) -> Iterator[Tuple[Path, str]]:
    """(path, process group) of every place that names one."""
    places: List[Tuple[Path, Any]] = [*app.services(), *app.mounts()]
    for name in ("vm", "restart", "metrics", "files"):
        places += app.many(name)
    places += [(("checks", name), item) for name, item in app.table("checks").items() if isinstance(item, dict)]
    for path, item in places:
        for index, group in enumerate(strings(item.get("processes"))):
            yield (*path, "processes", index), group


def _processes(app: App) -> Iterator[Finding]:
    groups = app.groups
    known = ", ".join(groups)
    for path, group in _named(app):
        if group not in groups:
            yield finding(
                "unknown-process", app.file, app.line(*path), f"{shown(path[:-1])} names {group!r}; there is {known}"
            )
    if not app.table("processes"):
        return
    served: "set[str]" = set()
    for path, service in app.services():
        names = strings(service.get("processes"))
        served.update(names)
        if not names:
            fix = f"add processes = [{list(groups)[0]!r}]".replace("'", '"')
            yield finding(
                "service-without-process",
                app.file,
                app.line(*path),
                f"{shown(path)} does not say which process group it is for",
                fix,
            )
    if not app.services():
        return
    for group in groups:
        if group not in served and served and _ANSWERS.match(group):
            yield finding(
                "process-without-service",
                app.file,
                app.line("processes", group),
                f"no service is for process group {group!r}",
            )


def _commands(app: App) -> Iterator[Finding]:
    commands: List[Tuple[Path, Any]] = [
        (("processes", name), command) for name, command in app.table("processes").items()
    ]
    deploy = app.table("deploy")
    commands += [(("deploy", name), deploy[name]) for name in ("release_command", "seed_command") if name in deploy]
    if "console_command" in app.data:
        commands.append((("console_command",), app.data["console_command"]))
    for path, command in commands:
        if not isinstance(command, str):
            continue
        line = app.line(*path)
        try:
            words = shlex.split(command)
        except ValueError:
            yield finding("command-unreadable", app.file, line, f"{shown(path)}: a quote is not closed")
            continue
        # Quoted words are passed on as they are, on purpose.
        bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", command)
        if words and _SHELL.search(bare) and not _IS_SHELL.match(command):
            sign = _SHELL.search(bare)
            quoted = command.replace("'", "'\"'\"'")
            yield finding(
                "command-needs-shell",
                app.file,
                line,
                f"{shown(path)} uses {sign.group(0) if sign else ''!r}, and no shell is there",
                f"sh -c '{quoted}'",
            )


def _strategy(app: App) -> Iterator[Finding]:
    strategy = app.table("deploy").get("strategy")
    line = app.line("deploy", "strategy")
    if strategy in ("canary", "bluegreen") and app.mounts():
        yield finding("strategy-with-volume", app.file, line, f"strategy {strategy!r} with a volume")
    checked = bool(app.table("checks")) or any(checks_of(app, path) for path, _service in app.services())
    if strategy == "bluegreen" and not checked:
        yield finding("bluegreen-without-check", app.file, line, "strategy 'bluegreen' without a health check")
    if strategy == "immediate" and app.production:
        yield finding("immediate-strategy", app.file, line, "strategy 'immediate' in production")


def _release(app: App) -> Iterator[Finding]:
    command = app.table("deploy").get("release_command")
    if not isinstance(command, str):
        return
    line = app.line("deploy", "release_command")
    built = _BUILDS.search(command)
    if built:
        yield finding("release-command-build", app.file, line, f"release_command builds: {built.group(0)}")
    for _path, mount in app.mounts():
        place = str(mount.get("destination") or "").rstrip("/")
        if not place:
            continue
        if place in command:
            yield finding(
                "release-command-volume", app.file, line, f"release_command works on {place}, which is a volume"
            )
            return
        for name, value in app.table("env").items():
            if isinstance(value, str) and f"{place}/" in value and re.search(r"DATABASE|SQLITE|(?:^|_)DB(?:_|$)", name):
                yield finding(
                    "release-command-volume", app.file, line, f"release_command has no volume, and {name} is on {place}"
                )
                return


def _machines(app: App) -> Iterator[Finding]:
    sizes = list(app.many("vm")) + list(app.many("compute"))
    if not sizes:
        yield finding("no-memory-limit", app.file, 1, "no [[vm]]: size and memory of the Machines are not written down")
    for path, size in sizes:
        if not any(size.get(key) for key in ("memory", "memory_mb", "size")):
            yield finding("no-memory-limit", app.file, app.line(*path), f"{shown(path)} has neither size nor memory")
    image = app.image
    for path, mount in app.mounts():
        place = str(mount.get("destination") or "").rstrip("/")
        hidden = _hidden(app, place) if image and place else ""
        if hidden:
            yield finding(
                "volume-hides-files", app.file, app.line(*path, "destination"), f"the volume at {place} covers {hidden}"
            )


def _hidden(app: App, place: str) -> str:
    """What of the image lies below a volume."""
    if app.image is None or app.image.parsed.final is None:
        return ""
    workdir = ""
    for stage in reversed(app.image.parsed.chain(app.image.parsed.final)):
        for instruction in stage.instructions:
            if instruction.keyword == "WORKDIR":
                workdir = posixpath.normpath(posixpath.join(workdir or "/", instruction.text))
    if workdir and (workdir == place or workdir.startswith(f"{place}/")):
        return f"the working directory {workdir}"
    return ""


def _build(app: App) -> Iterator[Finding]:
    build = app.table("build")
    ways = [name for name in ("image", "builder", "builtin", "dockerfile") if build.get(name)]
    if len(ways) > 1:
        yield finding("several-builds", app.file, app.line("build", ways[1]), f"[build] has {' and '.join(ways)}")
    named = build.get("dockerfile")
    if isinstance(named, str) and app.image is None and not named.startswith(("http://", "https://")):
        yield finding("dockerfile-missing", app.file, app.line("build", "dockerfile"), f"there is no {named}")
    image = build.get("image")
    if isinstance(image, str) and floating(image):
        yield finding("latest-tag", app.file, app.line("build", "image"), f"{image} names no version")


def floating(image: str) -> bool:
    """Whether an image reference names another image tomorrow."""
    if "@" in image or "$" in image or image == "scratch":
        return False
    last = image.rpartition("/")[2]
    return ":" not in last or last.endswith(":latest")
