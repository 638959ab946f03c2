# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""From a directory to a blueprint: scan the root, its declared members, then decide and say why."""

from __future__ import annotations

import os
import time
from typing import Dict, List, Tuple

from .._errors import UsageError
from .assemble import assemble
from .data_scanners import PLACE, SUFFIXES, TRIGGERS
from .findings import Detection, Finding
from .scanners import scanner
from .signals import Signals
from .tree import Folder, Tree

#: Members that are looked at one by one; more of the same kind teach nothing new.
MAX_MEMBERS = 120
#: Folders looked at where the root itself has no manifest.
MAX_NESTED = 150


def detect(directory: str) -> Detection:
    """What the project in `directory` is built from; UsageError only when there is no such directory."""
    begun = time.perf_counter()
    if not os.path.isdir(directory):
        raise UsageError(
            "there is no such directory", where=directory, hint="name a folder that exists", code="no_directory"
        )
    tree = Tree(directory)
    root = tree.folder("")
    signals = Signals(root)
    findings = _scan(root)
    findings += _members(tree, findings, signals)
    if not any(not finding.tools_only and finding.score > 30 for finding in findings):
        findings += _nested(tree, findings)
    findings.sort(key=_rank)
    blueprint, fields, conflicts, warnings = assemble(tree, findings, signals)
    elapsed = round((time.perf_counter() - begun) * 1000, 3)
    return Detection(
        directory=directory,
        blueprint=blueprint,
        fields=fields,
        conflicts=conflicts,
        warnings=[*(trouble.as_dict() for trouble in tree.troubles), *warnings],
        elapsed_ms=elapsed,
    )


def _scan(folder: Folder) -> List[Finding]:
    """Every runtime of one folder. Only scanners whose files are there are even imported."""
    wanted: Dict[str, None] = {}
    for name, is_folder in folder.names.items():
        if is_folder:
            continue
        kind = TRIGGERS.get(name)
        if kind is None:
            dot = name.rfind(".")
            kind = SUFFIXES.get(name[dot:]) if dot > 0 else None
        if kind is not None:
            wanted[kind] = None
    found: List[Finding] = []
    for name in sorted(wanted):
        finding = scanner(name)(folder)
        if finding is not None:
            found.append(finding)
    return found


def _members(tree: Tree, findings: List[Finding], signals: Signals) -> List[Finding]:
    """Findings of declared members: workspaces, build contexts of compose files."""
    declared: Dict[str, bool] = {}
    for finding in findings:
        for path in finding.members:
            declared.setdefault(path, True)
    for path in signals.folders():
        declared.setdefault(path, False)
    found: List[Finding] = []
    for path in sorted(declared, key=_member_order)[:MAX_MEMBERS]:
        for finding in _scan(tree.folder(path)):
            finding.member = declared[path]
            found.append(finding)
    if len(declared) > MAX_MEMBERS:
        tree.trouble(".", f"{len(declared)} workspace members: looked at {MAX_MEMBERS}, applications first")
    return found


def _member_order(path: str) -> Tuple[int, str]:
    return (0 if path.startswith(("apps/", "services/", "cmd/")) else 1), path


def _nested(tree: Tree, known: List[Finding]) -> List[Finding]:
    """Findings to depth 2, for a root that has no manifest; below a folder that has one nothing is looked for."""
    found: List[Finding] = []
    seen = {finding.folder for finding in known if finding.folder}
    looked = 0
    level = list(tree.folders(""))
    for depth in (1, 2):
        below: List[str] = []
        for path in level:
            if looked >= MAX_NESTED:
                return found
            looked += 1
            if path in seen:
                continue
            here = [finding for finding in _scan(tree.folder(path)) if finding.score > 30]
            found += here
            for finding in here:
                for member in finding.members[:MAX_MEMBERS]:
                    found += [item for item in _scan(tree.folder(member)) if item.score > 30]
            if depth == 1 and not here:
                below += tree.folders(path)
        level = below
    return found


def _rank(finding: Finding) -> Tuple[int, int, int, int, str]:
    """Sorts the primary first: root before members, evidence before order of runtimes."""
    return (
        1 if finding.folder and finding.member else 0,
        1 if finding.tools_only else 0,
        -finding.score,
        PLACE.get(finding.runtime, 50),
        finding.folder,
    )
