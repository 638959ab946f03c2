# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Clojure: deps.edn, project.clj, shadow-cljs.edn."""

from __future__ import annotations

import re
from typing import Optional

from ..data_frameworks import CLOJURE
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at, without_comments
from ..ports import valid
from ..tree import Folder
from ..versions import candidate
from .common import shared_versions

_VERSION = re.compile(r"org\.clojure/clojure\s+(?:\{[^}]*?:mvn/version\s+)?\"([\d.]+)[^\"]*\"")


def scan(folder: Folder) -> Optional[Finding]:
    """The Clojure project in `folder`."""
    name = folder.first("deps.edn", "project.clj", "shadow-cljs.edn", "bb.edn")
    if name is None:
        sources = folder.ending(".clj", ".cljs")
        return Finding("clojure", folder.path, 21, at(folder, sources[0]), "loose Clojure sources") if sources else None
    text = without_comments(folder.text(name) or "", "lisp")
    finding = Finding(
        "clojure", folder.path, 40 if name in ("shadow-cljs.edn", "bb.edn") else 93, at(folder, name), name
    )
    finding.versions = shared_versions(folder, "clojure", ".clojure-version")
    match = _VERSION.search(text)
    if match:
        finding.versions += candidate(match.group(1), "clojure", at(folder, name, line_at(text, match.start())))
    manager = {"deps.edn": "tools.deps", "project.clj": "lein", "shadow-cljs.edn": "shadow-cljs", "bb.edn": "babashka"}[
        name
    ]
    finding.managers = [Candidate(manager, at(folder, name), confidence=0.95)]
    if name == "deps.edn" and folder.has("project.clj"):
        finding.managers.append(Candidate("lein", at(folder, "project.clj"), confidence=0.9))
    if manager == "lein":
        finding.setup.append(Candidate("lein deps", at(folder, name), confidence=0.9))
        finding.image = Candidate("clojure:temurin-21-lein-bookworm", at(folder, name), confidence=0.85)
    elif manager == "tools.deps":
        finding.setup.append(Candidate("clojure -P", at(folder, name), confidence=0.9))
    for file, pattern in ((name, r":port\s+(\d{2,5})"), ("shadow-cljs.edn", r":dev-http\s*\{\s*(\d{2,5})")):
        body = folder.text(file) or ""
        stated = re.search(pattern, body)
        port = valid(stated.group(1)) if stated else None
        if stated and port:
            finding.ports.append(Candidate([port], at(folder, file, line_at(body, stated.start(1))), confidence=0.85))
            break
    for key, framework in CLOJURE.items():
        if re.search(rf"[\s/(\[]{re.escape(key)}[\s/.\"]", text):
            finding.framework = framework[0]
            finding.default_ports.append(
                Candidate([framework[1]], "default", DEFAULT, 0.5, note=f"port of {framework[0]}")
            )
            break
    return finding
