# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules for Fly.io in forked children of one warm process: `python fly_forker.py COLLECTIONS_PATH`.

Each line of standard input is `{"module": name, "arguments": {...}, "output": path}`; the answer is the child's pid. A
child runs the module itself, as it is; only the imports are done already.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path

MODULES = (
    "fly_app",
    "fly_exec",
    "fly_machine",
    "fly_machine_info",
    "fly_volume",
    "fly_volume_info",
    "fly_secrets",
    "fly_secrets_info",
)


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.integration.ec2_forker import child

    package = "ansible_collections.fuel_code.remote.plugins.modules"
    modules = {name: importlib.import_module(f"{package}.{name}") for name in MODULES}
    # Nobody asks how a child ended by waiting for it: the output says.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(modules[order["module"]], order["arguments"], order["output"])
        print(pid, flush=True)


if __name__ == "__main__":
    main()
