# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules in forked children of one warm process: `python ec2_forker.py COLLECTIONS_PATH`.

Each line of standard input is `{"arguments": {...}, "output": path, "unset": [names of variables]}`; the answer is the
child's pid. Starting Python,
Ansible and boto3 takes longer than all that ec2_machine does, so that a kill at a random moment would mostly hit an
import. The children run the module itself, as it is.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from types import ModuleType
from typing import Any


def child(module: ModuleType, arguments: dict[str, object], output: str) -> None:
    from ansible.module_utils import basic

    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    code = 1
    try:
        module.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    import boto3
    from ansible_collections.fuel_code.remote.plugins.modules import ec2_machine
    from botocore.loaders import JSONFileLoader

    # AWS's descriptions of its services are read once, here, and not by every child.
    read_file = JSONFileLoader.load_file
    files: dict[str, Any] = {}
    JSONFileLoader.load_file = lambda self, path: (
        files[path] if path in files else files.setdefault(path, read_file(self, path))
    )
    boto3.client("ec2", region_name="us-east-1")
    # Nobody asks how a child ended by waiting for it: the output says.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            for name in order["unset"]:
                os.environ.pop(name, None)
            child(ec2_machine, order["arguments"], order["output"])
        print(pid, flush=True)


if __name__ == "__main__":
    main()
