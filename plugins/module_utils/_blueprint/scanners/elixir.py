# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Elixir: mix.exs and its lockfile."""

from __future__ import annotations

import re
from typing import Optional

from ..data_frameworks import ELIXIR
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at, without_comments
from ..ports import valid
from ..tree import Folder
from ..versions import candidate
from .common import shared_versions

_ELIXIR = re.compile(r"\belixir:\s*\"([^\"]+)\"")
_PORT = re.compile(
    r"http:\s{0,9}\[[^\]]{0,200}?port:\s{0,9}(?:String\.to_integer\(\s*System\.get_env\([^)]{0,80}?\"(?:\w*PORT)\"\s*(?:\)\s*\|\|\s*\"|,\s*\"))?(\d{2,5})",
    re.DOTALL,
)

#: `port = String.to_integer(System.get_env("PORT") || "4000")`, as releases read it.
_RELEASE = re.compile(
    r"System\.get_env\(\s{0,9}\"(?:HTTP_|APP_|WEB_)?PORT\"\s{0,9}(?:\)\s{0,9}\|\|\s{0,9}\"|,\s{0,9}\")(\d{2,5})"
)
_NAME = re.compile(r"\bapp:\s*:(\w{1,80})")
_CHILD = re.compile(r"\b(?:Plug\.Cowboy|Bandit)\b[^\n]{0,300}?\bport:\s*(\d{2,5})")


def scan(folder: Folder) -> Optional[Finding]:
    """The Mix project in `folder`."""
    if not folder.has("mix.exs"):
        sources = folder.ending(".exs")
        return Finding("elixir", folder.path, 20, at(folder, sources[0]), "loose Elixir scripts") if sources else None
    text = without_comments(folder.text("mix.exs") or "", "hash")
    finding = Finding("elixir", folder.path, 92, at(folder, "mix.exs"), "mix.exs")
    if re.search(r"\bmod:\s*\{", text) or "apps_path:" in text:
        finding.score, finding.reason = 100, "mix.exs with an application"
    finding.versions = shared_versions(folder, "elixir", ".elixir-version", ".exenv-version")
    buildpack = folder.text("elixir_buildpack.config") or ""
    match = re.search(r"^[ \t]*elixir_version=v?(\S+)", buildpack, re.MULTILINE)
    if match:
        source = at(folder, "elixir_buildpack.config", line_at(buildpack, match.start()))
        finding.versions += candidate(match.group(1), "elixir", source, flavour="gem")
    match = _ELIXIR.search(text)
    if match:
        source = at(folder, "mix.exs", line_at(text, match.start()))
        finding.versions += candidate(
            match.group(1), "elixir", source, flavour="gem", confidence=0.9, plain_is_range=True
        )
    finding.managers = [Candidate("mix", at(folder, "mix.exs"), confidence=0.98)]
    source = at(folder, "mix.lock" if folder.has("mix.lock") else "mix.exs")
    finding.setup += [
        Candidate("mix local.hex --force && mix local.rebar --force", source, confidence=0.9),
        Candidate("mix deps.get", source, confidence=0.95),
    ]
    for name, framework in ELIXIR.items():
        if re.search(rf"\{{\s*:{name}\s*,", text):
            finding.framework = framework[0]
            finding.default_ports.append(
                Candidate([framework[1]], "default", DEFAULT, 0.6, note=f"port of {framework[0]}")
            )
            break
    stated = _stated(folder, text, finding.framework)
    if stated:
        finding.ports.append(stated)
    if folder.names.get("assets") and folder.has("assets/package.json"):
        finding.parts.append(folder.at("assets"))
    if "apps_path:" in text:
        apps = folder.at("apps")
        finding.members = [f"{apps}/{name}" for name, inner in sorted(folder.tree.names(apps).items()) if inner]
    return finding


def _stated(folder: Folder, project: str, framework: str) -> Optional[Candidate]:
    """The port of Phoenix's configuration, or of the server that a Plug application starts as its child."""
    places = [(name, _PORT) for name in ("config/dev.exs", "config/config.exs", "config/runtime.exs")]
    places.append(("config/runtime.exs", _RELEASE))
    name = _NAME.search(project)
    if name and framework == "plug":
        places.append((f"lib/{name.group(1)}/application.ex", _CHILD))
    for file, pattern in places:
        body = folder.text(file) or "" if file.partition("/")[0] in folder.names else ""
        found = pattern.search(body)
        port = valid(found.group(1)) if found else None
        if found and port:
            return Candidate([port], at(folder, file, line_at(body, found.start(1))), confidence=0.9)
    return None
