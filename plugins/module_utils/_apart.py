# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Work that goes on when the module has ended."""

from __future__ import annotations

import os
from typing import Callable


def apart(work: Callable[[], object]) -> None:
    """Do it in a process that nobody waits for: in a session of its own, with nobody's input and output.

    Ansible's `async` does the same with two files and five round trips more. What `work` imports must have been
    imported before: the module's own code is removed when the module has ended.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            # SSH waits until the last one has closed them.
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            work()
    finally:
        # Neither what it raised nor what is to be tidied up at an exit is this process's.
        os._exit(0)
