# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Read the work out of a container into a folder: per repository a source bundle that holds all refs and the tree.

`rescue.json` names every file with size and SHA-256, what is in it, and what did not go along.
"""

from __future__ import annotations

import base64
import json
import os
import posixpath
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Set, Tuple

from .._errors import FuelError
from .._inside import Inside, line
from .._workspace._names import check_branch, repository_name, without_credentials
from .._workspace._pack import BUNDLE, DESCRIPTION
from ._choose import LeftOut, Limits, Room, choose, choose_sessions, removed_files
from ._scripts import BEGIN, BUILD, END, LOOK, SESSIONS, TRANSCRIPT
from ._scripts import BUNDLE as GIVE
from ._stream import Deadline, Part, digest_of, stream_out

MANIFEST, SESSIONS_TAR = "rescue.json", "transcript.tar"
FORMAT = 1
_MOST_REPOSITORIES = 200
_DEPTH = 4
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

Answer = Dict[str, bytes]


@dataclass
class _One:
    """A repository, or a worktree of one, as it was looked at."""

    path: str
    answer: Answer
    nested: List[str] = field(default_factory=list)
    taken: List[bytes] = field(default_factory=list)
    removed: Set[bytes] = field(default_factory=set)

    def text(self, key: str) -> str:
        return os.fsdecode(self.answer.get(key, b"")).rstrip("\n")

    def records(self, key: str) -> List[str]:
        return [os.fsdecode(record) for record in self.answer.get(key, b"").split(b"\0") if record]


class Collector:
    """Collects one environment's work."""

    def __init__(self, container: Inside, path: str, limits: Limits, deadline: Deadline) -> None:
        self._container = container
        self._path = path
        self._limits = limits
        self._deadline = deadline
        self._room = Room(limits.files_bytes)
        self._total = Room(limits.total_bytes)
        self._parts: Dict[str, Part] = {}
        self._seen: Set[str] = set()
        self._number = 0
        self.left_out = LeftOut()

    def has_sessions(self) -> bool:
        """Whether the agent has written down any session."""
        return bool(choose_sessions(self._ask(SESSIONS, b"").get("files", b""), self._limits, LeftOut()))

    def collect(self, folder: str) -> Dict[str, Any]:
        """Fill the empty `folder`; the manifest, which is its rescue.json."""
        begun = self._ask(BEGIN, line(self._path))
        scratch = os.fsdecode(begun.get("scratch", b""))
        if not re.fullmatch(r"/[A-Za-z0-9_./-]{1,200}/fuel-code-rescue\.[A-Za-z0-9]{8}", scratch):
            raise FuelError("the container gave no scratch folder", where=self._container.name, code="rescue_failed")
        try:
            return self._collect(
                folder, scratch, [os.fsdecode(each) for each in begun.get("repositories", b"").split(b"\0") if each]
            )
        finally:
            self._clean(scratch)

    def _collect(self, folder: str, scratch: str, found: List[str]) -> Dict[str, Any]:
        names: List[str] = list(dict.fromkeys(found))
        if self._path not in names:
            raise FuelError("there is no repository any more", where=self._path, code="no_workspace")
        described = self._repository(self._path, folder, "", scratch, 0)
        beside: List[Dict[str, str]] = []
        for name in names:
            if name == self._path:
                continue
            inner = os.path.join("beside", str(len(beside)))
            entry = self._try(name, folder, inner, scratch)
            if entry is not None:
                beside.append({"name": posixpath.basename(name), "folder": inner})
        sessions = self._sessions(folder)
        described["beside"] = beside
        self._write(folder, DESCRIPTION, described)
        manifest = {
            "format": FORMAT,
            "name": described["name"],
            "workspace": self._path,
            "commit": described["rescue"]["head"] or None,
            "branch": described["branch"],
            "counts": {**described["rescue"]["counts"], "sessions": sessions, "beside": len(beside)},
            "unfinished": described["rescue"]["unfinished"],
            "complete": not self.left_out.work,
            "left_out": self.left_out.as_json(),
            "parts": [
                {"path": path, "size": part.size, "sha256": part.sha256} for path, part in sorted(self._parts.items())
            ],
        }
        with open(os.path.join(folder, MANIFEST), "w", encoding="utf-8") as stream:
            json.dump(manifest, stream, indent=1, sort_keys=True)
        return manifest

    def _try(self, path: str, folder: str, inner: str, scratch: str, depth: int = 0) -> Optional[Dict[str, Any]]:
        """A repository that is not the workspace itself: one that cannot be saved is named."""
        try:
            described = self._repository(path, folder, inner, scratch, depth)
        except FuelError as error:
            if error.code == "not_saved":
                self.left_out.add(self._shown(path), 0, error.message)
            elif error.code != "saved_already":
                raise
            return None
        self._write(folder, os.path.join(inner, DESCRIPTION), described)
        return described

    def _repository(self, path: str, folder: str, inner: str, scratch: str, depth: int) -> Dict[str, Any]:
        if self._number >= _MOST_REPOSITORIES or depth > _DEPTH:
            raise FuelError("more or deeper repositories than are saved", code="not_saved")
        private = f"{scratch}/{self._number}"
        self._number += 1
        one = self._look(path)
        common = one.text("common")
        if common in self._seen:
            raise FuelError("a worktree, saved with its repository", code="saved_already")
        self._seen.add(common)
        os.makedirs(os.path.join(folder, inner), exist_ok=True)
        refs = self._build(one, private, 0)
        worktrees: List[Dict[str, Any]] = []
        for other in one.text("worktrees").split("\n"):
            if not other or other in (one.text("top"), common) or other.endswith(".git"):
                continue
            try:
                beside = self._look(other)
                if beside.text("common") != common:
                    continue
                refs = self._build(beside, private, len(worktrees) + 1)
            except FuelError as error:
                if error.code != "not_saved":
                    raise
                self.left_out.add(self._shown(other), 0, error.message)
                continue
            worktrees.append({"path": other, "branch": _branch(beside.text("branch"))})
        self._give(os.path.join(inner, BUNDLE), folder, GIVE, line(private))
        described = _described(one, path, refs, worktrees)
        described["submodules"], links = self._submodules(one, folder, inner, scratch, depth)
        described["nested"] = []
        for name in one.nested:
            if name in links:
                continue
            below = os.path.join(inner, "nested", str(len(described["nested"])))
            if self._try(f"{path}/{name}", folder, below, scratch, depth + 1) is not None:
                described["nested"].append({"path": name, "folder": os.path.relpath(below, inner or ".")})
        return described

    def _submodules(
        self, one: _One, folder: str, inner: str, scratch: str, depth: int
    ) -> Tuple[List[Dict[str, Any]], Set[str]]:
        links = {name: oid for oid, _space, name in (record.partition(" ") for record in one.records("links"))}
        fields: Dict[str, Dict[str, str]] = {}
        for record in one.records("modules"):
            key, _newline, value = record.partition("\n")
            if value and key.count(".") >= 2:
                fields.setdefault(key[len("submodule.") : key.rindex(".")], {})[key.rsplit(".", 1)[1]] = value
        by_path = {entry.get("path"): (name, entry.get("url", "")) for name, entry in fields.items()}
        entries: List[Dict[str, Any]] = []
        for place, oid in sorted(links.items()):
            name, url = by_path.get(place, (place, ""))
            entry: Dict[str, Any] = {"path": place, "name": name, "url": without_credentials(url) or "", "commit": oid}
            below = os.path.join(inner, "submodules", str(len(entries)))
            try:
                described: Optional[Dict[str, Any]] = self._repository(
                    f"{one.path}/{place}", folder, below, scratch, depth + 1
                )
            except FuelError as error:
                if error.code not in ("not_saved", "saved_already"):
                    raise
                described = None
                entry.update(handled=False, reason=error.message)
            if described is not None:
                self._write(folder, os.path.join(below, DESCRIPTION), described)
                entry.update(handled=True, folder=os.path.relpath(below, inner or "."), commit=described["commit"])
            entries.append(entry)
        return entries, set(links)

    def _look(self, path: str) -> _One:
        one = _One(path, self._ask(LOOK, line(path), where=path))
        if "failed" in one.answer:
            raise FuelError(one.text("failed")[:300], where=path, code="not_saved")
        if one.text("top") != path:
            # Of what is no repository of its own, git tells the one around it.
            raise FuelError("it is not checked out", where=path, code="not_saved")
        one.removed = removed_files(one.answer.get("changed", b""))
        prefix = self._shown(path) + "/" if path != self._path else ""
        one.taken, nested = choose(
            one.answer.get("files", b""), one.removed, self._limits, self._room, out=self.left_out, prefix=prefix
        )
        one.nested = [os.fsdecode(name) for name in nested]
        for name in one.records("ignored"):
            self.left_out.add(prefix + name, 0, "ignored")
        return one

    def _build(self, one: _One, private: str, number: int) -> Dict[str, str]:
        taken = b"".join(name + b"\0" for name in one.taken)
        removed = b"".join(name + b"\0" for name in sorted(one.removed))
        values = b"".join(line(value) for value in (one.path, private, str(number), str(len(taken))))
        answer = self._ask(BUILD, values + taken + removed, where=one.path)
        refs = {}
        for entry in os.fsdecode(answer.get("refs", b"")).splitlines():
            oid, _space, ref = entry.partition(" ")
            refs[ref] = oid
        if f"refs/fuel/rescue/{number}/work" not in refs:
            raise FuelError("the container did not say what is in it", where=one.path, code="rescue_failed")
        return refs

    def _sessions(self, folder: str) -> int:
        names = choose_sessions(self._ask(SESSIONS, b"").get("files", b""), self._limits, self.left_out)
        if names:
            self._give(SESSIONS_TAR, folder, TRANSCRIPT, b"".join(name + b"\0" for name in names))
        return len(names)

    def _ask(self, script: str, stdin: bytes, where: Optional[str] = None) -> Answer:
        """A script's answer; FuelError when it is not whole."""
        done = self._container.script(script, stdin, timeout=self._deadline.left())
        lines = done.stdout.decode("ascii", "replace").splitlines()
        answer: Answer = {}
        for entry in lines:
            key, _space, encoded = entry.partition(" ")
            try:
                answer[key] = base64.b64decode(encoded, validate=True)
            except ValueError as error:
                raise _silent(where, done.error_text) from error
        if done.returncode or not lines or lines[-1] != "end":
            raise _silent(where, done.error_text)
        if "failed" in answer and where is None:
            raise FuelError(answer["failed"].decode("utf-8", "replace")[:300], code="rescue_failed")
        return answer

    def _give(self, name: str, folder: str, script: str, stdin: bytes) -> None:
        part = stream_out(
            self._container.command(script), stdin, os.path.join(folder, name), self._total.left, self._deadline
        )
        self._total.left -= part.size
        self._parts[name] = part

    def _write(self, folder: str, name: str, document: Dict[str, Any]) -> None:
        content = json.dumps(document, indent=1, sort_keys=True).encode("utf-8", "surrogateescape")
        path = os.path.join(folder, name)
        with open(path, "wb") as stream:
            stream.write(content)
        self._parts[name] = digest_of(path)

    def _clean(self, scratch: str) -> None:
        try:
            self._container.script(END, line(scratch), timeout=20)
        except FuelError:
            # It goes with the container.
            return

    def _shown(self, path: str) -> str:
        return posixpath.relpath(path, self._path)


def _described(one: _One, path: str, refs: Dict[str, str], worktrees: List[Dict[str, Any]]) -> Dict[str, Any]:
    """source.json of this repository."""
    head = _oid(one.text("head"))
    launched = _oid(one.text("launched"))
    remotes = dict(record.split(" ", 1) for record in one.records("remotes") if " " in record)
    kept = {
        name: without_credentials(url) for name, url in remotes.items() if re.fullmatch(r"[A-Za-z0-9_][\w.-]*", name)
    }
    launch = _launch(one.answer.get("launch", b""))
    stashes = [record.partition("\t")[::2] for record in one.records("stashes")]
    identity = (one.text("name")[:200], one.text("email")[:200])
    return {
        "name": repository_name(posixpath.basename(path)),
        "url": kept.get("origin"),
        "commit": launched or head or refs["refs/fuel/rescue/0/work"],
        "branch": _branch(one.text("branch")),
        "dirty": True,
        "bundle": BUNDLE,
        "patch": None,
        "upstream": None,
        "shallow": [oid for oid in one.text("shallow").split() if _oid(oid)],
        "object_format": "sha256" if one.text("format") == "sha256" else "sha1",
        "folder": str(launch.get("folder") or ""),
        "identity": {"name": identity[0], "email": identity[1]} if all(identity) else None,
        "lfs": [],
        "rescue": {
            "head": head,
            "refs": dict(refs),
            "stashes": [{"commit": oid, "message": message[:500]} for oid, message in stashes if _oid(oid)],
            "remotes": {name: url for name, url in kept.items() if url},
            "tracking": _tracking(one.text("tracking")),
            "worktrees": worktrees,
            "lfs": bool(one.text("lfs")),
            "unfinished": one.text("unfinished").split(),
            "counts": {
                "branches": sum(ref.startswith("refs/heads/") for ref in refs),
                "stashes": len(stashes),
                "worktrees": len(worktrees),
                "files": len(one.taken) + len(one.removed),
            },
        },
    }


def _launch(raw: bytes) -> Dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _tracking(text: str) -> List[Dict[str, str]]:
    found = []
    for entry in text.splitlines():
        parts = entry.split(" ")
        if len(parts) == 3 and all(parts) and re.fullmatch(r"refs/heads/\S+", parts[2]):
            branches = _branch("refs/heads/" + parts[0]), _branch(parts[2])
            if branches[0] and branches[1]:
                found.append({"branch": branches[0], "remote": parts[1], "merge": branches[1]})
    return found


def _branch(ref: str) -> Optional[str]:
    """A branch's name out of its ref; None for a detached HEAD and for what is no branch's name."""
    if not ref.startswith("refs/heads/"):
        return None
    try:
        return check_branch(ref[len("refs/heads/") :])
    except FuelError:
        return None


def _oid(text: str) -> str:
    return text if _OID.fullmatch(text) else ""


def _silent(where: Optional[str], said: str) -> FuelError:
    reason = said.strip().splitlines()[-1:] or ["no whole answer"]
    return FuelError(f"the container did not answer: {reason[0][:300]}", where=where, code="rescue_failed")
