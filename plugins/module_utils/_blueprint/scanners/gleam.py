# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Gleam: gleam.toml."""

from __future__ import annotations

import re
from typing import Optional

from ..data_frameworks import GLEAM
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at, table, toml_line, toml_table, word
from ..ports import valid
from ..tree import Folder
from ..versions import candidate
from .common import shared_versions


def scan(folder: Folder) -> Optional[Finding]:
    """The Gleam package in `folder`."""
    if not folder.has("gleam.toml"):
        return None
    data = toml_table(folder, "gleam.toml")
    finding = Finding("gleam", folder.path, 92, at(folder, "gleam.toml"), "gleam.toml")
    finding.versions = shared_versions(folder, "gleam", ".gleam-version")
    wanted = word(data.get("gleam"))
    if wanted:
        source = at(folder, "gleam.toml", toml_line(folder.text("gleam.toml") or "", "gleam"))
        finding.versions += candidate(wanted, "gleam", source, confidence=0.9, plain_is_range=True)
    finding.managers = [Candidate("gleam", at(folder, "gleam.toml"), confidence=0.97)]
    finding.setup.append(
        Candidate(
            "gleam deps download",
            at(folder, "manifest.toml" if folder.has("manifest.toml") else "gleam.toml"),
            confidence=0.9,
        )
    )
    for name, framework in GLEAM.items():
        if name in {
            **table(data, "dependencies"),
            **table(data, "dev-dependencies"),
            **table(data, "dev_dependencies"),
        }:
            finding.framework = framework[0]
            finding.default_ports.append(
                Candidate([framework[1]], "default", DEFAULT, 0.5, note=f"port of {framework[0]}")
            )
            break
    name = word(data.get("name"))
    for file in (f"src/{name}.gleam", "src/main.gleam", "src/server.gleam"):
        text = folder.text(file) or "" if finding.framework else ""
        match = re.search(r"\bmist\.port\(\s*(\d{2,5})\s*\)", text)
        port = valid(match.group(1)) if match else None
        if match and port:
            finding.ports.append(Candidate([port], at(folder, file, line_at(text, match.start())), confidence=0.85))
            break
    return finding
