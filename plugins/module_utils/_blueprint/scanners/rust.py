# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Rust: Cargo.toml, toolchain files; rust-version counts, edition does not."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional

from ..data_frameworks import RUST
from ..data_packages import RUST as RUST_PACKAGES
from ..findings import ALIAS, DEFAULT, PIN, Candidate, Finding
from ..parsers import at, line_at, strings, table, toml_line, toml_table, word
from ..ports import in_source, valid
from ..tree import Folder
from ..versions import END, candidate, numbers
from .common import tools_of, upward
from .node_workspaces import expand

_SERVES = re.compile(r"Listener|hyper|\bServer::|\.serve\(")
_LISTEN = (
    re.compile(
        r"(?:bind(?:_addr)?|\.run|\.listen|parse::<SocketAddr>|addr)\b[^;\n]{0,80}?[\"'][\w.\[\]:]*?:(\d{2,5})[\"']"
    ),
    re.compile(r"bind\(\s*\(\s*[^,()]{1,60},\s*(\d{2,5})\s*\)"),
    re.compile(r"\]\s*,\s*(\d{4,5})\s*\)"),
    re.compile(r"PORT\"\s*\)[^;]{0,120}?unwrap_or(?:_else)?\([^0-9;]{0,40}(\d{2,5})"),
    re.compile(r"[\"'](?:0\.0\.0\.0|127\.0\.0\.1|localhost|\[::1?\]):(\d{2,5})[\"']"),
    re.compile(r"\b(?:port|PORT)\s*(?::\s*u16\s*)?=\s*(\d{2,5})\b"),
)


def scan(folder: Folder) -> Optional[Finding]:
    """The crate or workspace in `folder`."""
    sources = folder.ending(".rs")
    if not folder.has("Cargo.toml"):
        return Finding("rust", folder.path, 20, at(folder, sources[0]), "loose Rust sources") if sources else None
    if folder.owner == "rust":
        return _member(folder)
    data = toml_table(folder, "Cargo.toml")
    text = folder.text("Cargo.toml") or ""
    finding = Finding("rust", folder.path, 64, at(folder, "Cargo.toml"), "Cargo.toml")
    finding.versions = _versions(folder, data, text)
    finding.managers = [Candidate("cargo", at(folder, "Cargo.toml"), confidence=0.98)]
    workspace = table(data, "workspace")
    finding.members = expand(
        folder, [*strings(workspace.get("members")), *(f"!{item}" for item in strings(workspace.get("exclude")))]
    )
    dependencies = {
        **table(data, "dependencies"),
        **table(data, "build-dependencies"),
        **table(workspace, "dependencies"),
    }
    _frameworks(folder, finding, dependencies)
    binary = (
        folder.has("src/main.rs") or "bin" in data or bool(folder.names.get("src") and folder.has_folder("src/bin"))
    )
    if finding.framework and binary:
        finding.score, finding.reason = 88, f"{finding.framework} with a binary"
    elif finding.members:
        finding.score, finding.reason = 79, "Cargo workspace"
    elif binary:
        finding.score, finding.reason = 77, "crate with a binary"
    locked = folder.has("Cargo.lock")
    for item in finding.versions[:1]:
        if item.kind == PIN and item.value.startswith(("nightly", "beta")):
            finding.setup.append(Candidate(f"rustup toolchain install {item.value}", item.source, confidence=0.9))
    finding.setup.append(
        Candidate(
            "cargo fetch --locked" if locked else "cargo fetch",
            at(folder, "Cargo.lock" if locked else "Cargo.toml"),
            confidence=0.9,
        )
    )
    _packages(folder, finding, dependencies, text)
    _ports(folder, finding)
    return finding


def _member(folder: Folder) -> Finding:
    """A crate of a workspace, whose root decides versions and installs: its dependencies by their lines alone."""
    text = folder.text("Cargo.toml") or ""
    dependencies = dict.fromkeys(re.findall(r"^([A-Za-z][\w-]*)(?:\.workspace)?[ \t]*=", text, re.MULTILINE))
    finding = Finding("rust", folder.path, 64, at(folder, "Cargo.toml"), "Cargo.toml")
    _frameworks(folder, finding, dependencies)
    _packages(folder, finding, dependencies, text)
    _ports(folder, finding)
    return finding


def _packages(folder: Folder, finding: Finding, dependencies: Dict[str, Any], text: str) -> None:
    for name, packages in RUST_PACKAGES.items():
        if name in dependencies:
            source = at(folder, "Cargo.toml", line_at(text, text.find(f"\n{name}") + 1))
            finding.packages += [Candidate(package, source, note=f"{name} needs it") for package in packages]


def _versions(folder: Folder, data: Dict[str, Any], text: str) -> List[Candidate]:
    found: List[Candidate] = []
    for place in upward(folder):
        found += tools_of(place).get("rust", [])
        for name in ("rust-toolchain.toml", "rust-toolchain"):
            if place.has(name):
                found += _toolchain(place, name)
    for section in (("package",), ("workspace", "package")):
        wanted = word(table(data, *section).get("rust-version"))
        if wanted:
            for item in candidate(
                wanted, "rust", at(folder, "Cargo.toml", toml_line(text, *section, "rust-version")), confidence=0.9
            ):
                note = "the least version"
                found.append(
                    Candidate(
                        item.value,
                        item.source,
                        item.kind,
                        item.confidence,
                        item.raw,
                        note,
                        ((numbers(item.value), END),),
                    )
                )
    root = upward(folder)[-1]
    if root is not folder and root.has("Cargo.toml"):
        wanted = word(table(toml_table(root, "Cargo.toml"), "workspace", "package").get("rust-version"))
        found += candidate(wanted, "rust", at(root, "Cargo.toml"), confidence=0.85) if wanted else []
    return found


def _toolchain(place: Folder, name: str) -> List[Candidate]:
    text = place.text(name) or ""
    match = re.search(r"^[ \t]*channel\s*=\s*[\"']([^\"']+)[\"']", text, re.MULTILINE)
    channel = match.group(1) if match else "" if "[" in text else text.strip().split("\n")[0].strip()
    line = line_at(text, match.start(1)) if match else 1
    # A channel may name its host: `1.75.0-x86_64-unknown-linux-gnu`.
    channel = re.sub(r"-(?:x86_64|aarch64|i686|armv7)-.*$", "", channel)
    if re.fullmatch(r"(?:nightly|beta)(?:-\d{4}-\d{2}-\d{2})?|stable", channel):
        kind = PIN if channel[-1:].isdigit() else ALIAS
        return [Candidate(channel, at(place, name, line), kind, 0.97, raw=channel)]
    return candidate(channel, "rust", at(place, name, line), confidence=0.97) if channel else []


def _frameworks(folder: Folder, finding: Finding, dependencies: Dict[str, Any]) -> None:
    for name, framework in RUST.items():
        if name in dependencies:
            finding.framework = framework[0]
            finding.default_ports.append(
                Candidate([framework[1]], "default", DEFAULT, 0.5, note=f"port of {framework[0]}")
            )
            break
    for name, pattern in (
        ("Rocket.toml", r"^[ \t]*port\s*=\s*(\d{2,5})"),
        ("Trunk.toml", r"^[ \t]*port\s*=\s*(\d{2,5})"),
        ("Cargo.toml", r"^[ \t]*site-addr\s*=\s*\"[^\"\n]*:(\d{2,5})\""),
    ):
        text = folder.text(name) or "" if folder.has(name) else ""
        match = re.search(pattern, text, re.MULTILINE)
        port = valid(match.group(1)) if match else None
        if match and port:
            finding.ports.append(Candidate([port], at(folder, name, line_at(text, match.start(1))), confidence=0.9))
            return


def _ports(folder: Folder, finding: Finding) -> None:
    if finding.ports or not folder.has("src/main.rs"):
        return
    text = folder.text("src/main.rs") or ""
    found = in_source(text, _LISTEN) if finding.framework or _SERVES.search(text) else None
    if found:
        source = at(folder, "src/main.rs", line_at(text, found[1]))
        finding.ports.append(Candidate([found[0]], source, confidence=0.8, note="listens there"))
