# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Node.js (and Bun where it is the runtime): package.json and what stands around it."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Tuple

from ..data_frameworks import NODE, NODE_COMMANDS, NODE_LIBRARIES, Framework
from ..data_packages import NODE as NODE_PACKAGES
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, json_line, json_object, table, word
from ..tree import Folder
from ..versions import candidate
from .common import clean, named, shared_versions, tools_of, upward, version_file
from .node_managers import install, managers
from .node_ports import SOURCES, Manifest, ports
from .node_workspaces import members, script_folders

#: Tools that need no application: a package.json with nothing else describes no Node.js project.
_ENTRY_FILES = (
    "next.config.js next.config.mjs next.config.ts nuxt.config.ts nuxt.config.js angular.json "
    "astro.config.mjs astro.config.ts "
    "astro.config.js svelte.config.js remix.config.js nest-cli.json gatsby-config.js gatsby-config.ts "
    "react-router.config.ts "
    "redwood.toml ember-cli-build.js docusaurus.config.js docusaurus.config.ts"
).split()
_START_SCRIPTS = frozenset(("start", "dev", "serve", "develop"))
#: What other packages would import or run.
_PUBLISHED = frozenset(("main", "exports", "bin", "module"))
_ADDON_TOOLS = frozenset(("@napi-rs/cli", "neon-cli", "cargo-cp-artifact", "node-gyp"))
_DRIVES = re.compile(
    r"(?:npx )?(?:concurrently|npm-run-all|run-p|run-s|turbo|nx|lerna|docker|docker-compose|make|cd|bundle|rails|bin/|"
    r"python3?|poetry|uv|"
    r"flask|uvicorn|php|composer|go|cargo|mix|mvn|\./mvnw|gradle|\./gradlew|dotnet|foreman|overmind|tailwindcss|sass|postcss|husky|echo|"
    r"npm (?:--prefix|run|-C)|yarn --cwd|pnpm -C)\b"
)
_BUN_RUN = re.compile(r"(?:^|&&|;)\s*(?:[A-Z_]+=\S+\s+)*bunx?\s+((?:-{1,2}\S+\s+)*)(?:run\s+)?((?:-{1,2}\S+\s+)*)(\S+)")


def scan(folder: Folder) -> Optional[Finding]:
    """The Node.js project in `folder`."""
    name = folder.first("package.json")
    if name is None:
        if "rush.json" in folder.names:
            from .node_rush import scan as rush_scan

            return rush_scan(folder)
        return _other_manifest(folder) or _loose(folder)
    data = json_object(folder, name)
    text = folder.text(name) or ""
    return _describe(folder, name, data, text)


def _other_manifest(folder: Folder) -> Optional[Finding]:
    """package.json5 and package.yaml, which pnpm reads."""
    name = folder.first("package.json5", "package.yaml")
    if name is None:
        return None
    if name.endswith("yaml"):
        from .haskell import is_hpack
        from .haskell import scan as haskell_scan

        if is_hpack(folder):
            return haskell_scan(folder)
        from ..parsers import yaml_object

        data = yaml_object(folder, name)
    else:
        from ..json5 import json5_object

        data = json5_object(folder, name)
    return _describe(folder, name, data, folder.text(name) or "")


def _loose(folder: Folder) -> Optional[Finding]:
    """A script without a manifest; beside a page it is the page's."""
    name = folder.first(*(name for name in SOURCES if name.endswith("js") and "/" not in name))
    if name is None or folder.ending(".html"):
        return None
    managers = [Candidate("npm", "default", DEFAULT, 0.6, note="the one that Node.js brings")]
    return Finding("node", folder.path, 20, at(folder, name), "loose JavaScript sources", managers=managers)


def _describe(folder: Folder, name: str, data: Dict[str, Any], text: str) -> Finding:
    dependencies = table(data, "dependencies")
    development = table(data, "devDependencies")
    everything = {**development, **dependencies}
    for section in ("peerDependencies", "optionalDependencies"):
        if section in data:
            everything.update(table(data, section))
    scripts = {key: value for key, value in table(data, "scripts").items() if isinstance(value, str)}
    framework, framework_key = _framework(everything, scripts, dependencies)
    member = folder.owner in ("node", "bun")
    runtime = folder.owner if member else "bun" if _runs_on_bun(folder, data, scripts) else "node"
    finding = Finding(runtime, folder.path, 60, at(folder, name, 1), "package.json")
    finding.framework = framework[0] if framework else ""
    manifest = Manifest(name, text, data, scripts)
    if not member:
        # For a member of a workspace its root decides all of this.
        finding.managers = managers(folder, data, text, name, runtime)
        finding.members = members(folder, data)
        finding.parts = script_folders(folder, scripts)
        finding.versions = _versions(folder, name, data, text, runtime)
        install(folder, finding, scripts, runtime)
    if folder.names.get("src-tauri"):
        finding.parts.append(folder.at("src-tauri"))
    _score(folder, finding, manifest, framework, dependencies)
    ports(folder, finding, manifest, framework, framework_key)
    for dependency in named(NODE_PACKAGES, everything):
        section = "dependencies" if dependency in dependencies else "devDependencies"
        source = at(folder, name, json_line(text, section, dependency))
        finding.packages += [
            Candidate(package, source, note=f"{dependency} needs it to build") for package in NODE_PACKAGES[dependency]
        ]
    return finding


def _runs_on_bun(folder: Folder, data: Dict[str, Any], scripts: Dict[str, str]) -> bool:
    if any(place.has(".bun-version") for place in upward(folder)) or word(table(data, "engines").get("bun")):
        return True
    if table(data, "devEngines", "runtime").get("name") == "bun":
        return True
    tools = tools_of(folder)
    if "bun" in tools and "node" not in tools:
        return True
    for key in ("start", "dev", "serve"):
        for flags, more, target in _BUN_RUN.findall(scripts.get(key, "")):
            if (
                "--bun" in flags + more
                or target.startswith((".", "src/"))
                or target.endswith((".ts", ".js", ".tsx", ".mjs", ".jsx"))
            ):
                return True
    return False


def _framework(
    everything: Dict[str, Any], scripts: Dict[str, str], dependencies: Dict[str, Any]
) -> Tuple[Optional[Framework], str]:
    if any(scripts.get(key, "").startswith("ionic serve") for key in ("dev", "start", "serve")):
        # It runs the other framework's server, on a port of its own.
        return NODE["@ionic/react"], "@ionic/react"
    for key in named(NODE, everything):
        if key not in NODE_LIBRARIES or key in dependencies:
            return NODE[key], key
    for key in ("dev", "start", "serve", "develop"):
        command = scripts[key].split(" ", 1)[0] if key in scripts else ""
        if command in NODE_COMMANDS:
            return NODE[NODE_COMMANDS[command]], NODE_COMMANDS[command]
    return None, ""


def _score(
    folder: Folder, finding: Finding, manifest: Manifest, framework: Optional[Framework], dependencies: Dict[str, Any]
) -> None:
    data, scripts = manifest.data, manifest.scripts
    lock = any(candidate.confidence >= 0.9 for candidate in finding.managers)
    starts = not _START_SCRIPTS.isdisjoint(scripts)
    if starts and not dependencies and not framework:
        # Scripts that only drive other folders or tools start no Node.js program of this one.
        starts = any(not _DRIVES.match(scripts[key]) for key in _START_SCRIPTS if key in scripts)
    entry = next((name for name in _ENTRY_FILES if name in folder.names), "") if framework else ""
    real = bool(dependencies or starts or framework or finding.members) or not _PUBLISHED.isdisjoint(data)
    if not data:
        finding.score, finding.reason = 40, "package.json that cannot be used"
    elif not real and not any(name in folder.names for name in SOURCES):
        # Vite, Tailwind and the like for another runtime, or linters only.
        finding.score, finding.reason, finding.tools_only = 15, "package.json with development tools only", True
    elif entry and framework:
        finding.score, finding.reason = (90 if framework[2] else 85), f"{framework[0]} entry {entry}"
    elif lock and starts:
        finding.score, finding.reason = 80 if not framework or framework[2] else 78, "lockfile and start script"
    elif framework and starts:
        finding.score, finding.reason = 75 if framework[2] else 72, f"{framework[0]} with a start script"
    elif starts:
        finding.score, finding.reason = 70, "start script"
    elif "gypfile" in data or not _ADDON_TOOLS.isdisjoint(table(data, "devDependencies")):
        finding.score, finding.reason = 79, "native addon"
    elif not dependencies and not finding.members:
        finding.score, finding.reason = 30, "package.json without dependencies"


def _versions(folder: Folder, name: str, data: Dict[str, Any], text: str, runtime: str) -> List[Candidate]:
    if runtime == "bun":
        found = shared_versions(folder, "bun", ".bun-version")
        engine = word(table(data, "engines").get("bun"))
        if engine:
            found += candidate(engine, "bun", at(folder, name, json_line(text, "engines", "bun")), plain_is_range=True)
        found += _dev_engines(folder, name, data, text, "bun")
        manager = word(data.get("packageManager"))
        if manager.startswith("bun@"):
            found += candidate(manager[4:].split("+")[0], "bun", at(folder, name, json_line(text, "packageManager")))
        return found
    found = []
    for place in upward(folder):
        found += tools_of(place).get("node", [])
    # Above the version files of the same project, so before them although one file lower.
    volta = clean("node", word(table(data, "volta").get("node")))
    if volta:
        found += candidate(volta, "node", at(folder, name, json_line(text, "volta", "node")), confidence=0.97)
    elif folder.path:
        found += _root_volta(folder)
    for place in upward(folder):
        for file in (".nvmrc", ".node-version"):
            if file in place.names:
                found += version_file(place, file, "node")
    found += _dev_engines(folder, name, data, text, "node")
    engine = word(table(data, "engines").get("node"))
    if engine:
        source = at(folder, name, json_line(text, "engines", "node"))
        found += candidate(engine, "node", source, plain_is_range=True, confidence=0.9)
    elif folder.path:
        found += _root_engines(folder)
    return found


def _dev_engines(folder: Folder, name: str, data: Dict[str, Any], text: str, runtime: str) -> List[Candidate]:
    """What `devEngines.runtime`, one or a list of them, says of a runtime."""
    runtimes = table(data, "devEngines").get("runtime")
    source = at(folder, name, json_line(text, "devEngines", "runtime", "version"))
    return [
        item
        for entry in (runtimes if isinstance(runtimes, list) else [runtimes])
        if isinstance(entry, dict) and entry.get("name") == runtime
        for item in candidate(word(entry.get("version")), runtime, source, plain_is_range=True, confidence=0.93)
    ]


def _root_volta(folder: Folder) -> List[Candidate]:
    root = upward(folder)[-1]
    if not root.has("package.json"):
        return []
    data = json_object(root, "package.json")
    pin = word(table(data, "volta").get("node"))
    text = root.text("package.json") or ""
    return candidate(pin, "node", at(root, "package.json", json_line(text, "volta", "node"))) if pin else []


def _root_engines(folder: Folder) -> List[Candidate]:
    root = upward(folder)[-1]
    if not root.has("package.json"):
        return []
    engine = word(table(json_object(root, "package.json"), "engines").get("node"))
    text = root.text("package.json") or ""
    source = at(root, "package.json", json_line(text, "engines", "node"))
    return candidate(engine, "node", source, plain_is_range=True, confidence=0.85) if engine else []
