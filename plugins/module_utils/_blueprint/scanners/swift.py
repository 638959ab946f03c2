# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Swift: Package.swift and .swift-version."""

from __future__ import annotations

import re
from typing import Optional

from ..data_frameworks import SWIFT
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at
from ..tree import Folder
from ..versions import END, candidate, numbers
from .common import shared_versions
from .cpp import builds_c, packaging


def scan(folder: Folder) -> Optional[Finding]:
    """The Swift package in `folder`."""
    xcode = next(
        (name for name, inside in sorted(folder.names.items()) if inside and name.endswith(".xcodeproj")), None
    )
    if not folder.has("Package.swift") and xcode:
        finding = Finding("swift", folder.path, 62, folder.at(f"{xcode}:1"), "Xcode project")
        finding.versions = shared_versions(folder, "swift", ".swift-version")
        if folder.has("Podfile"):
            finding.managers.append(Candidate("cocoapods", at(folder, "Podfile"), confidence=0.9))
        return finding
    if not folder.has("Package.swift"):
        sources = folder.ending(".swift")
        return Finding("swift", folder.path, 21, at(folder, sources[0]), "loose Swift sources") if sources else None
    text = folder.text("Package.swift") or ""
    finding = Finding("swift", folder.path, 92, at(folder, "Package.swift"), "Package.swift")
    finding.versions = shared_versions(folder, "swift", ".swift-version")
    match = re.match(r"[ \t\n]{0,99}//[ \t]*swift-tools-version\s*:\s*(\d+(?:\.\d+)*)", text)
    for item in candidate(match.group(1), "swift", at(folder, "Package.swift"), confidence=0.88) if match else ():
        finding.versions.append(
            Candidate(
                item.value,
                item.source,
                item.kind,
                item.confidence,
                item.raw,
                "the least version",
                ((numbers(item.value), END),),
            )
        )
    locked = folder.has("Package.resolved")
    if builds_c(folder) and not (folder.has_folder("Sources") or folder.ending(".swift")[1:]):
        packaging(finding)
    finding.managers = [Candidate("swiftpm", at(folder, "Package.swift"), confidence=0.95)]
    finding.setup.append(
        Candidate(
            "swift package resolve --force-resolved-versions" if locked else "swift package resolve",
            at(folder, "Package.resolved" if locked else "Package.swift"),
            confidence=0.9,
        )
    )
    for name, framework in SWIFT.items():
        position = text.find(f"/{name}")
        if position >= 0:
            finding.framework = framework[0]
            finding.default_ports.append(
                Candidate(
                    [framework[1]],
                    "default",
                    DEFAULT,
                    0.6,
                    note=f"port of {name} (Package.swift:{line_at(text, position)})",
                )
            )
            break
    return finding
