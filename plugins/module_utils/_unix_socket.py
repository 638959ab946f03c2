# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""A user's own Unix socket: where it is, and that nobody else is behind it.

What is sent through it may be secret. So its folder has to be one in which nobody else can put a socket: a stand-in
for a long path lies in a folder that all users share, where anybody could be first to make it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from typing import Optional

from ._errors import FuelError

#: `sun_path` holds 108 bytes on Linux and 104 on macOS, the final NUL included.
_LONGEST = 100
#: All users may write there.
SHARED = os.path.join(os.sep, "tmp")


def stand_in(natural: str) -> str:
    """`natural`, or the short path that stands in for it where it is too long for a socket."""
    if len(os.fsencode(natural)) <= _LONGEST:
        return natural
    digest = hashlib.sha256(os.fsencode(natural)).hexdigest()[:16]
    return os.path.join(SHARED, f"fuelctl-{os.getuid()}", f"{digest}.sock")


def connect(path: str, timeout: Optional[float]) -> socket.socket:
    """A connection to it.

    :param timeout: seconds for each call of it, this one too; for ever without.
    :raises FuelError: its folder is not the user's alone (`socket_not_private`).
    :raises OSError: nobody listens, or not within that time.
    """
    require_private(os.path.dirname(path))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def require_private(folder: str) -> None:
    """FuelError unless nobody else can put anything into the folder; OSError where there is none.

    A link counts as its target where nobody else can change where it points to.
    """
    found = os.lstat(folder)
    if stat.S_ISLNK(found.st_mode) and _trusted(found):
        found = os.stat(folder)
    if not stat.S_ISDIR(found.st_mode) or not _trusted(found):
        raise _refused(
            folder, "belongs to another user, or is no folder", "set FUELCTL_HOME to a short path of your own"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _refused(folder, "can be written by other users", "take that right away: chmod go-w on it")


def _trusted(found: os.stat_result) -> bool:
    return found.st_uid in (os.geteuid(), 0)


def _refused(folder: str, why: str, hint: str) -> FuelError:
    return FuelError(
        f"the server's socket is not trusted: its folder {why}", where=folder, hint=hint, code="socket_not_private"
    )
