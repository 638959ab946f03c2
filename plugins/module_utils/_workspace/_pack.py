# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Read what a repository is (`describe`) and write it down as a source bundle folder (`write_bundle`).

Nothing in the repository is changed: refs and packs are made in a private git directory that borrows its objects, the
tree is recorded through a private index, and new objects go to a private store.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from .. import _scratch
from .._errors import FuelError, UsageError
from ._git import Git, Report, silent
from ._names import check_branch, repository_name, without_credentials

#: Names of the files in a source bundle folder.
DESCRIPTION, BUNDLE, PATCH = "source.json", "repo.bundle", "dirty.patch"


@dataclass(frozen=True)
class Repository:
    """A repository on this machine at the commit that is to be launched."""

    git_dir: str
    #: None for a bare one.
    worktree: Optional[str]
    name: str
    #: Where it can be fetched from by others, without credentials; None when only this machine knows it.
    url: Optional[str]
    commit: str
    #: None for a detached HEAD.
    branch: Optional[str]
    #: Whether HEAD is what is launched, so that the work tree belongs to it.
    is_head: bool
    #: user.name and user.email of whoever works here.
    identity: Optional[Tuple[str, str]]
    #: The newest launched commit that the branch's remote is known to have.
    upstream: Optional[str] = None
    shallow: Tuple[str, ...] = ()
    object_format: str = "sha1"
    #: Where in the repository work is to begin: a path with `/` between its parts, empty for its top.
    folder: str = ""

    def git(self, **options: Any) -> Git:
        """A git that works in this repository."""
        return Git(self.worktree or self.git_dir, **options)


@dataclass
class Written:
    """What `write_bundle` wrote; `as_json` is the content of source.json."""

    repository: Repository
    bundle: Optional[str]
    patch: Optional[str]
    submodules: List[Dict[str, Any]] = field(default_factory=list)
    lfs: List[Dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> Dict[str, Any]:
        source = self.repository
        identity = source.identity
        return {
            "name": source.name,
            "url": source.url,
            "commit": source.commit,
            "branch": source.branch,
            "dirty": self.patch is not None,
            "bundle": self.bundle,
            "patch": self.patch,
            "upstream": source.upstream,
            "shallow": list(source.shallow),
            "object_format": source.object_format,
            "folder": source.folder,
            "identity": {"name": identity[0], "email": identity[1]} if identity else None,
            "submodules": self.submodules,
            "lfs": self.lfs,
        }


def describe(path: str, branch: Optional[str] = None, name: Optional[str] = None) -> Repository:
    """What would be launched from `path`; UsageError when it is no repository, is empty or lacks the branch."""
    if branch is not None:
        check_branch(branch)
    git_dir, worktree = _locate(path)
    git = Git(worktree or git_dir)
    current = git.text("symbolic-ref", "--quiet", "--short", "HEAD", check=False) or None
    head = git.text("rev-parse", "--verify", "--quiet", "--end-of-options", "HEAD^{commit}", check=False)
    if branch is None:
        if not head:
            raise UsageError(
                "the repository is empty: it has no commit yet",
                where=path,
                hint="commit something first, for example: git add . && git commit",
                code="repository_empty",
            )
        commit, chosen = head, current
    else:
        commit, chosen = _resolve_branch(git, path, branch), branch
    remote = _remote(git, chosen)
    folder = Git(path).text("rev-parse", "--show-prefix").rstrip("/") if worktree else ""
    if folder and branch is not None:
        _check_folder(git, path, commit, folder, branch)
    shallow_file = git.text("rev-parse", "--git-path", "shallow")
    return Repository(
        git_dir=git_dir,
        worktree=worktree,
        name=name or repository_name(worktree or re.sub(r"/\.git$", "", git_dir)),
        url=_url(git, remote),
        commit=commit,
        branch=chosen,
        is_head=branch is None or branch == current,
        identity=_identity(git),
        upstream=_upstream(git, remote, chosen, commit),
        shallow=_lines(os.path.join(worktree or git_dir, shallow_file)),
        object_format=git.text("rev-parse", "--show-object-format"),
        folder=folder,
    )


def _check_folder(git: Git, path: str, commit: str, folder: str, branch: str) -> None:
    if git.text("cat-file", "-t", f"{commit}:{folder}", check=False) != "tree":
        raise UsageError(
            f"branch {branch!r} has no folder {folder}",
            where=path,
            hint="give another branch, or the repository's own folder",
            code="no_such_folder",
        )


def changed_files(source: Repository) -> List[str]:
    """Paths that differ from the launch commit, untracked ones included; nothing for a bare repository."""
    if not source.worktree or not source.is_head:
        return []
    git = source.git()
    done = git.run("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=all")
    return [os.fsdecode(entry[3:]) for entry in done.stdout.split(b"\0") if len(entry) > 3]


def write_bundle(source: Repository, directory: str, *, clean: bool = False, report: Report = silent) -> Written:
    """Write repo.bundle, dirty.patch (unless `clean`) and source.json into the existing folder `directory`."""
    from ._lfs import collect_lfs
    from ._submodules import bundle_submodules

    write_refs_bundle(source, os.path.join(directory, BUNDLE), report)
    patch = None
    strangers: List[str] = []
    if not clean and source.worktree and source.is_head:
        dirty, strangers = write_patch(source, os.path.join(directory, PATCH))
        patch = PATCH if dirty else None
    written = Written(source, BUNDLE, patch)
    written.submodules = bundle_submodules(source, directory, clean=clean, report=report)
    written.submodules += [
        {"path": path, "handled": False, "reason": "a repository of its own that is no submodule"} for path in strangers
    ]
    written.lfs = collect_lfs(source, directory)
    temporary = os.path.join(directory, DESCRIPTION + ".new")
    with open(temporary, "w", encoding="utf-8") as stream:
        json.dump(written.as_json(), stream, indent=1, sort_keys=True)
    os.replace(temporary, os.path.join(directory, DESCRIPTION))
    return written


def write_refs_bundle(source: Repository, path: str, report: Report = silent) -> None:
    """Bundle the launch commit, its branch and the tags that it contains.

    The bundle is made in a private git directory, so it holds the commit that was decided on, whatever moves meanwhile.
    """
    git = source.git()
    objects = git.text("rev-parse", "--path-format=absolute", "--git-path", "objects")
    tags = git.run("for-each-ref", f"--merged={source.commit}", "--format=%(objectname) %(refname)", "refs/tags")
    with _scratch.scratch(_scratch.BUNDLE) as scratch:
        private = Git(None, options=["--git-dir", scratch])
        private.run("init", "-q", "--bare", "--template=", f"--object-format={source.object_format}")
        with open(os.path.join(scratch, "objects", "info", "alternates"), "w", encoding="utf-8") as stream:
            stream.write(_quoted_path(objects) + "\n")
        if source.shallow:
            with open(os.path.join(scratch, "shallow"), "w", encoding="ascii") as stream:
                stream.writelines(line + "\n" for line in source.shallow)
        _borrow_promisor(git, private)
        head = f"refs/heads/{source.branch}" if source.branch else "refs/fuel/launch"
        wanted = [f"{source.commit} {head}", *os.fsdecode(tags.stdout).splitlines()]
        updates = "".join(f"update {ref}\0{oid}\0\0" for oid, ref in (line.split(" ", 1) for line in wanted))
        private.run("update-ref", "-z", "--stdin", stdin=os.fsencode(updates))
        refs = "".join(line.split(" ", 1)[1] + "\n" for line in wanted)
        private.stream(
            "bundle", "create", "--progress", os.path.abspath(path), "--stdin", stdin=os.fsencode(refs), report=report
        )


def write_patch(source: Repository, path: str) -> Tuple[bool, List[str]]:
    """Write the patch from the launch commit to the work tree; also returns nested repositories it cannot carry."""
    git = source.git()
    index = git.text("rev-parse", "--path-format=absolute", "--git-path", "index")
    objects = git.text("rev-parse", "--path-format=absolute", "--git-path", "objects")
    with _scratch.scratch(_scratch.INDEX) as scratch:
        private = {
            "GIT_INDEX_FILE": os.path.join(scratch, "index"),
            "GIT_OBJECT_DIRECTORY": os.path.join(scratch, "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted_path(objects),
        }
        os.mkdir(private["GIT_OBJECT_DIRECTORY"])
        try:
            # The user's own index saves reading every file again.
            # Its time goes along: git reads a file again that is not older than the index.
            shutil.copy2(index, private["GIT_INDEX_FILE"])
        except FileNotFoundError:
            git.run("read-tree", source.commit, extra=private)
        git.run("-c", "advice.addEmbeddedRepo=false", "add", "--all", "--", ":/", extra=private)
        raw = git.run("diff-index", "--cached", "--raw", "-z", "--no-renames", source.commit, extra=private).stdout
        fields = raw.split(b"\0")
        strangers = [
            os.fsdecode(name)
            for meta, name in zip(fields[::2], fields[1::2])
            if re.match(rb":(?!160000)\d+ 160000 ", meta)
        ]
        with open(path, "wb") as stream:
            git.stream(
                "diff-index",
                "--cached",
                "--patch",
                "--binary",
                "--full-index",
                "--no-renames",
                "--no-ext-diff",
                "--no-textconv",
                "--no-color",
                "--ignore-submodules=all",
                "--src-prefix=a/",
                "--dst-prefix=b/",
                source.commit,
                stdout=stream,
                extra=private,
            )
            size = stream.tell()
    if not size:
        os.unlink(path)
    return size > 0, strangers


def _locate(path: str) -> Tuple[str, Optional[str]]:
    """(absolute git directory, work tree or None) of the repository that `path` lies in."""
    if not os.path.isdir(path):
        kind = "is a file, not a repository folder" if os.path.exists(path) else "does not exist"
        raise UsageError(
            f"{kind}", where=path, hint="give the folder of a git repository, or its URL", code="no_repository"
        )
    git = Git(path)
    found = git.run("rev-parse", "--absolute-git-dir", "--is-bare-repository", check=False)
    if found.returncode:
        if b"not a git repository" in found.stderr:
            raise UsageError(
                "is not a git repository",
                where=path,
                hint="run `git init` and commit, or give another path",
                code="no_repository",
            )
        from ._git import failure

        raise failure("rev-parse", found.returncode, found.stderr)
    git_dir, bare = os.fsdecode(found.stdout).rstrip("\n").rsplit("\n", 1)
    if bare == "true":
        return git_dir, None
    worktree = git.text("rev-parse", "--show-toplevel", check=False)
    if not worktree:
        raise UsageError("lies inside a .git folder", where=path, hint="give the work tree", code="no_repository")
    return git_dir, worktree


def _resolve_branch(git: Git, path: str, branch: str) -> str:
    for ref in (f"refs/heads/{branch}", f"refs/remotes/origin/{branch}"):
        commit = git.text("rev-parse", "--verify", "--quiet", "--end-of-options", ref + "^{commit}", check=False)
        if commit:
            return commit
    known = git.text("for-each-ref", "--count=500", "--format=%(refname:short)", "refs/heads").splitlines()
    raise no_such_branch(branch, path, known)


def no_such_branch(branch: str, where: str, known: List[str]) -> UsageError:
    """The error for a branch that is not there, with the nearest ones that are."""
    near = difflib.get_close_matches(branch, known, n=3) or known[:3]
    hint = f"there is: {', '.join(near)}" if near else "it has no branches"
    return UsageError(f"branch {branch!r} does not exist", where=where, hint=hint, code="no_such_branch")


def _remote(git: Git, branch: Optional[str]) -> Optional[str]:
    """The branch's remote, else origin, else the first."""
    remotes = git.text("remote").splitlines()
    preferred = git.text("config", "--get", f"branch.{branch}.remote", check=False) if branch and remotes else ""
    return next((name for name in (preferred, "origin", *remotes) if name in remotes), None)


def _url(git: Git, remote: Optional[str]) -> Optional[str]:
    """The remote's URL without credentials; None for a path that nobody else could reach."""
    url = git.text("remote", "get-url", "--", remote, check=False).splitlines() if remote else []
    return without_credentials(url[0]) if url else None


def _upstream(git: Git, remote: Optional[str], branch: Optional[str], commit: str) -> Optional[str]:
    if not remote or not branch:
        return None
    tracking = f"refs/remotes/{remote}/{branch}"
    if not git.text("rev-parse", "--verify", "--quiet", "--end-of-options", tracking + "^{commit}", check=False):
        return None
    return git.text("merge-base", commit, tracking, check=False) or None


def _identity(git: Git) -> Optional[Tuple[str, str]]:
    name = git.text("config", "--get", "user.name", check=False)
    email = git.text("config", "--get", "user.email", check=False)
    if not name or not email or "\n" in name + email:
        return None
    return name[:200], email[:200]


def _borrow_promisor(git: Git, private: Git) -> None:
    """A partial clone fetches what it lacks: let the private directory do so from the same place."""
    remote = git.text("config", "--get", "extensions.partialClone", check=False)
    if not remote:
        remotes = git.text("config", "--get-regexp", r"^remote\..*\.promisor$", check=False).splitlines()
        remote = remotes[0].split(" ")[0][len("remote.") : -len(".promisor")] if remotes else ""
    if not remote:
        return
    url = git.text("config", "--get", f"remote.{remote}.url", check=False)
    for key, value in (
        ("core.repositoryformatversion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.url", url),
        ("remote.origin.promisor", "true"),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
    ):
        private.run("config", key, value)


def _quoted_path(path: str) -> str:
    """A path for alternates, in git's C style when it holds what would end or start a quote there."""
    if not re.search(r'["\\:\n#]', path):
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _lines(path: str) -> Tuple[str, ...]:
    try:
        with open(path, encoding="ascii") as stream:
            return tuple(line.strip() for line in stream if line.strip())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise FuelError(f"cannot read it: {error.strerror}", where=path) from error
