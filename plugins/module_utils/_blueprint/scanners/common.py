# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Version files that many ecosystems share: mise.toml and .tool-versions."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Tuple

from ..findings import Candidate
from ..parsers import at, lines_of, table, toml_line, toml_table, word
from ..tree import Folder
from ..versions import candidate

#: Names of tools in version files -> our runtime.
TOOLS = {
    "node": "node",
    "nodejs": "node",
    "bun": "bun",
    "deno": "deno",
    "python": "python",
    "go": "go",
    "golang": "go",
    "rust": "rust",
    "ruby": "ruby",
    "php": "php",
    "java": "java",
    "dotnet": "dotnet",
    "dotnet-core": "dotnet",
    "elixir": "elixir",
    "gleam": "gleam",
    "zig": "zig",
    "swift": "swift",
    "dart": "dart",
    "scala": "scala",
    "clojure": "clojure",
    "crystal": "crystal",
    "ghc": "haskell",
    "haskell": "haskell",
}
MISE_FILES = (
    "mise.toml",
    ".mise.toml",
    "mise/config.toml",
    ".mise/config.toml",
    ".config/mise.toml",
    ".config/mise/config.toml",
)

Tools = Dict[str, List[Candidate]]


def clean(runtime: str, text: str) -> str:
    """A version as the file has it, without its vendor: `temurin-21.0.2+13` is 21.0.2, `1.17.2-otp-27` is 1.17.2."""
    text = text.strip().strip("\"'")
    if runtime == "java":
        return java_version(text)
    if runtime == "python" and text.startswith(("pypy", "graalpy")):
        spoken = re.match(r"[a-z]{1,20}-?(\d{1,4}\.\d{1,4})", text)
        return spoken.group(1) if spoken else text
    if runtime == "python" and text.endswith("-dev"):
        return text[:-4]
    if runtime == "elixir":
        return text.split("-otp", 1)[0]
    for prefix in (f"{runtime}-", f"c{runtime}-", "v", "go"):
        if text.startswith(prefix) and text[len(prefix) : len(prefix) + 1].isdigit():
            return text[len(prefix) :]
    return text


def java_version(text: str) -> str:
    """The number in `temurin-21.0.2+13.0.LTS`, `17.0.9-tem`, `openjdk-17`, `1.8` or `zulu-11.66.15`."""
    digits = ""
    for part in text.replace("_", "-").split("-"):
        if part[:1].isdigit():
            digits = part
            break
    digits = digits.split("+", 1)[0]
    return digits[2:] if digits.startswith("1.") else digits


def tools_of(folder: Folder) -> Tools:
    """Runtime -> candidates, mise before .tool-versions."""
    return _known(folder)[0]


def managers_named(folder: Folder) -> List[Candidate]:
    """Node.js's package managers that the version files of a folder name; a lockfile says more."""
    return _known(folder)[1]


def _known(folder: Folder) -> Tuple[Tools, List[Candidate]]:
    cache: Dict[str, Tuple[Tools, List[Candidate]]] = folder.tree.cache.setdefault("tools", {})
    known = cache.get(folder.path)
    if known is None:
        known = cache[folder.path] = _read(folder)
    return known


def _read(folder: Folder) -> Tuple[Tools, List[Candidate]]:
    found: Tools = {}
    managers: List[Candidate] = []
    for name in MISE_FILES:
        top = name.split("/", 1)[0]
        if top in folder.names and folder.has(name):
            for tool, value in table(toml_table(folder, name), "tools").items():
                text = (
                    value.get("version")
                    if isinstance(value, dict)
                    else value[0]
                    if isinstance(value, list) and value
                    else value
                )
                if isinstance(text, dict):
                    text = text.get("version")
                key = tool.split(":", 1)[-1] if tool.startswith("core:") else tool
                source = at(folder, name, toml_line(folder.text(name) or "", "tools", tool))
                _add(found, managers, key, word(text), source)
    if ".tool-versions" in folder.names:
        for number, line in lines_of(folder.text(".tool-versions") or ""):
            words = line.split()
            if len(words) > 1:
                _add(found, managers, words[0], words[1], at(folder, ".tool-versions", number))
    return found, managers


def _add(found: Tools, managers: List[Candidate], tool: str, text: str, source: str) -> None:
    if tool in ("pnpm", "yarn"):
        managers.append(Candidate(tool, source, confidence=0.8, raw=f"{tool}@{text}"))
    runtime = TOOLS.get(tool)
    if runtime and text and text not in ("system", "ref:HEAD", "path:"):
        found.setdefault(runtime, []).extend(
            candidate(
                clean(runtime, text), runtime, source, confidence=0.98, note=f"{tool} in {source.rsplit(':', 1)[0]}"
            )
        )


def version_file(folder: Folder, name: str, runtime: str, flavour: str = "npm") -> List[Candidate]:
    """The candidate in a one-line version file such as .nvmrc; the first line that says something counts."""
    text = folder.text(name)
    if text is None:
        return []
    for number, line in lines_of(text):
        found = candidate(
            clean(runtime, line.split()[0]), runtime, at(folder, name, number), flavour=flavour, confidence=0.97
        )
        if not found:
            folder.trouble(name, f"skipped: {line[:40]!r} is no version of {runtime}", number)
        return found
    return []


def named(known: Mapping[str, Any], declared: Mapping[str, Any]) -> List[str]:
    """The keys of `known` that a manifest declares, in the order of `known`, which is the longer of the two."""
    if known.keys().isdisjoint(declared):
        return []
    return [key for key in known if key in declared]


def upward(folder: Folder) -> Tuple[Folder, ...]:
    """`folder` and the folders above it, up to the root of the tree."""
    if folder.chain is None:
        parent = folder.tree.folder(folder.path.rpartition("/")[0]) if folder.path else None
        folder.chain = (folder, *upward(parent)) if parent is not None else (folder,)
    return folder.chain


def shared_versions(folder: Folder, runtime: str, *names: str) -> List[Candidate]:
    """mise, .tool-versions and the runtime's own version files, from here up to the root, the nearest first."""
    found: List[Candidate] = []
    for place in upward(folder):
        found += tools_of(place).get(runtime, [])
        for name in names:
            if name in place.names:
                found += version_file(place, name, runtime)
    return found
