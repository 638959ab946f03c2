# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes a lab's machines once the lab has ended, however it ended: `python -m tests.lab.ec2.janitor LAB FOLDER`.

The lab holds the other end of this process's standard input. When that closes, by exit or by kill -9, everything that
carries the lab's label goes.
"""

from __future__ import annotations

import shutil
import sys
import time

from .fleet import LABEL, remove_all


def main() -> None:
    lab, folder = sys.argv[1:]
    sys.stdin.buffer.read()
    quiet = 0
    for _round in range(60):
        # A `docker run` that was under way when the lab died may still put one there.
        quiet = 0 if remove_all(LABEL, lab) else quiet + 1
        if quiet == 3:
            break
        time.sleep(1)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
