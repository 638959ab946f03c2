# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What detection finds: candidates with their sources, decisions between them, and the result."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

PIN, RANGE, ALIAS, DEFAULT = "pin", "range", "alias", "default"


class Candidate(NamedTuple):
    """One value that something in the project states.

    :param value: as it would stand in the blueprint.
    :param source: `file:line`, `file`, or `default`.
    :param kind: pin (exactly this), range (any of these), alias (a name for one), default (nothing states it).
    :param confidence: 0 to 1.
    :param raw: as it is written there, when that differs.
    :param note: why it is so, where that is not plain.
    """

    value: Any
    source: str
    kind: str = PIN
    confidence: float = 0.9
    raw: str = ""
    note: str = ""
    #: For versions: what it allows, as `versions.Bounds`; empty where comparing makes no sense.
    bounds: Tuple[Any, ...] = ()

    def as_dict(self) -> Dict[str, Any]:
        """Plain data; raw and note only where there are any."""
        data = {"value": self.value, "source": self.source, "kind": self.kind, "confidence": round(self.confidence, 2)}
        if self.raw and self.raw != self.value:
            data["raw"] = self.raw
        if self.note:
            data["note"] = self.note
        return data


class Conflict(NamedTuple):
    """Two sources that disagree; `winner` is the one that was taken."""

    field: str
    winner: Candidate
    loser: Candidate
    reason: str

    def as_dict(self) -> Dict[str, Any]:
        """Plain data."""
        return {
            "field": self.field,
            "winner": self.winner.as_dict(),
            "loser": self.loser.as_dict(),
            "reason": self.reason,
        }


class Finding:
    """One runtime in one folder, as its scanner describes it.

    :param runtime: its name in the blueprint.
    :param folder: relative to the root; "" is the root itself.
    :param score: how strongly the folder is a project of this runtime: 100 a framework's entry, 80 a lockfile with a
        start command, 60 a manifest, 20 loose sources, 15 tools only.
    :param source: `file:line` that it was recognised by, and `reason` what that is.
    :param versions: highest precedence first, in the ecosystem's own order; so are `managers`.
    :param tools_only: only development tools are described here.
    """

    __slots__ = (
        "conflicts",
        "default_ports",
        "folder",
        "framework",
        "image",
        "manager_versions",
        "managers",
        "member",
        "members",
        "packages",
        "parts",
        "ports",
        "reason",
        "runtime",
        "score",
        "setup",
        "source",
        "tools_only",
        "versions",
    )

    def __init__(
        self,
        runtime: str,
        folder: str,
        score: int,
        source: str,
        reason: str = "",
        *,
        versions: Sequence[Candidate] = (),
        managers: Sequence[Candidate] = (),
        tools_only: bool = False,
    ) -> None:
        self.runtime = runtime
        self.folder = folder
        self.score = score
        self.source = source
        self.reason = reason
        self.framework = ""
        self.tools_only = tools_only
        #: Whether it is a member of a workspace whose root installs for it.
        self.member = False
        #: Image that this runtime wants instead of the one from the data (build tool included).
        self.image: Optional[Candidate] = None
        self.versions = list(versions)
        self.managers = list(managers)
        #: Version of the package manager itself.
        self.manager_versions: List[Candidate] = []
        #: Commands of the first run, in order.
        self.setup: List[Candidate] = []
        #: Lists of ports stated by start commands or sources; value is a list of int.
        self.ports: List[Candidate] = []
        #: Port of the framework when nothing states one.
        self.default_ports: List[Candidate] = []
        self.packages: List[Candidate] = []
        #: Folders of declared workspace members, relative to the root.
        self.members: List[str] = []
        #: Folders that scripts change into: parts that install for themselves.
        self.parts: List[str] = []
        self.conflicts: List[Conflict] = []


class Detection(NamedTuple):
    """The result: a blueprint and where each of its values came from."""

    directory: str
    blueprint: Dict[str, Any]
    #: Field path -> candidates, the winner first.
    fields: Dict[str, Tuple[Candidate, ...]]
    conflicts: List[Conflict]
    #: What could not be used or decided, as `{"file", "line", "message"}`.
    warnings: List[Dict[str, Any]]
    elapsed_ms: float

    @property
    def platforms(self) -> List[Dict[str, Any]]:
        """Where the project is deployed to; looked up when it is asked for, because nothing else needs it."""
        from .platforms import platforms

        return platforms(self.directory)

    @property
    def evidence(self) -> List[Dict[str, Any]]:
        """One entry a field: `{"field", "value", "source", "kind", "confidence"}` (+ raw, note)."""
        return [{"field": path, **candidates[0].as_dict()} for path, candidates in self.fields.items() if candidates]

    def sources(self) -> Dict[str, str]:
        """Field path -> what to write beside it in env.yaml."""
        return {
            path: "default" if candidates[0].kind == DEFAULT else candidates[0].source
            for path, candidates in self.fields.items()
            if candidates
        }

    def as_dict(self) -> Dict[str, Any]:
        """The object that `blueprint detect --json` prints."""
        data: Dict[str, Any] = {
            "directory": self.directory,
            "blueprint": self.blueprint,
            "evidence": self.evidence,
            "conflicts": [conflict.as_dict() for conflict in self.conflicts],
            "elapsed_ms": self.elapsed_ms,
        }
        if self.warnings:
            data["warnings"] = self.warnings
        return data
