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
from .scanners.common import tools_of
from .scanners.cpp import by_make
from .signals import Signals
from .tree import Folder, Tree

#: Members that are looked at one by one; more of the same kind teach nothing new.
MAX_MEMBERS = 100
#: Folders looked at where the root itself has no manifest.
MAX_NESTED = 60
#: Scores up to these are loose sources, and what is only named by its tools.
WEAK, LOOSE = 30, 19


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
    rooted = any(_real(finding) for finding in findings)
    findings += _members(tree, findings, signals)
    if not any(_real(finding) for finding in findings):
        findings += _nested(tree, findings)
    if not findings:
        # Nothing but sources, and those in a folder of their own.
        findings += [
            item for name in ("src", "app", "lib") if root.has_folder(name) for item in _scan(tree.folder(name))
        ]
    if not findings and (made := by_make(root)) is not None:
        findings.append(made)
    if any(_real(finding) for finding in findings):
        # Beside a project, a script in another language or a page of its own is no runtime.
        findings = [finding for finding in findings if finding.score > WEAK or finding.tools_only]
    findings += _named_only(root, findings, signals)
    findings.sort(key=lambda finding: _rank(finding, rooted))
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
            if name.endswith(".xcodeproj"):
                wanted["swift"] = None
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
    owners: Dict[str, str] = {}
    for finding in findings:
        for path in finding.members:
            declared.setdefault(path, True)
            owners.setdefault(path, finding.runtime)
    for finding in findings:
        for path in finding.parts:
            declared.setdefault(path, False)
    for path in signals.folders():
        declared.setdefault(path, False)
    found: List[Finding] = []
    for path in sorted(declared, key=_member_order)[:MAX_MEMBERS]:
        folder = tree.folder(path)
        folder.owner = owners.get(path, "")
        for finding in _scan(folder):
            finding.member = declared[path]
            found.append(finding)
    for path in [path for finding in found for path in finding.parts if path not in declared][:MAX_MEMBERS]:
        found += _scan(tree.folder(path))
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
            here = [finding for finding in _scan(tree.folder(path)) if finding.score > WEAK]
            found += here
            for finding in here:
                for member in finding.members[:MAX_MEMBERS]:
                    found += [item for item in _scan(tree.folder(member)) if item.score > WEAK]
            if depth == 1 and not here:
                below += tree.folders(path)
        level = below
    return found


def _real(finding: Finding) -> bool:
    """Whether a finding is a project, not some loose file or the settings of tools."""
    return finding.score > WEAK and not finding.tools_only


def _named_only(root: Folder, findings: List[Finding], signals: Signals) -> List[Finding]:
    """Runtimes that only a version file, the dev container or a base image names."""
    known = {finding.runtime for finding in findings}
    found: List[Finding] = []
    for runtime, candidates in tools_of(root).items():
        if runtime not in known and candidates:
            known.add(runtime)
            finding = Finding(
                runtime, "", 13, candidates[0].source, "a version file", versions=list(candidates), tools_only=True
            )
            found.append(finding)
    if not any(finding.score > LOOSE for finding in findings):
        named = [(runtime, item.source) for runtime, item in (signals.dev.versions if signals.dev else ())]
        for runtime, source in [*named, *signals.base_runtimes(root)]:
            if runtime not in known:
                known.add(runtime)
                found.append(Finding(runtime, "", 25, source, "base image or dev container"))
                break
    return found


def _rank(finding: Finding, rooted: bool) -> Tuple[int, int, int, int, str]:
    """Sorts the primary first: the root's own projects, then evidence, then the order of runtimes."""
    return (
        1 if finding.folder and rooted else 0,
        1 if finding.tools_only else 0,
        -finding.score,
        PLACE.get(finding.runtime, 50),
        finding.folder,
    )
