# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Zig: build.zig and build.zig.zon."""

from __future__ import annotations

import re
from typing import Optional

from ..findings import Candidate, Finding
from ..parsers import at, line_at, without_comments
from ..secondary import MISE, REACH
from ..tree import Folder
from ..versions import candidate
from .common import shared_versions
from .cpp import builds_c, packaging


def scan(folder: Folder) -> Optional[Finding]:
    """The Zig project in `folder`."""
    name = folder.first("build.zig", "build.zig.zon")
    if name is None:
        sources = folder.ending(".zig")
        return Finding("zig", folder.path, 21, at(folder, sources[0]), "loose Zig sources") if sources else None
    finding = Finding("zig", folder.path, 92, at(folder, name), name)
    finding.versions = shared_versions(folder, "zig", ".zigversion", ".zig-version")
    text = without_comments(folder.text("build.zig.zon") or "", "c")
    match = re.search(r"\.minimum_zig_version\s*=\s*\"([^\"]+)\"", text)
    if match:
        finding.versions += candidate(
            match.group(1), "zig", at(folder, "build.zig.zon", line_at(text, match.start())), confidence=0.9
        )
    if builds_c(folder) and not (folder.ending(".zig")[1:] or _zig_below(folder)):
        packaging(finding)
    finding.managers = [Candidate("zig", at(folder, name), confidence=0.95)]
    version = finding.versions[0].value if finding.versions else "latest"
    finding.setup += [
        Candidate(
            f"{MISE}zig@{version}{REACH}",
            at(folder, name),
            confidence=0.6,
            note="there is no official image",
        ),
        Candidate("zig build --fetch", at(folder, name), confidence=0.7),
    ]
    finding.packages.append(Candidate("curl", at(folder, name), note="fetches the toolchain"))
    return finding


def _zig_below(folder: Folder) -> bool:
    return any(name.endswith(".zig") for name in folder.tree.names(folder.at("src")))
