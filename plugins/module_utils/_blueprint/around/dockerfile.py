# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Dockerfiles: base images (which runtime in which version), exposed ports, start commands."""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from ..findings import Candidate
from ..parsers import at
from ..ports import in_command, unique, valid
from ..scanners.common import clean
from ..tree import Folder
from ..versions import candidate

NAMES = (
    "Dockerfile",
    "dockerfile",
    "Containerfile",
    "Dockerfile.dev",
    "Dockerfile.development",
    "docker/Dockerfile",
    "Dockerfile.prod",
    "Dockerfile.production",
)

#: Last parts of image names -> runtime.
IMAGES: Dict[str, str] = {
    name: runtime
    for runtime, names in {
        "node": "node javascript-node typescript-node aws-lambda-nodejs",
        "python": "python miniconda3 anaconda3 uv",
        "go": "golang go",
        "rust": "rust",
        "ruby": "ruby jruby",
        "php": "php frankenphp",
        "java": "openjdk eclipse-temurin amazoncorretto java maven gradle",
        "dotnet": "sdk aspnet dotnet",
        "elixir": "elixir",
        "bun": "bun",
        "deno": "deno",
        "swift": "swift",
        "dart": "dart",
        "haskell": "haskell ghc",
        "clojure": "clojure",
        "crystal": "crystal",
        "gleam": "gleam",
        "cpp": "gcc cpp",
    }.items()
    for name in names.split()
}
#: Base images that listen by themselves.
SERVERS = (
    (re.compile(r"(?:^|/)nginx-unprivileged(?::|$)"), 8080),
    (re.compile(r"(?:^|/)(?:nginx|httpd|caddy)(?::|$)"), 80),
    (re.compile(r"(?:^|/)(?:php|wordpress|drupal):[^@]*apache"), 80),
)
_VARIABLE = re.compile(r"\$\{(\w+)(?::?[-+]([^}]*))?\}|\$(\w+)")
_VERSION = re.compile(r"\d+(?:\.\d+)*")
#: Names of runtimes in the names and tags of other images -> runtime.
_SPOKEN = {"nodejs": "node", "node": "node", "openjdk": "java", "python": "python", "ruby": "ruby", "php": "php"}
_SPOKEN.update({"rust": "rust", "golang": "go"})
_IN_NAME = re.compile(r"(nodejs|openjdk|python|ruby|php)-(\d{1,3})")
_IN_TAG = re.compile(r"(?:^|-)(node|openjdk|python|ruby|php|rust|golang)-?(\d{1,3}(?:\.\d{1,3}){0,2})(?=-|$)")
_HEREDOC = re.compile(r"<<-?[\"']?([A-Za-z_]\w{0,60})")


class Dockerfile(NamedTuple):
    """What one file states."""

    #: (runtime, version word, line) of each FROM that names a runtime, in order.
    bases: Tuple[Tuple[str, str, int], ...]
    ports: Tuple[int, ...]
    ports_line: int
    #: Port of CMD, ENTRYPOINT or ENV PORT.
    started: Optional[int]
    started_line: int
    #: (port, line) of the web server that the last stage is made from.
    served: Optional[Tuple[int, int]]


def runtime_of_image(image: str) -> Tuple[str, str]:
    """(runtime, version word) that an image reference names; empty where it names none."""
    name, _colon, tag = image.split("@", 1)[0].rpartition(":")
    if "/" in tag or not name:
        name, tag = image.split("@", 1)[0], ""
    last = name.rsplit("/", 1)[-1]
    runtime = IMAGES.get(last, "")
    if not runtime:
        return _runtime_within(last, tag)
    if last in ("sdk", "aspnet") and "dotnet" not in name:
        return "", ""
    if last in ("maven", "gradle"):
        match = re.search(r"(?:jdk-?|temurin-|openjdk-|corretto-|jre-?)(\d+)", tag)
        return runtime, match.group(1) if match else ""
    if "devcontainers/" in name or "vscode/devcontainers" in name:
        # The first number is the template's own where two follow each other: `1-20-bookworm`.
        tag = re.sub(r"^(?:dev-)?[01](?:\.\d+)*-(?=\d)", "", tag)
    if last == "uv":
        # The first number is uv's own: `0.8.15-python3.12-bookworm-slim`.
        _uv, _python, tag = tag.partition("python")
    if runtime == "haskell" or last in ("clojure", "frankenphp"):
        tag = re.sub(r"^.*?php", "", tag) if last == "frankenphp" else tag if runtime == "haskell" else ""
    match = _VERSION.search(tag)
    plain = re.match(r"(lts|latest|current|stable|nightly)\b", tag)
    version = (
        match.group(0)
        if match and (tag[match.start() - 1 : match.start()] in ("", "-", "v")) and tag[:1] in "0123456789vdj-"
        else ""
    )
    return runtime, clean(runtime, version) if version else plain.group(
        1
    ) if plain and runtime == "node" and plain.group(1) in ("lts", "current") else ""


def _runtime_within(last: str, tag: str) -> Tuple[str, str]:
    """What an image of somebody's own says of its runtime: `nodejs-18`, `:python3.9`, `:latest-rust-1.81.0`."""
    match = _IN_NAME.fullmatch(last)
    if match:
        runtime, digits = _SPOKEN[match.group(1)], match.group(2)
        return runtime, f"{digits[0]}.{digits[1:]}" if runtime not in ("node", "java") and digits[1:] else digits
    match = _IN_TAG.search(tag)
    return (_SPOKEN[match.group(1)], match.group(2)) if match else ("", "")


def read(folder: Folder, name: str, arguments: Optional[Dict[str, str]] = None) -> Optional[Dockerfile]:
    """The Dockerfile called `name`, built with `arguments`; None when it cannot be read."""
    text = folder.text(name)
    if text is None:
        return None
    arguments = arguments or {}
    variables: Dict[str, str] = dict(arguments)
    bases: List[Tuple[str, str, int]] = []
    stages: List[Tuple[List[int], int]] = [([], 0)]
    started, started_line, declared, declared_line = None, 0, None, 0
    served: Optional[Tuple[int, int]] = None
    for number, line in _instructions(text):
        keyword, _space, rest = line.partition(" ")
        keyword, rest = keyword.upper(), rest.strip()
        if keyword in ("ARG", "ENV"):
            for key, value in re.findall(r"\b(\w{1,100})[ \t]*[= ][ \t]*(\"[^\"]*\"|'[^']*'|\S+)", rest):
                if keyword == "ENV" or key not in arguments:
                    variables[key] = _resolve(value.strip("\"'"), variables)
            if keyword == "ENV" and valid(variables.get("PORT", "")):
                declared, declared_line = valid(variables["PORT"]), declared_line or number
        elif keyword == "FROM":
            image = _resolve(re.sub(r"^--\S+\s+", "", rest).split(" ")[0], variables)
            runtime, version = runtime_of_image(image)
            if runtime:
                bases.append((runtime, version, number))
            served = next(((port, number) for pattern, port in SERVERS if pattern.search(image)), None)
            stages.append(([], 0))
        elif keyword == "EXPOSE":
            found = [
                valid(word.split("/")[0]) for word in _resolve(rest, variables).split() if not word.endswith("/udp")
            ]
            stages[-1][0].extend(port for port in found if port)
            stages[-1] = (stages[-1][0], stages[-1][1] or number)
        elif keyword in ("CMD", "ENTRYPOINT"):
            port = in_command(_resolve(re.sub(r'["\[\],]+', " ", rest), variables))
            started, started_line = (port, number) if port else (started, started_line)
    exposed = next((stage for stage in reversed(stages) if stage[0]), ([], 0))
    return Dockerfile(
        tuple(bases),
        tuple(unique(exposed[0])),
        exposed[1],
        started or declared,
        started_line if started else declared_line,
        served,
    )


def _instructions(text: str) -> List[Tuple[int, str]]:
    """(line, instruction) with continued lines joined and comments left out."""
    result: List[Tuple[int, str]] = []
    heredocs: List[str] = []
    pending, begun = "", 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if heredocs:
            # What a shell or a file gets is no instruction.
            heredocs = heredocs[1:] if line == heredocs[0] else heredocs
            continue
        if line.startswith("#") or (not line and not pending):
            continue
        begun = begun or number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        result.append((begun, (pending + line).strip()))
        heredocs = _HEREDOC.findall(line) if result[-1][1].split(" ", 1)[0].upper() in ("RUN", "COPY", "ADD") else []
        pending, begun = "", 0
    if pending:
        result.append((begun, pending.strip()))
    return result


def _resolve(text: str, variables: Dict[str, str]) -> str:
    return _VARIABLE.sub(lambda match: variables.get(match.group(1) or match.group(3), match.group(2) or ""), text)[
        :2000
    ]


def versions(folder: Folder, name: str, file: Dockerfile) -> List[Tuple[str, Candidate]]:
    """(runtime, candidate) of each base image; weak, because it is what runs, not what the authors ask for."""
    found: List[Tuple[str, Candidate]] = []
    for runtime, version, line in file.bases:
        if version:
            source = at(folder, name, line)
            found += [
                (runtime, item) for item in candidate(version, runtime, source, confidence=0.8, note="base image")
            ]
    return found
