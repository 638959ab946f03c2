# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Ports: what Fly Proxy connects to against what the program listens on, and where it listens."""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from ..._blueprint.around.dockerfile import SERVERS
from ..._blueprint.ports import in_command
from ..dockerfile import Instruction, command, pairs, resolve
from ..project import App, Image, strings
from ..report import Finding, finding
from ..schema_walk import shown
from ..toml_lines import Path

_LOOPBACK = re.compile(r"(?<![\w.])(?:127\.0\.0\.1|localhost|\[?::1\]?)(?![\w.])")
_BINDS = re.compile(
    r"(?:^|\s)(?:--host(?:name)?|--bind(?:ing)?|--address|--listen|--http|-b|-H|-S|-a)[=\s]+[\"']?"
    r"(?:tcp://|https?://)?(127\.0\.0\.1|localhost|\[?::1\]?)(?::\d+)?(?=[\s\"']|$)"
)
_DEVELOPMENT = re.compile(
    r"\bflask (?:--\S+ \S+ )*run\b|\bmanage\.py runserver\b|"
    r"\b(?:npm|yarn|pnpm|bun) (?:run )?(?:dev|develop|start:dev)\b|"
    r"\bnext dev\b|\bnodemon\b|\bnest start --watch\b|\bvite(?: dev| preview)?\s*(?:--|$)|\bfastapi dev\b|"
    r"\bwebpack(?:-dev-server| serve)\b|(?:^|\s)--reload\b|\bphp artisan serve\b|\bphp -S\b|\bmix phx\.server\b|"
    r"\bgo run\b|\bcargo run\b"
)


class Start(NamedTuple):
    """How one process group starts: its words, and where that is written."""

    words: List[str]
    file: str
    line: int


def check(app: App) -> Iterator[Finding]:
    """Every finding about where programs listen."""
    variables = _environment(app)
    starts = {group: _start(app, group) for group in app.groups}
    for path, service in app.services():
        groups = strings(service.get("processes")) or list(app.groups)
        start = next((starts[group] for group in groups if starts.get(group)), None)
        port = service.get("internal_port")
        if isinstance(port, int):
            yield from _port(app, (*path, "internal_port"), port, start, variables)
        if start:
            yield from _loopback(start, variables)
    told = set()
    for start in starts.values():
        text = " ".join(start.words) if start else ""
        found = _DEVELOPMENT.search(text)
        if start and found and (start.file, start.line) not in told and (app.production or not app.file):
            told.add((start.file, start.line))
            yield finding("development-server", start.file, start.line, f"{found.group(0).strip()} is for development")


def _environment(app: App) -> Dict[str, Tuple[str, str, int]]:
    """Variable -> (value, file, line): of the image, then of [env], which counts more."""
    known: Dict[str, Tuple[str, str, int]] = {}
    if app.image and app.image.parsed.final:
        for stage in reversed(app.image.parsed.chain(app.image.parsed.final)):
            for instruction in stage.instructions:
                if instruction.keyword == "ENV":
                    for name, value, line in pairs(instruction):
                        known[name] = (resolve(value, app.image.parsed.variables), app.image.file, line)
    for name, value in app.table("env").items():
        known[name] = (str(value), app.file, app.line("env", name))
    return known


def _last(image: Optional[Image], keyword: str) -> Optional[Instruction]:
    if image is None or image.parsed.final is None:
        return None
    for stage in image.parsed.chain(image.parsed.final):
        found = [item for item in stage.instructions if item.keyword == keyword]
        if found:
            return found[-1]
    return None


def _start(app: App, group: str) -> Optional[Start]:
    """What a group runs: its own command, what fly.toml puts in the place of the image's, or the image's."""
    own = app.table("processes").get(group)
    if isinstance(own, str) and own.strip():
        return Start(own.split(), app.file, app.line("processes", group))
    for name in ("exec", "cmd"):
        value = app.table("experimental").get(name)
        words = strings(value) or ([value] if isinstance(value, str) else [])
        if words:
            return Start(words, app.file, app.line("experimental", name))
    words, line = [], 0
    for keyword in ("ENTRYPOINT", "CMD"):
        instruction = _last(app.image, keyword)
        if instruction:
            words += command(instruction)
            line = instruction.line
    return Start(words, app.image.file, line) if words and app.image else None


def _port(
    app: App, path: Path, port: int, start: Optional[Start], variables: Dict[str, Tuple[str, str, int]]
) -> Iterator[Finding]:
    line = app.line(*path)
    name = shown(path)
    exposed = _exposed(app)
    said = _said(start, variables)
    if said:
        if said != port:
            yield finding(
                "port-mismatch",
                app.file,
                line,
                f"{name} is {port}, and the program is started on {said} ({start.file}:{start.line})"
                if start
                else name,
            )
        return
    if exposed and port in exposed[0]:
        return
    value, file, number = variables.get("PORT", ("", "", 0))
    if value.isdigit():
        if int(value) != port:
            yield finding("port-mismatch", app.file, line, f"{name} is {port}, and PORT is {value} ({file}:{number})")
        return
    if exposed and exposed[0]:
        numbers = ", ".join(map(str, exposed[0]))
        yield finding(
            "port-mismatch",
            app.file,
            line,
            f"{name} is {port}, and the image exposes {numbers} ({exposed[1]}:{exposed[2]})",
        )


def _said(start: Optional[Start], variables: Dict[str, Tuple[str, str, int]]) -> Optional[int]:
    """The port in the start command."""
    if start is None:
        return None
    text = resolve(" ".join(start.words), {name: value for name, (value, _file, _line) in variables.items()})
    return in_command(text)


def _exposed(app: App) -> Optional[Tuple[List[int], str, int]]:
    """(ports, file, line) of EXPOSE in the last stage, or of the web server that it is made from."""
    if app.image is None or app.image.parsed.final is None:
        return None
    found: List[int] = []
    line = 0
    for stage in app.image.parsed.chain(app.image.parsed.final):
        for instruction in stage.instructions:
            if instruction.keyword == "EXPOSE":
                words = resolve(instruction.text, app.image.parsed.variables).split()
                found += [int(word.split("/")[0]) for word in words if word.split("/")[0].isdigit()]
                line = line or instruction.line
    if found:
        return found, app.image.file, line
    last = app.image.parsed.chain(app.image.parsed.final)[-1]
    for pattern, port in SERVERS:
        if pattern.search(last.image):
            return [port], app.image.file, last.line
    return None


def _loopback(start: Start, variables: Dict[str, Tuple[str, str, int]]) -> Iterator[Finding]:
    text = resolve(" ".join(start.words), {name: value for name, (value, _file, _line) in variables.items()})
    if _BINDS.search(text):
        yield finding("listens-on-loopback", start.file, start.line, "the program listens on 127.0.0.1")
        return
    reason = _silent(text, variables)
    if reason:
        yield finding(
            "listens-on-loopback", start.file, start.line, f"{reason} listens on 127.0.0.1 where no host is named"
        )
        return
    host, file, line = variables.get("HOST", variables.get("HOSTNAME", ("", "", 0)))
    if _LOOPBACK.fullmatch(host):
        yield finding("listens-on-loopback", file, line, "HOST is 127.0.0.1")


def _silent(text: str, variables: Dict[str, Tuple[str, str, int]]) -> str:
    """A server that is started without a word on where to listen, and then takes 127.0.0.1."""
    hosted = re.search(r"(?:^|\s)(?:--host|-h|--uds|--fd)\b", text)
    if re.search(r"\b(?:uvicorn|hypercorn)\b", text) and not hosted and "--bind" not in text and "gunicorn" not in text:
        return "uvicorn"
    if re.search(r"\bflask (?:--\S+ \S+ )*run\b", text) and not hosted and "FLASK_RUN_HOST" not in variables:
        return "flask run"
    if re.search(r"\bmanage\.py runserver\b", text) and not re.search(r"runserver\s+(?:0\.0\.0\.0|\[?::)", text):
        return "runserver"
    bound = re.search(r"(?:^|\s)(?:-b|--bind|-c|--config)\b", text)
    if (
        re.search(r"\bgunicorn\b", text)
        and not bound
        and "PORT" not in variables
        and "GUNICORN_CMD_ARGS" not in variables
    ):
        return "gunicorn"
    return ""
