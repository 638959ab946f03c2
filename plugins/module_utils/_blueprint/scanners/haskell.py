# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Haskell: Stack, Cabal and hpack; GHC's version from the resolver where nothing else says it."""

from __future__ import annotations

import re
from typing import List, Optional

from ..data_frameworks import HASKELL
from ..findings import ALIAS, DEFAULT, Candidate, Finding
from ..parsers import at, line_at
from ..tree import Folder
from ..versions import candidate
from .common import shared_versions

#: Major of Stackage LTS -> GHC of its last minor.
RESOLVERS = {
    "24": "9.10",
    "23": "9.8",
    "22": "9.6",
    "21": "9.4",
    "20": "9.2",
    "19": "9.0",
    "18": "8.10",
    "17": "8.10",
    "16": "8.8",
    "15": "8.8",
    "14": "8.6",
    "13": "8.6",
    "12": "8.4",
    "11": "8.2",
    "10": "8.2",
    "9": "8.0",
    "8": "8.0",
    "7": "8.0",
}


def scan(folder: Folder) -> Optional[Finding]:
    """The Haskell package or project in `folder`."""
    cabal = folder.ending(".cabal")
    manifest = folder.first("stack.yaml", "cabal.project", *cabal) or ("package.yaml" if is_hpack(folder) else None)
    if manifest is None:
        sources = folder.ending(".hs")
        return Finding("haskell", folder.path, 21, at(folder, sources[0]), "loose Haskell sources") if sources else None
    finding = Finding("haskell", folder.path, 92, at(folder, manifest), manifest)
    finding.versions = shared_versions(folder, "haskell", ".ghc-version") + _versions(folder, cabal)
    stack = folder.has("stack.yaml")
    finding.managers = [Candidate("stack", at(folder, "stack.yaml"), confidence=0.95)] if stack else []
    if cabal or folder.has("cabal.project"):
        finding.managers.append(
            Candidate("cabal", at(folder, folder.first("cabal.project", *cabal) or ""), confidence=0.8)
        )
    if not finding.managers:
        finding.managers.append(Candidate("stack", at(folder, manifest), confidence=0.6))
    command = (
        "stack build --only-dependencies"
        if finding.managers[0].value == "stack"
        else "cabal update && cabal build --only-dependencies all"
    )
    finding.setup.append(Candidate(command, finding.managers[0].source, confidence=0.9))
    text = "\n".join(folder.text(name) or "" for name in [*cabal[:1], "package.yaml"])
    for name, framework in HASKELL.items():
        if re.search(rf"(?:^|[\s,\[-]){name}(?:[\s,\]]|$)", text, re.MULTILINE):
            finding.framework = framework[0]
            finding.default_ports.append(Candidate([framework[1]], "default", DEFAULT, 0.4, note=f"port of {name}"))
            break
    return finding


def is_hpack(folder: Folder) -> bool:
    """Whether package.yaml is hpack's (and not pnpm's): it names Haskell's things."""
    text = folder.text("package.yaml") or ""
    return bool(re.search(r"^(?:ghc-options|executables|library|tests):|-\s*base\b", text, re.MULTILINE))


def _versions(folder: Folder, cabal: List[str]) -> List[Candidate]:
    found: List[Candidate] = []
    stack = folder.text("stack.yaml") or ""
    compiler = re.search(r"^compiler:\s*ghc-([\d.]+)", stack, re.MULTILINE)
    if compiler:
        found += candidate(compiler.group(1), "haskell", at(folder, "stack.yaml", line_at(stack, compiler.start())))
    project = folder.text("cabal.project") or ""
    with_compiler = re.search(r"^with-compiler:\s*ghc-([\d.]+)", project, re.MULTILINE)
    if with_compiler:
        found += candidate(
            with_compiler.group(1), "haskell", at(folder, "cabal.project", line_at(project, with_compiler.start()))
        )
    # The snapshot's short name, or the address of its file, on the same line or the next.
    resolver = re.search(
        r"^(?:resolver|snapshot):\s*(?:url:\s*)?[\"']?(?:https://\S{0,120}?/)?(?:ghc-([\d.]+)|lts[-/](\d+))",
        stack,
        re.MULTILINE,
    )
    if resolver:
        source = at(folder, "stack.yaml", line_at(stack, resolver.start()))
        if resolver.group(1):
            found += candidate(resolver.group(1), "haskell", source)
        elif resolver.group(2) in RESOLVERS:
            found.append(Candidate(RESOLVERS[resolver.group(2)], source, ALIAS, 0.9, raw=f"lts-{resolver.group(2)}"))
    for name in cabal[:1]:
        text = folder.text(name) or ""
        tested = re.search(r"^tested-with:\s*((?:.*\n?(?:[ \t]+.*\n?)*))", text, re.MULTILINE | re.IGNORECASE)
        versions = re.findall(r"\b(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)", tested.group(1)) if tested else []
        if tested and versions:
            newest = max(versions, key=lambda item: tuple(map(int, item.split("."))))
            found += candidate(newest, "haskell", at(folder, name, line_at(text, tested.start())), confidence=0.7)
    return found
