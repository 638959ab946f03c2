# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Which files go into a rescue: all that fit, the small ones first. What does not is named."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Set, Tuple

#: Left-out files that are named; the rest is counted.
NAMED = 100
_MIB = 1024 * 1024
#: Of the agent's folder these are no transcript, whoever put them there.
_NEVER = re.compile(
    r"(?:\.credentials\.json|settings(?:\.local)?\.json|\.env(?:\..*)?|id_(?:rsa|ed25519|ecdsa)|.*\.(?:pem|key))"
)


@dataclass(frozen=True)
class Limits:
    """In bytes and seconds."""

    #: One file that is not committed.
    file_bytes: int = 50 * _MIB
    #: All of those together.
    files_bytes: int = 500 * _MIB
    transcript_bytes: int = 100 * _MIB
    #: The whole rescue.
    total_bytes: int = 2048 * _MIB
    seconds: float = 600


@dataclass
class LeftOut:
    """What did not go along; as JSON `{files: [{path, size, reason}], count, bytes}`.

    Reasons: `ignored` (by .gitignore) and `too old` (of a transcript), which are not counted as work; `too large`, `too
    much` (all together), `special` (no file that could be saved), or why a repository could not be saved.
    """

    files: List[Dict[str, Any]] = field(default_factory=list)
    count: int = 0
    size: int = 0
    #: Of work: whether something is missing that a person would miss.
    work: int = 0

    def add(self, path: str, size: int, reason: str) -> None:
        """Name one, or only count it."""
        self.count += 1
        self.size += size
        self.work += reason not in ("ignored", "too old")
        if len(self.files) < NAMED:
            self.files.append({"path": path[:1000], "size": size, "reason": reason[:200]})

    def as_json(self) -> Dict[str, Any]:
        return {"files": self.files, "count": self.count, "bytes": self.size}


@dataclass
class Room:
    """How much more fits; shared by all repositories of one rescue."""

    left: int


def choose(
    raw: bytes, removed: Set[bytes], limits: Limits, room: Room, *, out: LeftOut, prefix: str
) -> Tuple[List[bytes], List[bytes]]:
    """(files to be taken, nested repositories) of `size mode time name` records, as LOOK tells them."""
    found: List[Tuple[int, bytes]] = []
    nested: List[bytes] = []
    for record in raw.split(b"\0"):
        parts = record.split(b" ", 3)
        if len(parts) != 4 or not parts[0].isdigit() or parts[3] in removed:
            continue
        size, kind, name = int(parts[0]), stat.S_IFMT(int(parts[1], 16)), parts[3]
        if kind == stat.S_IFDIR:
            nested += [name.rstrip(b"/")] if name.endswith(b"/") else []
        elif kind in (stat.S_IFREG, stat.S_IFLNK):
            found.append((size, name))
        else:
            out.add(prefix + name.decode("utf-8", "replace"), 0, "special")
    return _fitting(found, limits.file_bytes, room, out, prefix), nested


def choose_sessions(raw: bytes, limits: Limits, out: LeftOut) -> List[bytes]:
    """Names of the files of the agent's sessions that go along: the newest first."""
    found: List[Tuple[float, int, bytes]] = []
    for record in raw.split(b"\0"):
        parts = record.split(b" ", 3)
        if len(parts) != 4 or not parts[0].isdigit():
            continue
        name = parts[3]
        if _NEVER.fullmatch(name.rsplit(b"/", 1)[-1].decode("utf-8", "replace").lower()):
            continue
        try:
            at = float(parts[2])
        except ValueError:
            continue
        found.append((-at, int(parts[0]), name))
    room = Room(limits.transcript_bytes)
    taken = []
    for _at, size, name in sorted(found):
        if size > room.left:
            out.add("transcript: " + name.decode("utf-8", "replace"), size, "too old")
        else:
            room.left -= size
            taken.append(name)
    return taken


def _fitting(found: List[Tuple[int, bytes]], most: int, room: Room, out: LeftOut, prefix: str) -> List[bytes]:
    taken = []
    for size, name in sorted(found):
        if size > most:
            out.add(prefix + name.decode("utf-8", "replace"), size, "too large")
        elif size > room.left:
            out.add(prefix + name.decode("utf-8", "replace"), size, "too much")
        else:
            room.left -= size
            taken.append(name)
    return taken


def removed_files(raw: bytes) -> Set[bytes]:
    """Names that `diff-files --raw -z` shows as deleted."""
    fields = raw.split(b"\0")
    return {name for meta, name in zip(fields[::2], fields[1::2]) if meta.endswith(b" D")}


def limits_of(params: Mapping[str, Any]) -> Limits:
    """From the module's options."""
    return Limits(
        file_bytes=params["file_bytes"],
        files_bytes=params["files_bytes"],
        transcript_bytes=params["transcript_bytes"],
        total_bytes=params["total_bytes"],
        seconds=float(params["timeout"]),
    )
