# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Go: go.mod, go.work; the toolchain line stands before the go directive."""

from __future__ import annotations

import re
from typing import List, Optional

from ..data_frameworks import GO
from ..data_packages import GO as GO_PACKAGES
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at
from ..ports import in_source
from ..tree import Folder
from ..versions import END, candidate, numbers
from .common import shared_versions, upward
from .node_workspaces import expand

_HUGO = ("hugo.toml", "hugo.yaml", "hugo.json", "config.toml", "config.yaml")
_TOOLCHAIN = re.compile(r"^toolchain[ \t]+go(\d[\w.]*)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^go[ \t]+(\d[\w.]*)", re.MULTILINE)
_USE = re.compile(r"^use[ \t]*(?:\(([^)]*)\)|(\S+))", re.MULTILINE)
_LISTEN = (
    re.compile(
        r"(?:ListenAndServe(?:TLS)?|\.Run|\.Start|\.Listen|Addr:|addr\s*:?=|[pP]ort\s*:?=)\(?\s*(?:fmt\.Sprintf\()?"
        r"[\"'`](?:(?:[\w.-]*|\[::\]):)?(\d{2,5})[\"'`]"
    ),
    re.compile(r"Listen\(\s*\"tcp[46]?\"\s*,\s*\"[^\"]*:(\d{2,5})\""),
    re.compile(r"\b\w{0,30}[eE]nv\w{0,30}\(\s*\"(?:\w*_)?(?:PORT|ADDR)\"\s*,\s*\"?(?:[\w.]*:)?(\d{2,5})"),
    re.compile(
        r"flag\.(?:String|Int)(?:Var\(\s*&[\w.]{1,60},|\()\s*\"(?:port|addr|listen|http|p)\"\s*,\s*\"?(?:[\w.]*:)?(\d{2,5})"
    ),
    re.compile(r"\b(?:[pP]ort|PORT)\s*(?:int\s*)?:?=\s*\"?:?(\d{2,5})\b"),
)


def scan(folder: Folder) -> Optional[Finding]:
    """The Go module or workspace in `folder`."""
    manifest = folder.first("go.mod", "go.work", "Gopkg.toml", "glide.yaml")
    sources = folder.ending(".go")
    if manifest is None and not sources:
        return None
    finding = Finding(
        "go", folder.path, 92 if manifest else 22, at(folder, manifest or sources[0]), manifest or "loose Go sources"
    )
    if not sources and folder.first(*_HUGO):
        # Hugo fetches themes as Go modules: a site, not a program.
        finding.score, finding.reason = 35, "modules of Hugo"
    finding.versions = _versions(folder)
    manager = {"Gopkg.toml": "dep", "glide.yaml": "glide"}.get(manifest or "", "go")
    finding.managers = [
        Candidate(manager, at(folder, manifest), confidence=0.96)
        if manifest
        else Candidate("go", "default", DEFAULT, 0.6)
    ]
    if manifest == "go.mod" or (manifest == "go.work" and not folder.has("go.mod")):
        finding.setup.append(
            Candidate("go mod download", at(folder, "go.sum" if folder.has("go.sum") else manifest), confidence=0.95)
        )
    if folder.has("go.work"):
        finding.members = _members(folder)
    text = folder.text("go.mod") or ""
    _dependencies(folder, finding, text)
    return finding


def _members(folder: Folder) -> List[str]:
    patterns: List[str] = []
    for block, single in _USE.findall(folder.text("go.work") or ""):
        patterns += [line.split("//")[0].strip().strip('"') for line in block.split("\n")] if block else [single]
    return expand(folder, [pattern for pattern in patterns if pattern and pattern != "."])


def _versions(folder: Folder) -> List[Candidate]:
    found = shared_versions(folder, "go", ".go-version")
    for place in upward(folder):
        for name in ("go.work", "go.mod") if place is not folder else ("go.mod", "go.work"):
            text = place.text(name) or ""
            for pattern, confidence in ((_TOOLCHAIN, 0.96), (_DIRECTIVE, 0.95)):
                match = pattern.search(text)
                if match and match.group(1) != "default":
                    for item in candidate(
                        match.group(1), "go", at(place, name, line_at(text, match.start())), confidence=confidence
                    ):
                        # A directive is the least version: newer toolchains build it too, so they are no conflict.
                        found.append(
                            Candidate(
                                item.value,
                                item.source,
                                item.kind,
                                item.confidence,
                                item.raw,
                                bounds=((numbers(item.value), END),),
                            )
                        )
    return found


def _dependencies(folder: Folder, finding: Finding, text: str) -> None:
    for module, framework in GO.items():
        if module in text:
            finding.framework = framework[0]
            finding.default_ports.append(
                Candidate([framework[1]], "default", DEFAULT, 0.5, note=f"port of {framework[0]}")
            )
            finding.reason = f"go.mod with {framework[0]}"
            break
    for module, packages in GO_PACKAGES.items():
        position = text.find(module)
        if position >= 0:
            source = at(folder, "go.mod", line_at(text, position))
            finding.packages += [Candidate(package, source, note=f"{module} needs it") for package in packages]
    for name in _entry_files(folder):
        source_text = folder.text(name) or ""
        found = in_source(source_text, _LISTEN)
        if found:
            source = at(folder, name, line_at(source_text, found[1]))
            finding.ports.append(Candidate([found[0]], source, confidence=0.8, note="listens there"))
            return


def _entry_files(folder: Folder) -> List[str]:
    """main.go here, and the main packages below cmd/."""
    found = [
        name
        for name in ("main.go", "server.go", "app.go", "cmd/main.go", "internal/config/config.go", "config/config.go")
        if folder.has(name)
    ]
    if folder.names.get("cmd"):
        commands = sorted(folder.tree.names(folder.at("cmd")))[:8]
        found += [f"cmd/{command}/main.go" for command in commands if folder.has(f"cmd/{command}/main.go")]
    return found[:8]
