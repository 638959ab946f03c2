# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Temporary folders that do not outlive their owner: who is killed leaves one behind, and the next one removes it.

The owner holds a lock (flock) on the folder itself, which the kernel lets go of with the process, whatever ended it. A
folder whose lock can be had belongs to nobody. Where folders cannot be locked (some network file systems) nothing is
swept, for nothing can be known.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import Iterator, Optional, Tuple

#: Of folders made in the system's temporary folder. What is swept there begins with one of these and is our user's.
SOURCE, BUNDLE, INDEX, RESCUE = "fuel-source-", "fuel-bundle-", "fuel-index-", "fuel-rescue-"
PREFIXES = (SOURCE, BUNDLE, INDEX, RESCUE)


@contextmanager
def scratch(prefix: str, parent: Optional[str] = None) -> Iterator[str]:
    """A new folder (0700) in `parent` (default: the system's temporary folder), gone afterwards. Sweeps it first."""
    parent = parent or tempfile.gettempdir()
    sweep(parent, (prefix,))
    folder, lock = hold(prefix, parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def hold(prefix: str, parent: str) -> Tuple[str, int]:
    """(a new folder, the descriptor that holds its lock). It is the caller's to remove; closing or dying lets it go."""
    while True:
        folder = tempfile.mkdtemp(prefix=prefix, dir=parent)
        try:
            lock = _open(folder)
        except FileNotFoundError:
            # Swept between its making and its lock.
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            # A file system without such locks, on which nothing can be swept either.
            return folder, lock
        if os.path.isdir(folder):
            return folder, lock
        os.close(lock)


def sweep(parent: str, prefixes: Tuple[str, ...] = PREFIXES) -> int:
    """Remove the folders in `parent` that begin with one of `prefixes` and whose owner is gone; how many those were."""
    swept = 0
    try:
        with os.scandir(parent) as entries:
            found = [entry.path for entry in entries if entry.name.startswith(prefixes)]
    except OSError:
        return 0
    for folder in found:
        try:
            if os.lstat(folder).st_uid != os.getuid():
                continue
            lock = _open(folder)
        except OSError:
            # Somebody else's, a link or a file, or gone meanwhile.
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
        except OSError:
            # Its owner lives.
            continue
        finally:
            os.close(lock)
    return swept


def _open(folder: str) -> int:
    return os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
