# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Dart and Flutter: pubspec.yaml, read by its lines."""

from __future__ import annotations

import re
from typing import Optional

from ..data_frameworks import DART
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, json_object, line_at, table, word
from ..tree import Folder
from ..versions import candidate
from .common import shared_versions
from .node_workspaces import expand

_SDK = re.compile(r"^[ \t]+[\"']?sdk[\"']?:[ \t]*[\"']?([^\"'#\n]+)", re.MULTILINE)


def scan(folder: Folder) -> Optional[Finding]:
    """The Dart package in `folder`."""
    if not folder.has("pubspec.yaml"):
        sources = folder.ending(".dart")
        return Finding("dart", folder.path, 21, at(folder, sources[0]), "loose Dart sources") if sources else None
    text = folder.text("pubspec.yaml") or ""
    finding = Finding("dart", folder.path, 92, at(folder, "pubspec.yaml"), "pubspec.yaml")
    finding.versions = shared_versions(folder, "dart", ".dart-version")
    environment = re.search(r"^environment:", text, re.MULTILINE)
    match = _SDK.search(text, environment.end()) if environment else None
    if match:
        source = at(folder, "pubspec.yaml", line_at(text, match.start(1)))
        finding.versions += candidate(match.group(1).strip(), "dart", source, confidence=0.9, plain_is_range=True)
    flutter = re.search(r"^[ \t]+sdk:[ \t]*flutter\b", text, re.MULTILINE)
    finding.managers = [Candidate("pub", at(folder, "pubspec.yaml"), confidence=0.96)]
    tool = "flutter" if flutter else "dart"
    locked = folder.has("pubspec.lock")
    source = at(folder, "pubspec.lock" if locked else "pubspec.yaml")
    finding.setup.append(
        Candidate(f"{tool} pub get --enforce-lockfile" if locked else f"{tool} pub get", source, confidence=0.9)
    )
    if flutter:
        finding.framework = "flutter"
        pinned = word(json_object(folder, ".fvmrc").get("flutter")) if folder.has(".fvmrc") else ""
        if not pinned and folder.has(".fvm/fvm_config.json"):
            pinned = word(table({"fvm": json_object(folder, ".fvm/fvm_config.json")}, "fvm").get("flutterSdkVersion"))
        tag = pinned if re.fullmatch(r"\d[\w.-]*", pinned) else "stable"
        finding.image = Candidate(
            f"ghcr.io/cirruslabs/flutter:{tag}",
            at(folder, "pubspec.yaml", line_at(text, flutter.start())),
            confidence=0.7,
            note="Flutter brings Dart",
        )
    for name, framework in DART.items():
        if re.search(rf"^[ \t]+{name}:", text, re.MULTILINE):
            finding.framework = finding.framework or framework[0]
            finding.default_ports.append(Candidate([framework[1]], "default", DEFAULT, 0.5, note=f"port of {name}"))
            break
    block = re.search(r"^workspace:\s*\n((?:[ \t]*-[^\n]*\n?)+)", text, re.MULTILINE)
    if block:
        finding.members = expand(folder, re.findall(r"-\s*[\"']?([^\"'\s#]+)", block.group(1)))
    return finding
