# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Submodules in a source bundle: what is checked out goes along as a source bundle of its own, the rest is named."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Dict, List, Tuple

from .._errors import FuelError
from ._git import Git, Report, silent
from ._names import without_credentials
from ._pack import Repository, describe, write_bundle

#: Submodules of submodules of ... : deeper is named as not handled.
_DEPTH = 4
_COUNT = 200


def declared(git: Git, commit: str) -> List[Tuple[str, str, str, str]]:
    """(name, path, url, commit) of every submodule in the tree of `commit`."""
    if git.run("cat-file", "-e", f"{commit}:.gitmodules", check=False).returncode:
        return []
    pattern = r"^submodule\..*\.(path|url)$"
    found = git.run("config", "--blob", f"{commit}:.gitmodules", "-z", "--get-regexp", pattern, check=False)
    fields: Dict[str, Dict[str, str]] = {}
    for entry in found.stdout.split(b"\0"):
        key, dummy, value = os.fsdecode(entry).partition("\n")
        if value:
            fields.setdefault(key[len("submodule.") : key.rindex(".")], {})[key.rsplit(".", 1)[1]] = value
    links: Dict[str, str] = {}
    for entry in git.run("ls-tree", "-r", "-z", "--full-tree", commit).stdout.split(b"\0"):
        if entry.startswith(b"160000 "):
            meta, dummy, path = os.fsdecode(entry).partition("\t")
            links[path] = meta.split()[2]
    return [
        (name, entry["path"], entry.get("url", ""), links[entry["path"]])
        for name, entry in sorted(fields.items())
        if entry.get("path") in links
    ]


def bundle_submodules(
    source: Repository, directory: str, *, clean: bool = False, report: Report = silent, depth: int = 0
) -> List[Dict[str, Any]]:
    """Write `submodules/<n>/` for each and return the entries of source.json.

    Handled: {path, name, url, commit, handled: true, folder}. Not: {path, name, url, commit, handled: false, reason}.
    """
    entries: List[Dict[str, Any]] = []
    for number, (name, path, url, commit) in enumerate(declared(source.git(), source.commit)):
        entry: Dict[str, Any] = {
            "path": path,
            "name": name,
            "url": without_credentials(url) or _relative(url),
            "commit": commit,
        }
        entries.append(entry)
        try:
            if depth >= _DEPTH or number >= _COUNT:
                raise FuelError("more or deeper submodules than are taken along")
            inner = _inner(source, path, commit, clean)
            folder = os.path.join("submodules", str(number))
            os.makedirs(os.path.join(directory, folder))
            written = write_bundle(
                inner, os.path.join(directory, folder), clean=clean or not inner.is_head, report=report
            )
        except FuelError as error:
            entry.update(handled=False, reason=error.message)
        else:
            entry.update(handled=True, folder=folder, commit=written.repository.commit, url=inner.url or entry["url"])
    return entries


def _inner(source: Repository, path: str, commit: str, clean: bool) -> Repository:
    """The checked-out submodule: at its own HEAD when the tree as it stands is sent, else at the recorded commit."""
    if not source.worktree:
        raise FuelError("a bare repository has no submodule checked out")
    place = os.path.join(source.worktree, path)
    inside = os.path.realpath(place).startswith(os.path.realpath(source.worktree) + os.sep)
    if not inside or not os.path.exists(os.path.join(place, ".git")):
        raise FuelError("it is not checked out here")
    inner = describe(place, name=os.path.basename(path))
    if inner.commit == commit or (source.is_head and not clean):
        return inner
    if inner.git().run("cat-file", "-e", commit + "^{commit}", check=False).returncode:
        raise FuelError("its recorded commit is not here")
    return replace(inner, commit=commit, branch=None, is_head=False)


def _relative(url: str) -> str:
    """A relative submodule URL is kept as it is; what is neither that nor fit for others is left out."""
    return url if url.startswith(("./", "../")) and not any(c in url for c in "\n\r\0") else ""
