# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Where a Node.js program listens: scripts, configuration, the entry file, the framework's default."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Match, NamedTuple, Optional

from ..data_frameworks import NODE_LIBRARIES, NODE_TOOLS, Framework
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, json_line, json_object, line_at, table, word
from ..ports import in_command, in_source, unique, valid
from ..tree import Folder

SOURCES = (
    "index.js server.js app.js main.js index.mjs server.mjs index.ts server.ts app.ts main.ts "
    "src/index.js src/server.js src/app.js src/main.js src/index.ts src/server.ts src/app.ts src/main.ts"
).split()
_START_FILE = re.compile(
    r"(?:^|\s|&&)(?:node|nodemon|ts-node|ts-node-dev|tsx|bun|deno|pm2 start|node-dev|babel-node|swc-node)\s+"
    r"((?:-{1,2}\S+\s+|run\s+|watch\s+)*)([\w./@-]+)"
)
#: A script that starts a file of the project's own, whatever tools that may use.
_OWN_FILE = re.compile(r"(?:[A-Z_]{1,40}=\S{1,80}\s+){0,9}(?:node|nodemon|tsx|ts-node)\s(?:[^&|;]{0,200})$")
_ENV = r"(?:process\.env|Bun\.env|env)(?:\.\w+|\[[\"']\w+[\"']\])"
_NUMBER = r"(?:(?:Number|parseInt|Number\.parseInt)\(\s*)?"
_FALLBACK = rf"{_NUMBER}\+?(?:{_ENV}(?:,\s*10)?\)?\s*(?:\|\||\?\?)\s*)?{_NUMBER}[\"']?(\d{{2,5}})\b"
#: The most telling first: what is listened on, then PORT with its fallback, then anything called port.
_LISTEN = (
    re.compile(r"\.listen\(\s*(?:\{\s*(?:host:[^,}]*,\s*)?port:\s*)?" + _FALLBACK),
    re.compile(
        r"(?:\b[A-Z_]*PORT\s*[:=]\s*|\.PORT\)?\s*(?:\|\||\?\?)\s*|[\"']PORT[\"']\]?\)?\s*(?:\|\||\?\?)\s*)" + _FALLBACK
    ),
    re.compile(_ENV + r"\s{0,9}\?[^:;\n]{0,100}:\s{0,9}[\"']?(\d{2,5})\b"),
    # A configuration service with a default: `config.get<number>('PORT', 3000)`.
    re.compile(r"\bget\w{0,20}(?:<\w{1,20}>)?\(\s*[\"'][\w.]{0,40}(?:PORT|port)[\"']\s*,\s*(\d{2,5})\s*\)"),
    re.compile(r"\b[pP]ort\s*[:=]\s*" + _FALLBACK),
)
_SERVER_BLOCK = re.compile(r"\b(?:server|devServer)\s*:\s*\{")
_IN_BLOCK = re.compile(r"[{}]|\bport\s*:\s*" + _FALLBACK)


_STORYBOOK = 6006
#: Words of the names of scripts that start something: `dev`, `vite:dev`, `start:web`.
_STARTING = frozenset("dev start serve develop server watch preview".split())
_MAX_APPS = 30


class Manifest(NamedTuple):
    """One package.json: its name, its text, what it holds."""

    name: str
    text: str
    data: Dict[str, Any]
    scripts: Dict[str, str]


def ports(folder: Folder, finding: Finding, manifest: Manifest, framework: Optional[Framework], key: str) -> None:
    """Adds what scripts, configuration and sources state, and the framework's default."""
    scripts = manifest.scripts
    for script in ("dev", "start", "serve", "develop", "start:dev", "dev:server"):
        port = in_command(scripts[script]) if script in scripts else None
        if port:
            source = at(folder, manifest.name, json_line(manifest.text, "scripts", script))
            finding.ports.append(Candidate([port], source, confidence=0.9, note=f"script {script}"))
            break
    else:
        config = _config_port(folder)
        targets = _serve_targets(folder)
        if config:
            finding.ports.append(config)
        elif targets:
            numbers = unique([port for target in targets for port in target.value])
            finding.ports.append(targets[0]._replace(value=numbers))
    library = key in NODE_LIBRARIES
    starts = any(script in scripts for script in ("start", "dev", "serve", "start:dev"))
    if not finding.ports and (library or starts) and (library or _own_server(framework, scripts)):
        listening = _listening(folder, scripts, manifest.data)
        if listening:
            finding.ports.append(listening)
    if not finding.ports and not framework and "storybook" in scripts:
        # A library of components has no other page than this.
        port = in_command(scripts["storybook"]) or _STORYBOOK
        source = at(folder, manifest.name, json_line(manifest.text, "scripts", "storybook"))
        finding.ports.append(Candidate([port], source, confidence=0.7, note="script storybook"))
    if library:
        serves = "start" in scripts or "dev" in scripts
    else:
        started = [scripts[script] for script in scripts if not _STARTING.isdisjoint(script.split(":"))]
        if key in table(manifest.data, "peerDependencies"):
            # Whoever installs it brings the framework, and starts it.
            serves = bool(started)
        else:
            serves = key not in NODE_TOOLS or not all(_OWN_FILE.match(command) for command in started)
    if framework and framework[1] and serves:
        finding.default_ports.append(Candidate([framework[1]], "default", DEFAULT, 0.6, note=f"port of {framework[0]}"))


def _own_server(framework: Optional[Framework], scripts: Dict[str, str]) -> bool:
    """Whether a file of the project listens: begun with `node server.js`, it does so whatever it hands over to."""
    if not framework or framework[0] in ("nest", "apollo", "graphql-yoga", "elysia"):
        return True
    return bool(_START_FILE.search(scripts.get("dev", scripts.get("start", ""))))


def _config_port(folder: Folder) -> Optional[Candidate]:
    for file in (
        "vite.config.ts",
        "vite.config.js",
        "vite.config.mjs",
        "vue.config.js",
        "astro.config.mjs",
        "webpack.config.js",
        "nuxt.config.ts",
        "rsbuild.config.ts",
    ):
        if file in folder.names:
            text = folder.text(file) or ""
            match = _server_port(text)
            port = valid(match.group(1)) if match else None
            if match and port:
                return Candidate(
                    [port], at(folder, file, line_at(text, match.start(1))), confidence=0.9, note="server port"
                )
    return None


def _server_port(text: str) -> Optional[Match[str]]:
    """`port:` of the block `server: {`, past the blocks inside it (a proxy has ports of its own)."""
    block = _SERVER_BLOCK.search(text)
    depth = 1
    for match in _IN_BLOCK.finditer(text, block.end()) if block else ():
        if match.group(1):
            if depth == 1:
                return match
        else:
            depth += 1 if match.group(0) == "{" else -1
            if not depth:
                break
    return None


def _serve_targets(folder: Folder) -> List[Candidate]:
    """Ports that angular.json, or the project.json of an Nx application, gives its server."""
    files = ["angular.json"] if "angular.json" in folder.names else []
    if "nx.json" in folder.names:
        apps = folder.at("apps")
        files += [f"apps/{name}/project.json" for name in sorted(folder.tree.names(apps))[:_MAX_APPS]]
        files.append("project.json")
    found: List[Candidate] = []
    for file in files:
        if not folder.has(file):
            continue
        data = json_object(folder, file, comments=True)
        projects = table(data, "projects") or {"": data}
        for project in projects.values():
            targets = table(project, "architect") or table(project, "targets")
            port = valid(word(table(targets, "serve", "options").get("port")))
            if port:
                line = json_line(folder.text(file) or "", "serve", "options", "port")
                found.append(Candidate([port], at(folder, file, line), confidence=0.9, note="target serve"))
    return found


def _listening(folder: Folder, scripts: Dict[str, str], data: Dict[str, Any]) -> Optional[Candidate]:
    """The port that the entry file listens on."""
    files: List[str] = []
    for script in ("dev", "start", "serve"):
        for _flags, target in _START_FILE.findall(scripts.get(script, "")):
            stem = target[2:] if target.startswith("./") else target
            files.append(stem)
            if stem.startswith(("dist/", "build/", "lib/", "out/")):
                files.append("src/" + stem.split("/", 1)[1].rsplit(".", 1)[0] + ".ts")
    main = word(data.get("main"))
    if main and not main.endswith(".json"):
        files.append(main[2:] if main.startswith("./") else main)
    for file in [*files, *SOURCES]:
        for spelled in (file,) if "." in file.rsplit("/", 1)[-1] else (f"{file}.js", f"{file}.ts", f"{file}/index.js"):
            if ".." in spelled or not folder.has(spelled):
                continue
            text = folder.text(spelled) or ""
            found = in_source(text, _LISTEN)
            if found:
                source = at(folder, spelled, line_at(text, found[1]))
                return Candidate([found[0]], source, confidence=0.8, note="listens there")
    return None
