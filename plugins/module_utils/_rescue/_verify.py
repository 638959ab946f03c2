# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Whether a rescue folder holds what it says: before that, nobody may count on it.

What is in it was written by whoever was in the environment. Git reads it in a scratch repository without a work tree,
with its checks of every object on, without hooks and filters, and within limits of memory, time and disk.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from typing import Any, Dict, Iterator, List, Mapping, Tuple

from .. import _scratch
from .._errors import FuelError, UsageError
from .._workspace._pack import BUNDLE, DESCRIPTION
from ._collect import FORMAT, MANIFEST, SESSIONS_TAR
from ._stream import Deadline, digest_of

_MOST_PARTS = 1000
_MANIFEST_LIMIT = 16 * 1024 * 1024
#: Old histories have these, and they do no harm.
_HARMLESS = ("badTimezone", "missingSpaceBeforeDate", "zeroPaddedFilemode")
_PART = re.compile(r"(?:(?:beside|nested|submodules)/\d{1,4}/){0,6}(?:repo\.bundle|source\.json)|transcript\.tar")
#: Address space of one git, in KiB: a bundle of some MiB can hold blobs of many GiB.
_MEMORY = 4 * 1024 * 1024


def read_manifest(folder: str) -> Dict[str, Any]:
    """rescue.json, with what decides anything checked; UsageError when the folder is no rescue."""
    path = os.path.join(folder, MANIFEST)
    try:
        with open(path, "rb") as stream:
            found = json.loads(stream.read(_MANIFEST_LIMIT))
        parts = found["parts"]
        named = [(str(part["path"]), int(part["size"]), str(part["sha256"])) for part in parts]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _refused(folder, f"{MANIFEST} cannot be read ({type(error).__name__})") from error
    if found.get("format") != FORMAT:
        raise _refused(folder, f"it has format {str(found.get('format'))[:20]}, and {FORMAT} is known")
    if len(named) > _MOST_PARTS or len({name for name, _size, _digest in named}) != len(named):
        raise _refused(folder, "it has too many parts")
    for name, size, _digest in named:
        if not _PART.fullmatch(name) or size < 0:
            raise _refused(folder, f"{name[:80]!r} is no part of a rescue")
    if not {BUNDLE, DESCRIPTION} <= {name for name, _size, _digest in named}:
        raise _refused(folder, "the workspace's own repository is not in it")
    return dict(found)


def verify(folder: str, deadline: Deadline, *, deep: bool = True) -> Dict[str, Any]:
    """The manifest of a rescue that is whole; FuelError `rescue_invalid` otherwise.

    With `deep` every bundle is unpacked into a scratch repository, all objects are checked, and the refs compared.
    """
    manifest = read_manifest(folder)
    for part in manifest["parts"]:
        name = str(part["path"])
        path = os.path.join(folder, name)
        try:
            found = digest_of(path)
        except OSError as error:
            raise _invalid(f"{name} is not there ({error.strerror})") from error
        if (found.size, found.sha256) != (part["size"], part["sha256"]):
            raise _invalid(f"{name} is not what was saved")
    if deep:
        for inner, description in repositories(folder):
            _restore(os.path.join(folder, inner, BUNDLE), description, deadline)
        _check_sessions(os.path.join(folder, SESSIONS_TAR))
    return manifest


def repositories(folder: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """(folder within the rescue, its source.json) of every repository, the workspace first."""
    pending: List[Tuple[str, int]] = [("", 0)]
    while pending:
        inner, depth = pending.pop(0)
        try:
            with open(os.path.join(folder, inner, DESCRIPTION), "rb") as stream:
                found = json.loads(stream.read(_MANIFEST_LIMIT))
            below = [
                str(one["folder"])
                for key in ("submodules", "nested", "beside")
                for one in found.get(key) or ()
                if one.get("folder")
            ]
            rescue = found["rescue"]
            refs = {str(ref): str(oid) for ref, oid in rescue["refs"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _invalid(f"{inner or '.'}/{DESCRIPTION} cannot be read ({type(error).__name__})") from error
        for name in below:
            if depth > 6 or not re.fullmatch(r"(?:beside|nested|submodules)/\d{1,4}", name):
                raise _invalid(f"{name[:80]!r} leads out of it")
            pending.append((os.path.join(inner, name), depth + 1))
        yield inner, {**found, "rescue": {**rescue, "refs": refs}}


def _restore(bundle: str, description: Mapping[str, Any], deadline: Deadline) -> None:
    """Unpack one bundle into a scratch repository and hold what is there then against what was said to be in it."""
    with _scratch.scratch(_scratch.RESCUE) as scratch:
        kind = "sha256" if description.get("object_format") == "sha256" else "sha1"
        _git(scratch, deadline, "init", "-q", "--bare", "--template=", f"--object-format={kind}")
        shallow = [str(oid) for oid in description.get("shallow") or ()]
        if shallow:
            if not all(re.fullmatch(r"[0-9a-f]{40,64}", oid) for oid in shallow):
                raise _invalid("it names commits that are none")
            with open(os.path.join(scratch, "shallow"), "w", encoding="ascii") as stream:
                stream.writelines(oid + "\n" for oid in shallow)
        _git(scratch, deadline, "bundle", "verify", "-q", os.path.abspath(bundle))
        _git(
            scratch,
            deadline,
            "fetch",
            "-q",
            "--no-write-fetch-head",
            "--no-tags",
            "--no-auto-maintenance",
            "--update-shallow",
            os.path.abspath(bundle),
            "+refs/*:refs/*",
        )
        listed = _git(scratch, deadline, "for-each-ref", "--format=%(objectname) %(refname)")
        found = {ref: oid for oid, _space, ref in (line.partition(" ") for line in os.fsdecode(listed).splitlines())}
        if found != description["rescue"]["refs"]:
            raise _invalid("restored, its refs are not those that were saved")


def _git(scratch: str, deadline: Deadline, *arguments: str) -> bytes:
    options = [
        "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "fetch.fsckObjects=true",
        "-c", "transfer.bundleURI=false", "-c", "protocol.allow=never", "-c", "protocol.file.allow=always",
        "-c", "core.bigFileThreshold=32m", "-c", "pack.threads=1", "-c", "gc.auto=0",
        "-c", "fetch.recurseSubmodules=no",
        "-c", "fetch.unpackLimit=1", "-c", "credential.helper=",
    ]  # fmt: skip
    for name in _HARMLESS:
        options += ["-c", f"fetch.fsck.{name}=ignore"]
    # The limits hold for whatever git itself starts as well.
    argv = ["sh", "-c", f'ulimit -v {_MEMORY}; exec git "$@"', "git", "--git-dir", scratch, *options, *arguments]
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    alone = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "HOME": scratch}
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**kept, **alone, "LC_ALL": "C"},
            timeout=deadline.left(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FuelError("the rescue took longer than it may", code="rescue_timeout") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _invalid(f"git {arguments[0]}: {said[-1][:300] if said else f'exit code {done.returncode}'}")
    return done.stdout


def _check_sessions(path: str) -> None:
    """Plain files under plain names, and nothing else."""
    if not os.path.exists(path):
        return
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                parts = member.name.split("/")
                if not member.isreg() or member.name.startswith("/") or ".." in parts or "" in parts:
                    raise _invalid(f"the transcript holds {member.name[:80]!r}, which is no plain file")
    except (tarfile.TarError, ValueError) as error:
        raise _invalid(f"the transcript cannot be read ({error})") from error


def _invalid(why: str) -> FuelError:
    return FuelError(f"the rescue does not hold: {why[:400]}", code="rescue_invalid")


def _refused(folder: str, why: str) -> UsageError:
    return UsageError(
        f"is no rescue: {why}", where=folder, hint="give a folder that remote_rescue wrote", code="no_rescue"
    )
