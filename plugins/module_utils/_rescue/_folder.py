# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""A rescue folder as one tar file and back, parts only; and put in its place whole or not at all."""

from __future__ import annotations

import os
import shutil
import tarfile
from typing import IO, List, Set

from .._errors import FuelError
from .._workspace._place import plain
from ._collect import MANIFEST
from ._verify import _PART, read_manifest

_BLOCK = 1 << 20


def members(folder: str) -> List[str]:
    """The files of a rescue, its manifest first."""
    return [MANIFEST, *(str(part["path"]) for part in read_manifest(folder)["parts"])]


def pack(folder: str, stream: IO[bytes]) -> None:
    """Write the rescue as one tar; the same bytes for the same content."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name in members(folder):
            member = plain(archive.gettarinfo(os.path.join(folder, name), name))
            if member is None:
                raise FuelError(f"{name} is no plain file", where=folder, code="rescue_invalid")
            member.mtime, member.mode = 0, 0o600
            with open(os.path.join(folder, name), "rb") as content:
                archive.addfile(member, content)


def unpack(stream: IO[bytes], folder: str, most: int) -> None:
    """Read such a tar into the empty `folder`: parts of a rescue only, and no more than `most` bytes."""
    left = most
    seen: Set[str] = set()
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = member.name
                if not member.isreg() or name in seen or not (name == MANIFEST or _PART.fullmatch(name)):
                    raise FuelError(f"{name[:80]!r} is no part of a rescue", code="rescue_invalid")
                seen.add(name)
                left -= member.size
                if left < 0 or len(seen) > 1001:
                    raise FuelError(
                        f"it is larger than the {most} bytes that a rescue may have", code="rescue_too_large"
                    )
                target = os.path.join(folder, name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                content = archive.extractfile(member)
                with open(target, "xb") as file:
                    if content is not None:
                        shutil.copyfileobj(content, file, _BLOCK)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise FuelError(f"the rescue did not arrive whole ({error})", code="rescue_invalid") from error


def settle(draft: str, target: str) -> None:
    """Put a verified folder in its place; what was there of an earlier try goes."""
    old = target + ".old"
    shutil.rmtree(old, ignore_errors=True)
    if os.path.lexists(target):
        os.rename(target, old)
    os.rename(draft, target)
    shutil.rmtree(old, ignore_errors=True)
