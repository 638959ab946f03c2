# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository that an environment is made from: looked at where it is, then packed into one file for the way.

Local repositories are never changed. URLs are fetched with the caller's own git, so no credential leaves this machine.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from fuelctl import paths
from fuelctl._shared import _scratch
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl._shared._workspace import _pack
from fuelctl._shared._workspace._git import Git, Report, silent
from fuelctl._shared._workspace._names import (
    Resolve,
    check_branch,
    check_text,
    looks_like_url,
    parse_url,
    repository_name,
)
from fuelctl._shared._workspace._submodules import declared

__all__ = ["Packed", "Repository", "begin_at", "inspect", "pack", "sweep"]

_PREFIXES = _PACK, _TREE, _CLONE = "pack-", "tree-", "clone-"


@dataclass
class Repository:
    """What is going to be launched."""

    name: str
    #: Where others can fetch it from, without credentials; None when only this machine knows it.
    url: str | None
    commit: str
    #: None for a detached HEAD.
    branch: str | None
    #: Where work begins in the tree of the launch, for the blueprint: the caller's own folder, or a temporary one.
    folder: Path
    #: Paths that differ from the commit and go along, untracked ones included.
    changed: list[str]
    #: What a person should know before going on, one line each: what does not go along, and why.
    notes: list[str]
    clean: bool
    described: _pack.Repository = field(repr=False)


@dataclass(frozen=True)
class Packed:
    """The source bundle in one tar file."""

    path: Path
    sha256: str
    #: Bytes.
    size: int


def inspect(
    location: str | os.PathLike[str],
    *,
    branch: str | None = None,
    clean: bool = False,
    report: Report = silent,
    resolve: Resolve | None = None,
) -> Repository:
    """Look at a path or URL; a URL is cloned into the cache folder first. Nothing of the caller's is changed.

    :param branch: launch this branch instead of what is checked out; uncommitted work then stays behind.
    :param clean: leave uncommitted work behind.
    :raises UsageError: no such repository or branch, no commit yet, or an address that git must not be given.
    """
    text = check_text(os.fspath(location))
    if branch is not None:
        check_branch(branch)
    if looks_like_url(text):
        return _inspect_url(text, branch, report, resolve)
    path = str(Path(text).expanduser())
    described = _pack.describe(path, branch)
    changed = [] if clean else _pack.changed_files(described)
    notes = _notes(described, path, changed, clean)
    top = Path(described.worktree) if described.worktree and described.is_head else _export(described)
    folder = top / described.folder
    return Repository(
        name=repository_name(described.folder) if described.folder else described.name,
        url=described.url,
        commit=described.commit,
        branch=described.branch,
        folder=folder,
        changed=changed,
        notes=notes,
        clean=clean,
        described=described,
    )


def begin_at(repository: Repository, marker: str) -> Repository:
    """The repository with work beginning in the nearest folder, from its own upwards to its top, that holds `marker`.

    As it is where none does. A note says when that is another folder.
    """
    described = repository.described
    parts = described.folder.split("/") if described.folder else []
    top = Path(*repository.folder.parts[: len(repository.folder.parts) - len(parts)])
    for depth in range(len(parts), -1, -1):
        folder = top.joinpath(*parts[:depth])
        # A link that leads nowhere is a mistake to be told of, not a reason to look further.
        if (folder / marker).is_symlink() or (folder / marker).exists():
            break
    else:
        return repository
    if depth == len(parts):
        return repository
    above = "/".join(parts[:depth])
    note = (
        f"{described.folder} has no {marker}: that of {above or 'the whole repository'} counts, "
        f"and set-up and logins begin {'in that folder' if above else 'at its top'}"
    )
    return replace(
        repository,
        name=repository_name(above) if above else described.name,
        folder=folder,
        notes=[note, *(one for one in repository.notes if one != _folder_note(described))],
        described=replace(described, folder=above),
    )


def pack(repository: Repository, target: str | os.PathLike[str], *, report: Report = silent) -> Packed:
    """Write the source bundle as one tar to `target`, whole or not at all.

    `report` hears of git's phases in per cent and of `Packing` in bytes.
    """
    path = Path(target)
    temporary = path.with_name(path.name + ".part")
    with _brief_scratch(_PACK) as folder:
        _pack.write_bundle(repository.described, str(folder), clean=repository.clean, report=report)
        _tell_platforms(folder / _pack.DESCRIPTION, repository.folder)
        try:
            with temporary.open("wb") as stream:
                writer = _Hashing(stream, _size(folder), report)
                _write_tar(folder, writer)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError as error:
            raise paths.storage_error(error, path) from error
        finally:
            temporary.unlink(missing_ok=True)
    return Packed(path, writer.digest.hexdigest(), writer.written)


def _tell_platforms(description: Path, folder: Path) -> None:
    """Add to source.json what the repository is deployed to: whoever unpacks it has no files to look at yet."""
    from fuelctl._shared._blueprint.platforms import platforms

    found = [{"name": each["name"], "confidence": each["confidence"]} for each in platforms(str(folder))]
    known = json.loads(description.read_text(encoding="utf-8"))
    description.write_text(json.dumps({**known, "platforms": found}), encoding="utf-8")


class _Hashing(io.RawIOBase):
    """Passes bytes on to a file, counted and hashed on the way."""

    def __init__(self, stream: IO[bytes], total: int, report: Report) -> None:
        self._stream = stream
        self._total = total
        self._report = report
        self._told = 0
        self.digest = hashlib.sha256()
        self.written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile writes bytes only
        self._stream.write(data)
        self.digest.update(data)
        self.written += len(data)
        if self.written - self._told > 1 << 22:
            self._told = self.written
            self._report("Packing", min(self.written, self._total), self._total)
        return len(data)


def _write_tar(folder: Path, writer: _Hashing) -> None:
    """The same bytes for the same content: sorted, without times and owners."""
    with tarfile.open(fileobj=writer, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                member = tarfile.TarInfo(path.relative_to(folder).as_posix())
                member.size, member.mode = path.stat().st_size, 0o644
                with path.open("rb") as stream:
                    archive.addfile(member, stream)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _inspect_url(text: str, branch: str | None, report: Report, resolve: Resolve | None) -> Repository:
    from fuelctl.git import clone

    address = parse_url(text, resolve)
    folder = _kept_scratch(_CLONE) / repository_name(address.shown or address.url)
    notes = clone(address, folder, branch, report=report)
    try:
        described = _pack.describe(str(folder), name=folder.name)
    except UsageError as error:
        if error.code == "repository_empty":
            raise UsageError(
                "the repository is empty: it has no commit yet",
                where=address.shown or text,
                hint="push something first",
                code="repository_empty",
            ) from error
        raise
    return Repository(
        name=described.name,
        url=described.url,
        commit=described.commit,
        branch=described.branch,
        folder=folder,
        changed=[],
        notes=notes,
        # Line ends and filters can make a fresh clone look changed.
        clean=True,
        described=described,
    )


def _notes(described: _pack.Repository, path: str, changed: list[str], clean: bool) -> list[str]:
    notes = []
    if described.folder:
        notes.append(_folder_note(described))
    if described.worktree and not described.is_head and not clean and _pack.changed_files(_at_head(path)):
        notes.append(f"uncommitted work stays behind: it does not belong to branch {described.branch}")
    if len(changed) > 1000:
        notes.append(f"{len(changed)} files are not committed: does .gitignore lack something?")
    for _name, inner, _url, _commit in declared(described.git(), described.commit):
        if not described.worktree or not (Path(described.worktree) / inner / ".git").exists():
            notes.append(f"submodule {inner} stays behind: it is not checked out here")
    return notes


def _folder_note(described: _pack.Repository) -> str:
    return (
        f"{described.folder} is a folder of {described.worktree}: the whole repository goes along, "
        "and set-up and logins begin in that folder"
    )


def _at_head(path: str) -> _pack.Repository:
    return _pack.describe(path)


def _export(described: _pack.Repository) -> Path:
    """The tree of the launch commit in a temporary folder."""
    kept = _kept_scratch(_TREE)
    folder = paths.private_folder(kept / "tree")
    private = {"GIT_INDEX_FILE": str(kept / "index")}
    git = Git(None, options=["--git-dir", described.git_dir, "--work-tree", str(folder)], extra=private)
    git.run("read-tree", described.commit)
    git.run("checkout-index", "--all", "--force", "--quiet")
    return folder


def sweep() -> int:
    """Remove the clones, exports and half-made packages of processes that were killed; how many those were."""
    return _scratch.sweep(str(_parent()), _PREFIXES)


def _kept_scratch(prefix: str) -> Path:
    """A temporary folder that lives as long as this process; what killed ones left is removed by the way."""
    sweep()
    folder, _lock = _scratch.hold(prefix, str(_parent()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _parent() -> Path:
    return paths.private_folder(paths.cache_folder() / "sources")


@contextmanager
def _brief_scratch(prefix: str) -> Iterator[Path]:
    try:
        with _scratch.scratch(prefix, str(_parent())) as name:
            yield Path(name)
    except FuelError:
        raise
    except OSError as error:
        raise paths.storage_error(error, paths.cache_folder()) from error
