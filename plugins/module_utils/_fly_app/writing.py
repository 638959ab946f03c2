# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Generated files against what is there: which are new, which changed, which somebody edited; and writing them."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tempfile
from typing import Any, Dict, List, NamedTuple, Optional

from .._errors import FuelError

#: A file says by its first line that it was made here, and by the digest whether it was edited since.
_MARK = re.compile(r"\A# Made by fuelctl fly init \(([0-9a-f]{12})\)[^\n]*\n")
_MOST = 1024 * 1024


class File(NamedTuple):
    """One file: what it would be, what it is, and `new`, `same`, `changed` or `edited` (by hand, or not ours)."""

    path: str
    state: str
    before: Optional[str]
    after: str

    def diff(self) -> str:
        """Unified diff of what writing it would change."""
        old = (self.before or "").splitlines()
        new = self.after.splitlines()
        return "\n".join(difflib.unified_diff(old, new, self.path, f"{self.path} (new)", lineterm="", n=2))

    def as_dict(self) -> Dict[str, Any]:
        """Path, state and diff as plain data."""
        return {"path": self.path, "state": self.state, "diff": self.diff()}


def marked(text: str) -> str:
    """`text` with the line by which it is known again."""
    line = f"# Made by fuelctl fly init ({_digest(text)}). Edit it freely: it is then only replaced when you say so."
    return f"{line}\n{text}"


def ours(text: str) -> bool:
    """Whether a file was made here, edited since or not."""
    return bool(_MARK.match(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def compare(root: str, texts: Dict[str, str]) -> List[File]:
    """Each file of `texts` (path -> content) against what stands in `root`."""
    return [_compared(root, path, marked(text)) for path, text in texts.items()]


def _compared(root: str, path: str, after: str) -> File:
    before = _read(os.path.join(root, path))
    if before is None:
        return File(path, "new", None, after)
    if before == after:
        return File(path, "same", before, after)
    match = _MARK.match(before)
    unedited = match is not None and _digest(before[match.end() :]) == match.group(1)
    return File(path, "changed" if unedited else "edited", before, after)


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(_MOST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FuelError(
            f"it cannot be read: {error.strerror}", where=path, hint="check what it is, and its rights"
        ) from None


def write(root: str, file: File) -> None:
    """Put one file there, whole or not at all; never through a link."""
    target = os.path.join(root, file.path)
    place = root
    for part in file.path.split("/"):
        place = os.path.join(place, part)
        if os.path.islink(place):
            raise FuelError(
                "it is a symbolic link, which is not written through", where=place, hint="replace it by a real file"
            )
    temporary = ""
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        mode = os.stat(target).st_mode & 0o777 if os.path.exists(target) else 0o644
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".fly-init.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(file.after)
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise FuelError(
            f"it cannot be written: {error.strerror}", where=target, hint="check the folder's rights and its space"
        ) from None
