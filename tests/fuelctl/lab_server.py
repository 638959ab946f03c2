# SPDX-License-Identifier: GPL-3.0-or-later
"""The real server with the tests' playbooks instead of the collection's: `python -m tests.fuelctl.lab_server`."""

from __future__ import annotations

import sys
from pathlib import Path

from fuelctl import serve
from fuelctl.workflows import run

if __name__ == "__main__":
    for verb in ("up", "down", "observe"):
        run._PLAYBOOKS[verb] = str(Path(__file__).parent / "playbooks" / f"{verb}.yml")
    sys.exit(serve.main())
