# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Decides between candidates and puts the blueprint together, each value with its source."""

from __future__ import annotations

import os
import re
import shlex
from typing import Any, Dict, List, Optional, Tuple

from .data_images import GENERIC, RUNTIME_DATA
from .data_sizes import SIZES
from .data_validation import TOO_OLD
from .findings import DEFAULT, RANGE, Candidate, Conflict, Finding
from .ports import unique
from .secondary import secondary_setup
from .signals import Signals
from .tree import Tree
from .versions import image_for, overlap, within

Fields = Dict[str, Tuple[Candidate, ...]]
Warnings = List[Dict[str, Any]]
#: Score of manifests that only hold settings of tools.
SETTINGS = 14
_REASON = "stands before it in the order of the rules"


class _Assembly:
    def __init__(self, tree: Tree, findings: List[Finding], signals: Signals) -> None:
        self.tree = tree
        self.signals = signals
        self.findings = findings
        self.fields: Fields = {}
        self.conflicts: List[Conflict] = []
        self.warnings: Warnings = []

    def runtimes(self) -> List[Tuple[Finding, str]]:
        """(finding, version) of each runtime once, the primary first."""
        chosen: Dict[str, Finding] = {}
        for finding in self.findings:
            chosen.setdefault(finding.runtime, finding)
        if len(chosen) > 1:
            for name, finding in list(chosen.items())[1:]:
                # Pages beside a program, or settings of a linter, are no runtime of their own.
                if name == "static" or finding.score == SETTINGS:
                    del chosen[name]
        result: List[Tuple[Finding, str]] = []
        for index, finding in enumerate(chosen.values()):
            path = f"runtimes[{index}]"
            others = [other for other in self.findings if other is not finding and other.runtime == finding.runtime]
            note = f"{finding.reason}, score {finding.score}"
            named = [Candidate(finding.runtime, finding.source, confidence=min(0.99, finding.score / 100), note=note)]
            self.fields[f"{path}.name"] = (*named, *self._other_names(finding, index))
            result.append((finding, self._version(finding, path, others)))
            if finding.managers:
                self.fields[f"{path}.package_manager"] = tuple(finding.managers)
                self._manager_conflicts(finding, path)
            if finding.manager_versions:
                self.fields[f"{path}.package_manager_version"] = tuple(finding.manager_versions)
            self.conflicts += finding.conflicts
        return result

    def _other_names(self, finding: Finding, index: int) -> List[Candidate]:
        if index:
            return []
        return [
            Candidate(
                other.runtime, other.source, confidence=other.score / 110, note=f"{other.reason}, score {other.score}"
            )
            for other in self.findings
            if other.runtime != finding.runtime
        ]

    def _version(self, finding: Finding, path: str, others: List[Finding]) -> str:
        folder = self.tree.folder(finding.folder)
        field = f"{path}.version"
        candidates = list(finding.versions)
        weaker = self.signals.versions(folder, finding.runtime)
        for other in others:
            weaker += [item for item in other.versions if item not in candidates and item not in weaker]
        if not any(item.kind not in (RANGE, DEFAULT) for item in [*candidates, *weaker]):
            weaker += self.signals.ci_versions(finding.runtime)
        winner = candidates[0] if candidates else None
        if winner is not None and winner.kind == RANGE:
            # A range leaves the choice open; a pin of a weaker source that lies within it makes the choice.
            pin = next(
                (
                    item
                    for item in [*candidates[1:], *weaker]
                    if item.kind != RANGE and within(item.bounds, winner.bounds)
                ),
                None,
            )
            if pin is not None:
                note = f"within {winner.raw or winner.value} ({winner.source})"
                candidates.insert(
                    0, Candidate(pin.value, pin.source, pin.kind, pin.confidence, pin.raw, note, pin.bounds)
                )
        candidates += [item for item in weaker if item not in candidates]
        if not candidates:
            default = RUNTIME_DATA[finding.runtime]["default"]
            if not default:
                return ""
            candidates = [Candidate(default, "default", DEFAULT, 0.5, note="nothing states a version")]
        self.fields[field] = tuple(candidates)
        winner = candidates[0]
        for other_version in candidates[1:]:
            if not overlap(winner.bounds, other_version.bounds):
                reason = f"{winner.source} {_REASON}"
                if other_version.kind == RANGE:
                    reason = f"{winner.raw or winner.value} is outside {other_version.raw}; {reason}"
                self.conflicts.append(Conflict(field, winner, other_version, reason))
        return str(winner.value)

    def _manager_conflicts(self, finding: Finding, path: str) -> None:
        winner = finding.managers[0]
        told = {winner.value}
        for other in finding.managers[1:]:
            if other.value not in told and other.confidence > 0.87:
                told.add(other.value)
                reason = f"{winner.source} {_REASON}"
                self.conflicts.append(Conflict(f"{path}.package_manager", winner, other, reason))

    def ports(self, services: List[Dict[str, Any]]) -> List[int]:
        """Ports of the application: the first source that states any."""
        taken = {port for service in services for port in service["ports"]}
        stated: List[Candidate] = []
        for candidate in self.signals.ports(self.tree.folder("")):
            forwarded = candidate.note in ("forwardPorts", "appPort")
            numbers = [port for port in candidate.value if not (forwarded and port in taken)]
            if numbers:
                stated.append(
                    Candidate(numbers, candidate.source, candidate.kind, candidate.confidence, note=candidate.note)
                )
        parts = self._parts()
        candidates = stated + parts
        if candidates:
            self.fields["ports"] = tuple(candidates)
            for other in candidates[1:]:
                if (
                    other.kind != DEFAULT
                    and candidates[0].kind != DEFAULT
                    and not set(other.value) & set(candidates[0].value)
                ):
                    self.conflicts.append(Conflict("ports", candidates[0], other, f"{candidates[0].source} {_REASON}"))
            return list(candidates[0].value)
        return []

    def _parts(self) -> List[Candidate]:
        """One candidate for all applications of the tree together: each with what it states, else its default."""
        numbers: List[int] = []
        first: Optional[Candidate] = None
        for finding in self.findings:
            if finding.tools_only and not finding.ports:
                continue
            own = self.signals.ports(self.tree.folder(finding.folder)) if finding.folder else []
            if finding.runtime in ("php", "static") and not (own or finding.ports):
                own = self.signals.served_ports(self.tree.folder(finding.folder))
            chosen = next(iter([*own, *finding.ports, *finding.default_ports]), None)
            if chosen is None:
                continue
            if chosen.kind == DEFAULT and (finding.tools_only or (numbers and self._beside_primary(finding))):
                continue
            if first is None or (first.kind == DEFAULT and chosen.kind != DEFAULT):
                first = chosen
            numbers += chosen.value
        if first is None:
            return []
        return [Candidate(unique(numbers), first.source, first.kind, first.confidence, note=first.note)]

    def _beside_primary(self, finding: Finding) -> bool:
        """Whether it only serves the primary's folder: the asset pipeline of a back end listens for nobody else."""
        primary = self.findings[0]
        return finding.folder == primary.folder and finding is not primary

    def services(self) -> List[Dict[str, Any]]:
        """Services of the compose files."""
        result: List[Dict[str, Any]] = []
        for index, service in enumerate(self.signals.compose.services if self.signals.compose else ()):
            self.fields[f"services[{index}]"] = (Candidate(service.data["image"], service.source, confidence=0.97),)
            result.append(service.data)
        return result

    def packages(self) -> List[str]:
        """Debian packages that the project lists, and those that dependencies need."""
        result: List[str] = []
        listed = self.signals.debian_packages(any(finding.framework == "streamlit" for finding in self.findings))
        for candidate in [*listed, *(item for finding in self.findings for item in finding.packages)]:
            if candidate.value not in result:
                self.fields[f"system_packages[{len(result)}]"] = (candidate,)
                result.append(candidate.value)
        return result

    def image(self, runtimes: List[Tuple[Finding, str]]) -> str:
        """The dev container's own image, else the official one of the primary runtime."""
        candidates: List[Candidate] = []
        if self.signals.dev and self.signals.dev.image:
            candidates.append(self.signals.dev.image)
        if runtimes:
            finding, version = runtimes[0]
            version_field = self.fields.get("runtimes[0].version", ())
            source = version_field[0] if version_field else None
            name = image_for(finding.runtime, version)
            if finding.image is not None:
                candidates.append(finding.image)
            else:
                kind = source.kind if source else DEFAULT
                note = f"official image of {finding.runtime}"
                where = source.source if source else "default"
                candidates.append(Candidate(name, where, kind, source.confidence if source else 0.5, note=note))
        else:
            candidates.append(Candidate(GENERIC, "default", DEFAULT, 0.3, note="no runtime was recognised"))
            if not self.signals.dev or not self.signals.dev.image:
                message = f"no runtime was recognised: {GENERIC} is only a start, name an image yourself"
                self.warnings.append({"file": ".", "line": None, "message": message})
        self.fields["image"] = tuple(candidates)
        return str(candidates[0].value)

    def setup(self, runtimes: List[Tuple[Finding, str]], image: str) -> List[str]:
        """What the dev container's author wrote, else the install of every part."""
        dev = list(self.signals.dev.setup) if self.signals.dev else []
        commands: List[Candidate] = secondary_setup(runtimes, image)
        if dev:
            commands += dev
        else:
            seen: Dict[Tuple[str, str], None] = {}
            named = {finding.runtime for finding, _version in runtimes}
            for finding in self.findings:
                if finding.runtime not in named:
                    # Its runtime is left out, so nothing here could run what it asks for.
                    continue
                if finding.member and any(
                    finding.runtime == other.runtime and not other.folder for other in self.findings
                ):
                    continue
                for candidate in finding.setup:
                    if (finding.folder, candidate.value) in seen:
                        continue
                    seen[(finding.folder, candidate.value)] = None
                    commands.append(_inside(finding.folder, candidate))
            if not any(finding.setup for finding in self.findings):
                commands += self.signals.setup_target()
        if runtimes and runtimes[0][0].runtime != "python":
            # Debian's own Python keeps packages out of its folders.
            commands = [_beside_debian(candidate) for candidate in commands]
        unique_commands: Dict[str, Candidate] = {}
        for candidate in commands:
            unique_commands.setdefault(candidate.value, candidate)
        for index, candidate in enumerate(unique_commands.values()):
            self.fields[f"setup[{index}]"] = (candidate,)
        return list(unique_commands)

    def resources(self, runtimes: List[Tuple[Finding, str]], services: int) -> Dict[str, Any]:
        """A machine by what runs on it: the largest need of the runtimes, more memory with services."""
        needs = [SIZES.get(finding.runtime, SIZES["default"]) for finding, _version in runtimes] or [SIZES["default"]]
        cpus = max(need[0] for need in needs)
        memory = max(need[1] for need in needs)
        disk = max(need[2] for need in needs) + 5 * (len(needs) - 1) + 2 * services
        if (services > 2 or len(self.findings) > 8) and memory < 8:
            memory = 8
        kind = {(2, 4): "t3.medium", (2, 8): "t3.large", (4, 16): "t3.xlarge"}.get((cpus, memory), "t3.large")
        source = runtimes[0][0].source if runtimes else "default"
        why = "what its runtimes and services usually need"
        values = {"cpus": cpus, "memory_gb": memory, "disk_gb": disk, "instance_type": kind}
        for name, value in values.items():
            self.fields[f"resources.{name}"] = (Candidate(value, "default", DEFAULT, 0.4, note=f"{why} ({source})"),)
        return values


_PIP_INSTALL = re.compile(r"^((?:cd \S+ && )?)pip install (-[re] )")
_SYSTEM_WIDE = re.compile(r"^(?:sudo |npm install --global|corepack )")


def _inside(folder: str, candidate: Candidate) -> Candidate:
    if not folder or _SYSTEM_WIDE.match(candidate.value):
        return candidate
    return candidate._replace(value=f"cd {shlex.quote(folder)} && {candidate.value}")


def _beside_debian(candidate: Candidate) -> Candidate:
    command = candidate.value.replace(
        "sudo pip install --root-user-action=ignore", "pip install --user --break-system-packages"
    )
    command = _PIP_INSTALL.sub(r"\1python3 -m venv .venv && .venv/bin/pip install \2", command)
    return candidate._replace(value=command)


def assemble(
    tree: Tree, findings: List[Finding], signals: Signals
) -> Tuple[Dict[str, Any], Fields, List[Conflict], Warnings]:
    """(blueprint as plain data, candidates of each field, conflicts, warnings)."""
    assembly = _Assembly(tree, findings, signals)
    runtimes = assembly.runtimes()
    services = assembly.services()
    image = assembly.image(runtimes)
    blueprint: Dict[str, Any] = {
        "version": 1,
        "name": _name(tree.root),
        "image": image,
        "runtimes": [
            {
                "name": finding.runtime,
                "version": version,
                "package_manager": str(finding.managers[0].value) if finding.managers else "",
            }
            for finding, version in runtimes
        ],
        "system_packages": assembly.packages(),
        "setup": assembly.setup(runtimes, image),
        "ports": assembly.ports(services),
        "services": services,
        "resources": assembly.resources(runtimes, len(services)),
    }
    for index, (finding, version) in enumerate(runtimes):
        pattern = TOO_OLD.get(finding.runtime)
        if pattern and version and re.search(pattern, version):
            source = assembly.fields[f"runtimes[{index}].version"][0].source
            message = f"{finding.runtime} {version} is too old to build from: choose a newer version ({source})"
            assembly.warnings.append({"file": source.rpartition(":")[0] or ".", "line": None, "message": message})
    names = signals.env_names()
    if names:
        assembly.fields["env_names"] = tuple(names)
    return blueprint, assembly.fields, assembly.conflicts, assembly.warnings


def _name(root: str) -> str:
    """A name for environments from the folder's name."""
    words = re.sub(r"[^a-z0-9]+", "-", os.path.basename(root).lower()).strip("-")
    return words[:40].strip("-")
