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
from ..ports import in_source
from ..tree import Folder
from ..versions import END, candidate, numbers
from .common import shared_versions

#: `Kemal.run(port: 5000)`, `Kemal.config.port = 5000`, `server.bind_tcp("0.0.0.0", 8080)`.
_LISTEN = (
    re.compile(r"\bKemal\.run\(?\s{0,9}(?:port:\s{0,9})?(\d{2,5})\b"),
    re.compile(r"\bKemal\.config\.port\s{0,9}=\s{0,9}(\d{2,5})\b"),
    re.compile(r"\bbind_tcp\(?\s{0,9}(?:\"[\w.:]{0,60}\"\s{0,9},\s{0,9})?(\d{2,5})\b"),
)


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
    target = re.search(r"^[ \t]+main:[ \t]*(src/[\w./-]{1,100}\.cr)", text, re.MULTILINE) or re.search(
        r"^name:[ \t]*([\w-]{1,80})", text, re.MULTILINE
    )
    entry = target.group(1) if target and "/" in target.group(1) else f"src/{target.group(1)}.cr" if target else ""
    code = folder.text(entry) or "" if entry and ".." not in entry and folder.names.get("src") else ""
    stated = in_source(code, _LISTEN)
    if stated:
        finding.ports.append(
            Candidate([stated[0]], at(folder, entry, line_at(code, stated[1])), confidence=0.8, note="listens there")
        )
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
