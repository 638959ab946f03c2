# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Which package manager a Node.js project uses, in which version, and how it installs exactly what is locked."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Tuple

from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, json_line, json_object, table, word
from ..tree import Folder
from .common import managers_named, upward

MANAGERS = ("npm", "pnpm", "yarn", "bun")
#: Lockfile -> (manager, confidence), the one that counts first.
LOCKS: Tuple[Tuple[str, str, float], ...] = (
    ("pnpm-lock.yaml", "pnpm", 0.96),
    ("bun.lock", "bun", 0.96),
    ("bun.lockb", "bun", 0.96),
    ("yarn.lock", "yarn", 0.96),
    (".yarnrc.yml", "yarn", 0.92),
    ("package-lock.json", "npm", 0.96),
    ("npm-shrinkwrap.json", "npm", 0.96),
)
_ONLY_ALLOW = re.compile(r"only-allow\s+(npm|pnpm|yarn|bun)\b")


def managers(folder: Folder, data: Dict[str, Any], text: str, name: str, runtime: str) -> List[Candidate]:
    """Candidates, the one that counts first; from this folder up to the root of the workspace."""
    places = upward(folder)
    own = _declared(folder, name, data, text)
    found = [*own, *(item for place in places[1:] for item in _above(place)[0])]
    found += [item for place in places for item in (_locks(place) if place is folder else _above(place)[1])]
    found += _hints(folder, data, text, name)
    if not found:
        note = (
            "the package manager that Bun brings"
            if runtime == "bun"
            else "no lockfile and no packageManager: the one that Node.js brings"
        )
        found.append(Candidate("bun" if runtime == "bun" else "npm", "default", DEFAULT, 0.6, note=note))
    return found


def _above(place: Folder) -> Tuple[List[Candidate], List[Candidate]]:
    """(declared, locked) of a folder above: read once for all members below it."""
    cache: Dict[str, Tuple[List[Candidate], List[Candidate]]] = place.tree.cache.setdefault("managers", {})
    known = cache.get(place.path)
    if known is None:
        declared: List[Candidate] = []
        if place.has("package.json"):
            manifest = json_object(place, "package.json")
            declared = _declared(place, "package.json", manifest, place.text("package.json") or "")
        known = cache[place.path] = (declared, _locks(place))
    return known


def _declared(place: Folder, file: str, manifest: Dict[str, Any], body: str) -> List[Candidate]:
    """What `packageManager` and `devEngines` of one manifest say."""
    found: List[Candidate] = []
    declared = word(manifest.get("packageManager"))
    manager = declared.split("@", 1)[0]
    if manager in MANAGERS:
        found.append(
            Candidate(manager, at(place, file, json_line(body, "packageManager")), confidence=0.99, raw=declared)
        )
    engines = manifest.get("devEngines")
    tools = engines.get("packageManager") if isinstance(engines, dict) else None
    for tool in tools if isinstance(tools, list) else [tools]:
        if isinstance(tool, dict) and tool.get("name") in MANAGERS:
            line = json_line(body, "devEngines", "packageManager")
            raw = f"{tool['name']}@{word(tool.get('version'))}" if tool.get("version") else ""
            found.append(Candidate(tool["name"], at(place, file, line), confidence=0.98, raw=raw))
    return found


def _locks(place: Folder) -> List[Candidate]:
    """What the lockfiles of one folder say."""
    found = [
        Candidate(manager, at(place, lock), confidence=confidence, raw=lock)
        for lock, manager, confidence in LOCKS
        if place.names.get(lock) is False
    ]
    if place.names.get("pnpm-workspace.yaml") is False:
        found.append(Candidate("pnpm", at(place, "pnpm-workspace.yaml"), confidence=0.9))
    return found


def _hints(folder: Folder, data: Dict[str, Any], text: str, name: str) -> List[Candidate]:
    found: List[Candidate] = []
    for script in ("preinstall", "prepare"):
        only = _ONLY_ALLOW.search(word(table(data, "scripts").get(script)))
        if only:
            found.append(
                Candidate(only.group(1), at(folder, name, json_line(text, "scripts", script)), confidence=0.85)
            )
    for place in upward(folder):
        found += managers_named(place)
    for section in ("volta", "engines"):
        for manager in ("pnpm", "yarn", "npm"):
            wanted = word(table(data, section).get(manager))
            if wanted and not re.search(r"please|use|forbid|not ", wanted, re.IGNORECASE):
                source = at(folder, name, json_line(text, section, manager))
                found.append(Candidate(manager, source, confidence=0.7, raw=f"{manager}@{wanted}"))
    if "lerna.json" in folder.names:
        client = word(json_object(folder, "lerna.json").get("npmClient"))
        if client in MANAGERS:
            found.append(Candidate(client, at(folder, "lerna.json"), confidence=0.7))
    return found


def _manager_version(folder: Folder, finding: Finding, manager: str) -> str:
    """The manager's own version (or its major), from what declared it or from the lockfile's format."""
    for chosen in finding.managers:
        name, _at, version = chosen.raw.partition("@")
        version = version.split("+")[0]
        if chosen.value == manager and name == manager and re.fullmatch(r"[\^~]?\d[\w.-]*", version):
            finding.manager_versions.append(Candidate(version.lstrip("^~"), chosen.source, confidence=0.95))
            return version.lstrip("^~")
    for place in upward(folder):
        version = _from_lock(place, manager)
        if version:
            lock = next(lock for lock, name, _confidence in LOCKS if name == manager and lock in place.names)
            finding.manager_versions.append(
                Candidate(version, at(place, lock, 1), "range", 0.8, note="format of the lockfile")
            )
            return version
    return ""


def _from_lock(place: Folder, manager: str) -> str:
    if manager == "pnpm" and place.has("pnpm-lock.yaml"):
        match = re.search(r"lockfileVersion:\s*'?(\d+)(?:\.(\d+))?", place.tree.head(place.at("pnpm-lock.yaml")))
        major = int(match.group(1)) if match else 0
        return {5: "7" if match and match.group(2) == "4" else "6", 6: "8", 9: "9"}.get(major, "")
    if manager == "yarn" and place.has("yarn.lock"):
        head = place.tree.head(place.at("yarn.lock"))
        if "__metadata" in head:
            match = re.search(r"__metadata:\s+version:\s*(\d+)", head)
            return {4: "2", 5: "3", 6: "3"}.get(int(match.group(1)), "4") if match else "4"
        return "1" if "yarn lockfile v1" in head else ""
    return ""


def install(folder: Folder, finding: Finding, scripts: Dict[str, str], runtime: str) -> None:
    """The commands of a first run, exactly as the lockfile has it."""
    manager = finding.managers[0].value
    version = _manager_version(folder, finding, manager)
    locks = [lock for lock, name, _confidence in LOCKS if name == manager and lock != ".yarnrc.yml"]
    lock = next((place.at(name) for place in upward(folder) for name in locks if place.has(name)), "")
    source = f"{lock}:1" if lock else finding.managers[0].source
    commands: List[str] = []
    if manager == "npm":
        commands.append("npm ci" if lock else "npm install")
    elif manager == "pnpm":
        commands.append(f"sudo npm install --global pnpm@{version or 'latest'}")
        commands.append("pnpm install --frozen-lockfile" if lock else "pnpm install")
    elif manager == "yarn":
        berry = version[:1] in ("2", "3", "4", "5") or any(place.has(".yarnrc.yml") for place in upward(folder))
        if berry:
            commands += ["sudo corepack enable", "yarn install --immutable" if lock else "yarn install"]
        else:
            commands.append("yarn install --frozen-lockfile" if lock else "yarn install")
    else:
        if runtime != "bun":
            commands.append(f"sudo npm install --global bun{'@' + version if version else ''}")
        commands.append("bun install --frozen-lockfile" if lock else "bun install")
    start = scripts.get("start", "")
    if (
        "build" in scripts
        and "dev" not in scripts
        and re.search(r"\b(?:dist|build|lib|out|\.next|\.output)/|\bnext start\b|\bremix-serve\b", start)
    ):
        commands.append("bun run build" if manager == "bun" else f"{manager} run build")
    finding.setup += [Candidate(command, source, confidence=0.95 if lock else 0.7) for command in commands]
