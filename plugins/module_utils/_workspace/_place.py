# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Place a source bundle in a container: built under a temporary name, renamed at the end, so never there by halves."""

from __future__ import annotations

import base64
import io
import json
import os
import posixpath
import re
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Dict, Iterator, List, Mapping, Optional, Tuple

from .. import _scratch
from .._errors import FuelError, UsageError
from .._inside import Inside, last_lines, line
from ._names import check_branch, repository_name, without_credentials
from ._pack import BUNDLE, DESCRIPTION, PATCH, describe, write_bundle
from ._scripts import LFS_CLEAN, LFS_SMUDGE, NO_GIT, PLACE, PROBE, TAKEN

#: source.json of a repository with thousands of LFS files is large; more than this is refused.
_DESCRIPTION_LIMIT = 64 * 1024 * 1024


@dataclass
class Found:
    """What is in the container at a workspace's path."""

    #: `absent`, `present` (placed by us, whole) or `taken` (something else).
    state: str
    launch: Dict[str, Any] = field(default_factory=dict)
    commit: str = ""
    tree: str = ""
    branch: Optional[str] = None
    #: Keys of setup commands that ended well, in order, with their results.
    done: Dict[str, Dict[str, Any]] = field(default_factory=dict)

    def as_result(self, path: str) -> Dict[str, Any]:
        """The `workspace` of the module's result."""
        return {
            "path": path,
            "folder": str(self.launch.get("folder") or ""),
            "commit": self.commit or self.launch.get("commit"),
            "branch": self.branch,
            "dirty": bool(self.launch.get("dirty")),
            "submodules": self.launch.get("submodules", []),
            "lfs": self.launch.get("lfs", []),
        }


def probe(container: Inside, path: str) -> Found:
    """Look, in one call, whether the workspace is there and which setup commands are done."""
    answer = container.script(PROBE, line(path), timeout=60)
    lines = answer.stdout.decode("utf-8", "replace").splitlines()
    if not lines or lines[0] not in ("absent", "present", "taken"):
        raise FuelError(
            "the container did not answer", where=container.name, code="container_silent", hint=answer.error_text[-300:]
        )
    found = Found(lines[0])
    values = dict(entry.split(" ", 1) for entry in lines[1:] if " " in entry)
    try:
        found.launch = json.loads(base64.b64decode(values.get("launch", "") or b"e30="))
        for entry in base64.b64decode(values.get("done", "")).decode("utf-8", "replace").splitlines():
            record = json.loads(entry)
            found.done[str(record["key"])] = record
    except (ValueError, KeyError, TypeError, RecursionError):
        # The user can write there; what cannot be read counts as not done.
        pass
    if not isinstance(found.launch, dict):
        found.launch = {}
    found.commit, found.tree = values.get("commit", ""), values.get("tree", "")
    found.branch = values.get("branch") or None
    return found


@contextmanager
def open_source(place: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """(bundle folder, its description) of a bundle folder, its tar file, or a plain repository, bundled first."""
    if os.path.isfile(os.path.join(place, DESCRIPTION)) and os.path.isfile(os.path.join(place, BUNDLE)):
        yield place, read_description(place)
    elif os.path.isfile(place):
        with _scratch.scratch(_scratch.SOURCE) as scratch:
            unpack(place, scratch)
            yield scratch, read_description(scratch)
    else:
        with _scratch.scratch(_scratch.SOURCE) as scratch:
            yield scratch, write_bundle(describe(place), scratch).as_json()


def read_description(folder: str) -> Dict[str, Any]:
    """source.json, with the fields that decide anything checked."""
    path = os.path.join(folder, DESCRIPTION)
    try:
        with open(path, encoding="utf-8") as stream:
            source = json.loads(stream.read(_DESCRIPTION_LIMIT))
    except (OSError, ValueError) as error:
        raise UsageError(
            "is no source bundle: source.json cannot be read", where=folder, hint=str(error)[:200]
        ) from error
    if not isinstance(source, dict) or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", str(source.get("commit"))):
        raise UsageError("is no source bundle: source.json names no commit", where=folder)
    if source.get("branch") is not None:
        check_branch(str(source["branch"]))
    source["folder"] = _inside(str(source["folder"])) if source.get("folder") else ""
    source["name"] = repository_name(str(source.get("name") or ""))
    return source


def unpack(tar_path: str, directory: str) -> None:
    """Unpack the tar of a source bundle: plain files under plain names only."""
    try:
        with tarfile.open(tar_path, "r:") as archive:
            for member in archive:
                if not member.isfile() and not member.isdir():
                    raise UsageError(
                        f"the source tar holds {member.name[:80]!r}, which is no plain file", where=tar_path
                    )
                target = os.path.join(directory, _inside(member.name))
                if member.isdir():
                    os.makedirs(target, exist_ok=True)
                    continue
                os.makedirs(os.path.dirname(target), exist_ok=True)
                content = archive.extractfile(member)
                with open(target, "wb") as stream:
                    while content is not None:
                        block = content.read(1 << 20)
                        if not block:
                            break
                        stream.write(block)
    except tarfile.TarError as error:
        raise UsageError("is no source bundle folder, no repository and no tar of either", where=tar_path) from error


def place(container: Inside, path: str, folder: str, source: Mapping[str, Any]) -> Found:
    """Stream the bundle into the container and build the workspace from it; what is there then."""

    def feed(pipe: IO[bytes]) -> None:
        pipe.write(line(path))
        write_stream(pipe, folder, source)

    ended = container.stream(PLACE, feed)
    tail = last_lines(ended.output)
    if ended.returncode == 0:
        placed = re.fullmatch(r"placed ([0-9a-f]{40,64})", tail[-1] if tail else "")
        if placed is None:
            # Another run was faster.
            return probe(container, path)
        return Found("present", _launch(source), str(source["commit"]), placed.group(1), source.get("branch"))
    reason = tail[-1] if tail else f"exit code {ended.returncode}"
    details = {"tail": tail}
    if ended.returncode == NO_GIT:
        raise FuelError(
            "git is not installed in the container", where=container.name, hint="run dev_container first", code="no_git"
        )
    if ended.returncode == TAKEN:
        raise _taken(path)
    if any("No space left on device" in text for text in tail):
        raise FuelError(
            "the disk is full where the workspace is", where=path, hint="free space on the machine", code="disk_full"
        )
    raise FuelError(f"cannot place the repository: {reason[:300]}", where=path, code="place_failed", details=details)


def _taken(path: str) -> FuelError:
    return FuelError(
        "holds something that is not this workspace",
        where=path,
        hint="move it away inside the environment",
        code="workspace_taken",
    )


def check_free(found: Found, path: str) -> None:
    """Raise when something else is where the workspace is to be."""
    if found.state == "taken":
        raise _taken(path)


def write_stream(pipe: IO[bytes], folder: str, source: Mapping[str, Any]) -> None:
    """The tar that PLACE reads: one numbered plan folder per repository, the superproject first."""
    with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for number, plan in enumerate(_plans(folder, source)):
            for name, value in plan.values.items():
                _add_text(archive, f"{number}/{name}", value)
            for name in (BUNDLE, PATCH):
                if os.path.isfile(os.path.join(plan.folder, name)):
                    archive.add(os.path.join(plan.folder, name), f"{number}/{name}", recursive=False, filter=plain)
            lfs = os.path.join(plan.folder, "lfs")
            if os.path.isdir(lfs):
                archive.add(lfs, f"{number}/lfs", filter=plain)
            if os.path.isdir(lfs) or plan.lfs:
                _add_text(archive, f"{number}/lfs-clean", LFS_CLEAN)
                _add_text(archive, f"{number}/lfs-smudge", LFS_SMUDGE)
        if source.get("folder"):
            _add_text(archive, "folder", _inside(str(source["folder"])))
        _add_text(archive, "launch.json", json.dumps(_launch(source), sort_keys=True))


def _launch(source: Mapping[str, Any]) -> Dict[str, Any]:
    """What the workspace remembers of where it came from; whose commits they will be is in git's own configuration."""
    return {**source, "identity": None, "rescue": None}


@dataclass
class _Plan:
    folder: str
    values: Dict[str, str]
    #: Git LFS is to be set up, though no object of it comes along.
    lfs: bool = False


def _plans(
    folder: str,
    source: Mapping[str, Any],
    above: Optional[_Plan] = None,
    entry: Optional[Mapping[str, Any]] = None,
    nested: str = "",
) -> List[_Plan]:
    identity = source.get("identity") or {}
    values = {
        "worktree": ".",
        "gitdir": ".git",
        "commit": str(source["commit"]),
        "branch": check_branch(source["branch"]) if source.get("branch") else "",
        "upstream": _oid(source.get("upstream")),
        "url": without_credentials(str(source.get("url") or "")) or "",
        "format": "sha256" if source.get("object_format") == "sha256" else "sha1",
        "name": _identity(identity.get("name")),
        "email": _identity(identity.get("email")),
        "shallow": "".join(f"{oid}\n" for oid in source.get("shallow") or () if _oid(oid)),
    }
    if above is not None and entry is not None:
        name = _inside(str(entry["name"]))
        values["worktree"] = posixpath.normpath(posixpath.join(above.values["worktree"], _inside(str(entry["path"]))))
        values["gitdir"] = f"{above.values['gitdir']}/modules/{name}"
        values["super"] = above.values["gitdir"]
        values["submodule"] = name
        values["url"] = values["url"] or without_credentials(str(entry.get("url") or "")) or ""
        values["up"] = posixpath.relpath(values["gitdir"], values["worktree"])
        values["down"] = posixpath.relpath(values["worktree"], values["gitdir"])
        values["name"], values["email"] = above.values["name"], above.values["email"]
    elif above is not None and nested:
        values["worktree"] = posixpath.normpath(posixpath.join(above.values["worktree"], _inside(nested)))
        values["gitdir"] = f"{values['worktree']}/.git"
    rescue = source.get("rescue")
    plan = _Plan(folder, {**values, **(_rescued(rescue) if rescue else {})}, bool(rescue and rescue.get("lfs")))
    plans = [plan]
    for inner in source.get("submodules") or ():
        if inner.get("handled") and inner.get("folder"):
            below = os.path.join(folder, _inside(str(inner["folder"])))
            plans += _plans(below, read_description(below), plan, inner)
    for inner in source.get("nested") or ():
        below = os.path.join(folder, _inside(str(inner["folder"])))
        plans += _plans(below, read_description(below), plan, nested=str(inner["path"]))
    return plans


def _rescued(rescue: Mapping[str, Any]) -> Dict[str, str]:
    """What the bundle itself cannot say of a rescued repository."""
    stashes = [one for one in rescue.get("stashes") or () if _oid(one.get("commit"))]
    remotes = {str(name): without_credentials(str(url)) for name, url in (rescue.get("remotes") or {}).items()}
    named = {name: url for name, url in remotes.items() if url and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name)}
    tracking = [one for one in rescue.get("tracking") or () if one.get("remote") in named]
    return {
        "rescue": "",
        # The newest is stored last.
        "stashes": "".join(
            f"{one['commit']} {line(str(one.get('message') or '')).decode('ascii')}" for one in reversed(stashes)
        ),
        "remotes": "".join(f"{name} {url}\n" for name, url in sorted(named.items())),
        "tracking": "".join(
            f"{check_branch(str(one['branch']))} {one['remote']} {check_branch(str(one['merge']))}\n"
            for one in tracking
        ),
    }


def _inside(path: str) -> str:
    """A relative path that stays below where it is joined to."""
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", "..", ".git") for part in parts) or "\0" in path or "\n" in path:
        raise UsageError(f"{path[:80]!r} in the source bundle leads out of it", code="bad_bundle")
    return posixpath.normpath(path)


def _oid(value: Any) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", value) else ""


def _identity(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return re.sub(r"[\x00-\x1f\x7f<>]", "", text).lstrip("-")[:200]


def _add_text(archive: tarfile.TarFile, name: str, value: str) -> None:
    content = os.fsencode(value)
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    archive.addfile(member, io.BytesIO(content))


def plain(member: tarfile.TarInfo) -> Optional[tarfile.TarInfo]:
    """Only files and folders, with nothing of their owner here."""
    if not member.isfile() and not member.isdir():
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member
