# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller's own git against the outside: clone a URL, fetch an environment's branches home."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fuelctl._shared._docker import run_command
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl._shared._workspace._git import Git, Report, silent
from fuelctl._shared._workspace._names import Address, Resolve, parse_url
from fuelctl._shared._workspace._pack import no_such_branch
from fuelctl._shared._workspace._submodules import declared

#: Seconds until a host of repositories has to be heard of: more than git itself gives it once they are connected.
_FIRST_WORD = 150.0
#: Submodules within submodules of a URL are followed this deep.
_SUBMODULE_DEPTH = 4
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Pulled:
    """Branches that came home: `refs/fuel/NAME/<branch>` -> commit; `marked` when the environment knows it."""

    refs: dict[str, str]
    updated: int
    marked: bool


def clone(address: Address, folder: Path, branch: str | None, *, report: Report = silent) -> list[str]:
    """Clone one branch with its work tree into the new `folder`; returns notes on submodules that could not be had.

    Asks for a password on the terminal where there is one, as `git clone` would.
    """
    prompt = sys.stdin.isatty()
    git = Git(prompt=prompt)
    choice = ["--branch", branch] if branch else []
    try:
        git.stream(
            "clone",
            "--progress",
            "--single-branch",
            "--template=",
            *choice,
            "--",
            address.url,
            str(folder),
            report=report,
            # Somebody who is asked for a password may take their time.
            patience=None if prompt else _FIRST_WORD,
        )
        _check_is_one(git, address, folder)
    except FuelError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _clone_error(error, address, branch, git) from error
    return _submodules(folder, address, depth=0, report=report)


def _check_is_one(git: Git, address: Address, folder: Path) -> None:
    """FuelError when what looks like an empty repository is a page: git takes one for a list of no branches."""
    if address.scheme != "https" or git.run("-C", str(folder), "rev-list", "--all", "-n1", check=False).stdout:
        return
    asked = git.run("ls-remote", "--", address.url, check=False, extra={"GIT_TRACE_PACKET": "1"})
    if b"packet:" not in asked.stderr:
        raise FuelError(
            "what answers there is no git repository, but a page: perhaps one to log in at",
            hint="look at it in a browser, and log your own git in: try `git ls-remote URL`",
        )


def _clone_error(error: FuelError, address: Address, branch: str | None, git: Git) -> FuelError:
    if branch and "Remote branch" in error.message and "not found" in error.message:
        listed = git.run("ls-remote", "--heads", "--", address.url, check=False).stdout.decode("utf-8", "replace")
        known = [line.split("refs/heads/", 1)[1] for line in listed.splitlines() if "refs/heads/" in line]
        return no_such_branch(branch, address.shown, known[:2000])
    message = error.message.replace(address.url, address.shown)
    return FuelError(
        f"Cannot clone {address.shown}: {message.removeprefix('git clone failed: ')}",
        hint=error.hint or "your own git must be able to read it: try `git ls-remote URL`",
        code="clone_failed",
    )


def _submodules(
    folder: Path, parent: Address, *, depth: int, report: Report, resolve: Resolve | None = None
) -> list[str]:
    """Check out submodules whose address git may be given, one by one, so that one bad one spoils nothing."""
    git = Git(str(folder))
    head = git.text("rev-parse", "--verify", "--quiet", "HEAD^{commit}", check=False)
    notes: list[str] = []
    if not head:
        return notes
    for name, path, url, _commit in declared(git, head):
        if depth >= _SUBMODULE_DEPTH:
            notes.append(f"submodule {path} is nested too deep and stays behind")
            continue
        try:
            inner = parent if url.startswith(("./", "../")) else parse_url(url, resolve)
            if inner.scheme == "file" and parent.scheme != "file":
                raise UsageError("it points into this machine")
            # The repository's own settings must not decide how its submodules are updated.
            git.run("config", f"submodule.{name}.update", "checkout")
            git.stream("submodule", "update", "--init", "--progress", "--", path, report=report)
        except FuelError as error:
            notes.append(f"submodule {path} stays behind: {error.message}")
            continue
        notes += _submodules(folder / path, inner, depth=depth + 1, report=report, resolve=resolve)
    return notes


def pull(
    host: str,
    workspace: str,
    repository: str,
    name: str,
    *,
    ssh: Sequence[str] = ("ssh",),
    report: Report = silent,
) -> Pulled:
    """Fetch every branch of an environment's workspace into `refs/fuel/NAME/` of the repository, and mark them there.

    :param host: alias that `ssh` (an argument list, with -F where needed) knows, for example `fuel-shop`.
    :param workspace: absolute path of the repository in the environment.
    :param repository: path of the caller's own repository.
    :raises UsageError: no repository at `repository`. FuelError: the environment cannot be reached, or git refuses.
    """
    if not _HOST.fullmatch(host) or not _NAME.fullmatch(name) or not workspace.startswith("/"):
        raise UsageError(f"{name[:60]!r} on {host[:60]!r} is no environment that can be pulled", code="bad_environment")
    home = Git(repository if Path(repository).is_dir() else None)
    if not Path(repository).is_dir() or home.run("rev-parse", "--git-dir", check=False).returncode:
        raise UsageError(
            "is not a git repository",
            where=repository,
            hint="run it in your clone of the repository",
            code="no_repository",
        )
    namespace = f"refs/fuel/{name}/"
    before = _refs(home, namespace)
    git = Git(
        repository, extra={"GIT_SSH_COMMAND": shlex.join(ssh), "GIT_ALLOW_PROTOCOL": "ssh", "GIT_SSH_VARIANT": "ssh"}
    )
    wanted = [f"+refs/heads/*:{namespace}*"]
    # A detached HEAD is work as well; git has no branch for it.
    if _detached(ssh, host, workspace):
        wanted.append(f"+HEAD:{namespace}HEAD")
    git.stream(
        "fetch",
        "--progress",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        "--no-auto-maintenance",
        "--refmap=",
        "--",
        f"ssh://{host}{workspace}",
        *wanted,
        report=report,
    )
    after = _refs(home, namespace)
    marks = "".join(f"update refs/fuel/pulled/{ref[len(namespace) :]}\0{commit}\0\0" for ref, commit in after.items())
    marked = _mark(ssh, host, workspace, marks) if after else True
    return Pulled(after, sum(before.get(ref) != commit for ref, commit in after.items()), marked)


def _refs(git: Git, namespace: str) -> dict[str, str]:
    listing = git.text("for-each-ref", "--format=%(refname) %(objectname)", namespace.rstrip("/"))
    pairs = (line.partition(" ") for line in listing.splitlines())
    return {ref: commit for ref, _space, commit in pairs}


def _remote(ssh: Sequence[str], host: str, words: Sequence[str], stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """Run one command over ssh; its words are quoted for the shell on the other side."""
    argv = [*ssh, "-o", "BatchMode=yes", "--", host, shlex.join(words)]
    try:
        # What answers is not trusted, not even to be brief.
        done = run_command(argv, stdin, 120)
    except FileNotFoundError as error:
        raise FuelError(
            "ssh is not installed", hint="install it: apt-get install openssh-client", code="ssh_missing"
        ) from error
    except FuelError as error:
        if error.code != "timeout":
            raise
        raise FuelError(
            f"{host} did not answer within 120 s", hint="look with: fuelctl status", code="ssh_timeout"
        ) from error
    return done.returncode, done.stdout, done.stderr


def _detached(ssh: Sequence[str], host: str, workspace: str) -> bool:
    code, out, err = _remote(ssh, host, ["git", "-C", workspace, "rev-parse", "--abbrev-ref", "HEAD"])
    if code == 255:
        last = err.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no answer"]
        raise FuelError(f"Cannot reach {host}: {last[0][:200]}", hint="look with: fuelctl status", code="ssh_failed")
    return out.strip() == b"HEAD"


def _mark(ssh: Sequence[str], host: str, workspace: str, marks: str) -> bool:
    code, _out, _err = _remote(ssh, host, ["git", "-C", workspace, "update-ref", "-z", "--stdin"], os.fsencode(marks))
    return code == 0
