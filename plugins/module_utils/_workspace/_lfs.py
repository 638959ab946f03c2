# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Git LFS in a source bundle: the objects that are here go along; what is only a pointer here is named."""

from __future__ import annotations

import os
import re
import shutil
from typing import Any, Dict, List

from ._pack import Repository

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
#: A pointer is at most 1024 bytes by its specification.
_POINTER_SIZE = 1024
_COUNT = 50000


def collect_lfs(source: Repository, directory: str) -> List[Dict[str, Any]]:
    """Copy the objects of the launch commit to `lfs/aa/bb/<oid>`; entries {path, oid, size, handled, reason}."""
    git = source.git()
    uses = git.run("grep", "-q", "-e", "filter=lfs", source.commit, "--", ":(glob)**/.gitattributes", check=False)
    if uses.returncode:
        return []
    listing = git.run("ls-tree", "-r", "-z", "-l", "--full-tree", source.commit).stdout
    small = []
    for listed in listing.split(b"\0"):
        meta, dummy, path = listed.partition(b"\t")
        parts = meta.split()
        if len(parts) == 4 and parts[1] == b"blob" and parts[0] != b"120000" and int(parts[3]) <= _POINTER_SIZE:
            small.append((parts[2], path))
    blobs = git.run("cat-file", "--batch", stdin=b"".join(oid + b"\n" for oid, dummy in small)).stdout
    objects = os.path.join(git.text("rev-parse", "--path-format=absolute", "--git-common-dir"), "lfs", "objects")
    entries: List[Dict[str, Any]] = []
    position = 0
    for _oid, path in small:
        end = blobs.index(b"\n", position)
        size = int(blobs[position:end].split()[2])
        pointer = _POINTER.match(blobs[end + 1 : end + 1 + size])
        position = end + 1 + size + 1
        if not pointer or len(entries) >= _COUNT:
            continue
        oid = pointer.group(1).decode("ascii")
        entry: Dict[str, Any] = {"path": os.fsdecode(path), "oid": oid, "size": int(pointer.group(2)), "handled": True}
        place = os.path.join(oid[:2], oid[2:4], oid)
        if not _copy(os.path.join(objects, place), os.path.join(directory, "lfs", place), entry["size"]):
            entry.update(handled=False, reason="its content is not here: run `git lfs pull` first")
        entries.append(entry)
    return entries


def _copy(origin: str, target: str, size: int) -> bool:
    try:
        if os.path.getsize(origin) != size:
            return False
    except OSError:
        return False
    if not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            os.link(origin, target)
        except OSError:
            shutil.copyfile(origin, target)
    return True
