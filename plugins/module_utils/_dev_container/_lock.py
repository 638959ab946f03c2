# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""One at a time on one machine."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
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
        lock = (root / "locks" / name).open("ab")
    except (OSError, RuntimeError):
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
