# SPDX-License-Identifier: GPL-3.0-or-later
"""Rescues in words, and brought here: fetched, verified on this machine, and only then given to git."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fuelctl import paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.cli._output import clean
from fuelctl.client import Client

_LONGEST = 1800.0


def size_words(size: int) -> str:
    """A size as a person reads it."""
    for unit, step in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size} bytes"


def content_words(counts: dict[str, Any] | None) -> str:
    """What is in it: `2 branches, 1 stash, 4 files`."""
    return ", ".join(f"{count} {clean(kind)}" for kind, count in (counts or {}).items() if count) or "nothing"


def missing_lines(left_out: dict[str, Any] | None) -> list[str]:
    """What of the work did not go along, a line each."""
    files = [one for one in (left_out or {}).get("files") or [] if one.get("reason") not in ("ignored", "too old")]
    return [
        f"  not in it: {clean(one['path'])} ({size_words(int(one['size']))}, {clean(one['reason'])})"
        for one in files[:20]
    ]


def lines_of(environment: dict[str, Any]) -> list[str]:
    """Where an environment's work is, or why it is not saved; nothing when there was nothing to say."""
    told = environment.get("rescued") or {}
    if told.get("state") == "saved":
        whole = "" if told.get("complete") else " (not all of it)"
        return [
            f"Its work is saved{whole}: {content_words(told.get('counts'))}. "
            f"Take it up again: fuelctl up --from-rescue {told['id']}",
            *missing_lines(told.get("left_out")),
        ]
    if told.get("state") == "failed":
        return [f"Its work could not be saved: {clean(told.get('reason') or '')}"]
    return []


@contextmanager
def fetched(client: Client, found: dict[str, Any]) -> Iterator[Path]:
    """The rescue's folder, here and verified, for as long as the block lasts."""
    from fuelctl._shared._rescue._folder import unpack
    from fuelctl._shared._rescue._stream import Deadline
    from fuelctl._shared._rescue._verify import verify
    from fuelctl._shared._scratch import scratch

    with scratch("rescue-", str(paths.private_folder(paths.cache_folder() / "uploads"))) as place:
        packed, folder = Path(place, "rescue.tar"), Path(place, "rescue")
        folder.mkdir()
        with packed.open("xb") as stream:
            client.rescue_content(found["id"], stream)
        with packed.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != found["sha256"]:
                raise FuelError("The rescue did not arrive whole", hint="fetch it again", code="rescue_invalid")
            stream.seek(0)
            unpack(stream, str(folder), int(found["size"]))
        packed.unlink()
        verify(str(folder), Deadline(_LONGEST))
        yield folder


def into_repository(folder: Path, repository: Path, name: str) -> list[str]:
    """Bring it into the repository here as refs/fuel/NAME and refs/fuel/NAME.rescue; those refs."""
    from fuelctl._shared._workspace._git import Git

    git = Git(str(repository), extra={"GIT_ALLOW_PROTOCOL": "file"})
    if git.run("rev-parse", "--git-dir", check=False).returncode:
        raise UsageError(
            f"{repository} is no git repository", hint="go into one, or give --into DIR", where="rescue get"
        )
    git.run(
        "-c", "fetch.fsckObjects=true", "-c", "gc.auto=0",
        "fetch", "-q", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no",
        str(folder / "repo.bundle"),
        f"+refs/heads/*:refs/fuel/{name}/*", f"+refs/fuel/rescue/*:refs/fuel/{name}.rescue/*",
    )  # fmt: skip
    return git.text("for-each-ref", "--format=%(refname)", f"refs/fuel/{name}", f"refs/fuel/{name}.rescue").splitlines()
