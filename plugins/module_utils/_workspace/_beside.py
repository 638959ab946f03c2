# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What of a rescue lies outside the workspace: other repositories beside it, and the sessions of the agent.

Put there before the workspace itself, whose being there says that all is done. A repeat finds them, or does it again.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from typing import IO, Any, Mapping

from .._errors import FuelError
from .._inside import Inside, last_lines
from ._place import place, read_description

#: What is there already stays.
_SESSIONS = r"""
set -e
umask 077
home=$(getent passwd "$(id -u)" | cut -d: -f6)
mkdir -p "$home/.claude/projects"
exec tar --extract --file=- --directory="$home/.claude/projects" --skip-old-files --no-same-owner --no-same-permissions
"""


def put_beside(container: Inside, path: str, folder: str, source: Mapping[str, Any]) -> None:
    """Place the repositories beside `path` and the transcript that the rescue in `folder` has."""
    for one in source.get("beside") or ():
        name, inner = str(one.get("name")), str(one.get("folder"))
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) or not re.fullmatch(r"beside/[0-9]{1,4}", inner):
            # A name that this product did not give: its content stays in the rescue.
            continue
        below = os.path.join(folder, inner)
        place(container, posixpath.join(posixpath.dirname(path), name), below, read_description(below))
    sessions = os.path.join(folder, "transcript.tar")
    if os.path.isfile(sessions):
        _put_sessions(container, sessions)


def _put_sessions(container: Inside, sessions: str) -> None:
    def feed(pipe: IO[bytes]) -> None:
        with open(sessions, "rb") as file:
            shutil.copyfileobj(file, pipe, 1 << 20)

    ended = container.stream(_SESSIONS, feed)
    if ended.returncode:
        tail = last_lines(ended.output)
        raise FuelError(
            f"cannot put the agent's sessions back: {tail[-1][:300] if tail else ended.returncode}",
            where=container.name,
            code="place_failed",
        )
