# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes a lab's containers and volumes once it has ended, however it ended: `python -m tests.lab.fly.janitor LAB`.

The lab holds the other end of this process's standard input, which closes by exit as by kill -9.
"""

from __future__ import annotations

import sys
import time

from .engine import LABEL, forget


def main() -> None:
    sys.stdin.buffer.read()
    quiet = 0
    for _round in range(60):
        # A `docker create` that was under way when the lab died may still put one there.
        quiet = 0 if forget(LABEL, sys.argv[1]) else quiet + 1
        if quiet == 3:
            break
        time.sleep(1)


if __name__ == "__main__":
    main()
