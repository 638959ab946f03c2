# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""One at a time on one machine."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Wait until nobody else on this machine is inside with the same name; the system frees it when its holder dies.

    Where there is no place for a lock it does not hold anybody up: names on the engine are unique, so what is lost is
    speed and a clear word, never the environment.
    """
    root = Path("/var/lib/fuel-code") if os.geteuid() == 0 else Path.home() / ".local/state/fuel-code"
    try:
        (root / "locks").mkdir(mode=0o700, parents=True, exist_ok=True)
        path = root / "locks" / name
        descriptor = _take(path)
    except (OSError, RuntimeError):
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _take(path: Path) -> int:
    """The descriptor of the file that is locked and still there: its last holder took it away."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _same(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
