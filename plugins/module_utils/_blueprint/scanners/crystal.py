# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Crystal: shard.yml, read by its lines."""

from __future__ import annotations

import re
from typing import Optional

from ..data_frameworks import CRYSTAL
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at
from ..tree import Folder
from ..versions import END, candidate, numbers
from .common import shared_versions


def scan(folder: Folder) -> Optional[Finding]:
    """The shard in `folder`."""
    if not folder.has("shard.yml"):
        sources = folder.ending(".cr")
        return Finding("crystal", folder.path, 21, at(folder, sources[0]), "loose Crystal sources") if sources else None
    text = folder.text("shard.yml") or ""
    finding = Finding("crystal", folder.path, 92, at(folder, "shard.yml"), "shard.yml")
    finding.versions = shared_versions(folder, "crystal", ".crystal-version")
    match = re.search(r"^crystal:[ \t]*[\"']?([^\"'#\n]+)", text, re.MULTILINE)
    for item in (
        candidate(
            match.group(1).strip(), "crystal", at(folder, "shard.yml", line_at(text, match.start())), confidence=0.9
        )
        if match
        else ()
    ):
        bounds = ((numbers(item.value), END),) if item.kind == "pin" else item.bounds
        finding.versions.append(Candidate(item.value, item.source, item.kind, item.confidence, item.raw, bounds=bounds))
    locked = folder.has("shard.lock")
    finding.managers = [Candidate("shards", at(folder, "shard.lock" if locked else "shard.yml"), confidence=0.97)]
    finding.setup.append(
        Candidate("shards install --frozen" if locked else "shards install", finding.managers[0].source, confidence=0.9)
    )
    for name, framework in CRYSTAL.items():
        if re.search(rf"^[ \t]+{name}:", text, re.MULTILINE):
            finding.framework = framework[0]
            finding.default_ports.append(Candidate([framework[1]], "default", DEFAULT, 0.6, note=f"port of {name}"))
            break
    return finding
