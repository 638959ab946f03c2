# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a venv that holds nothing but the wheel, outside any checkout: is everything in it that fuelctl needs?"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import fuelctl

BIN = Path(sys.executable).parent


def check(name: str, good: object, detail: object = "") -> None:
    print(f"{'ok    ' if good else 'FAILED'}  {name} {detail}")
    if not good:
        raise SystemExit(1)


def run(*argv: str) -> str:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment)
    check(
        " ".join(argv[-3:]), done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:] if done.returncode else ""
    )
    return done.stdout


def main() -> None:
    package = Path(str(fuelctl.__file__)).parent
    check("fuelctl comes from the wheel", str(package).startswith(sys.prefix), package)
    path = package / "_collection"
    root = path / "ansible_collections" / "fuel_code" / "remote"
    shared = importlib.import_module("fuelctl._shared._errors")
    check("the shared domain is the packaged collection's", str(shared.__file__).startswith(str(root)))
    for part in (
        "galaxy.yml",
        "meta/runtime.yml",
        "playbooks/remote_up.yml",
        "plugins/modules",
        "roles",
        "images/dev/remote/entrypoint",
        "skills/flyio/SKILL.md",
    ):
        check(f"collection has {part}", (root / part).exists())
    migrations = list((package / "store").rglob("versions/*.py"))
    check("database migrations are in", migrations, len(migrations))

    version = run(str(BIN / "fuelctl"), "version")
    check("fuelctl version says it", fuelctl.__version__ in version, version.strip())
    run(str(BIN / "fuelctl"), "--help")
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(path)
    modules = sorted(file.stem for file in (root / "plugins" / "modules").glob("*.py"))
    check("there are modules", modules, ", ".join(modules))
    listing = run(str(BIN / "ansible-doc"), "--list", "fuel_code.remote")
    for name in modules:
        check(f"Ansible finds fuel_code.remote.{name}", f"fuel_code.remote.{name}" in listing)
    for playbook in sorted((root / "playbooks").glob("*.yml")):
        run(str(BIN / "ansible-playbook"), "--syntax-check", f"fuel_code.remote.{playbook.stem}")
    check("no development tool is needed", importlib.util.find_spec("pytest") is None)

    # The embedded control plane starts, migrates its database and answers.
    try:
        listed = run(str(BIN / "fuelctl"), "ls")
        check("an empty list says so", "No active environments." in listed, listed.strip())
    finally:
        run(str(BIN / "fuelctl"), "server", "stop")


if __name__ == "__main__":
    main()
