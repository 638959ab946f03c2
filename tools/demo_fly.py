# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo-fly`: the whole way on Fly.io without an account: up, in, stop, start, and down with proof.

The cloud is the lab (docs/developer/lab.md): a local Machines API with containers behind it. fuelctl runs the code that
runs against Fly.io; only the endpoint differs. Everything is in build/demo-fly and ends with this program.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

import demo  # noqa: E402 - beside this file

from tests.lab import dev_image  # noqa: E402 - found by the line above
from tests.lab.fly.client import FlyLab  # noqa: E402 - the same

HOME = CHECKOUT / "build" / "demo-fly"
NAME = "cloud"
#: Of what the lab stands for, what this program's own shell may have said otherwise.
FOREIGN = ("FLY_", "FUELCTL_")


def say(text: str) -> None:
    print(f"demo-fly: {text}", flush=True)


def environment(lab: FlyLab) -> dict[str, str]:
    """This shell's, with the lab for AWS and a home of the demo's own."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**mine, **lab.environment(), "FUELCTL_HOME": str(HOME / "fuelctl"), "FUELCTL_SSH_CONFIG": "none"}


def write_settings(image: str) -> None:
    folder = HOME / "fuelctl" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(f"[providers.fly]\nimage = {json.dumps(image)}\n")


def fuelctl(variables: dict[str, str], *arguments: str) -> int:
    """Run fuelctl in the foreground, as a person would; returns its exit code."""
    say(f"$ fuelctl {' '.join(arguments)}")
    return subprocess.run([str(demo.FUELCTL), *arguments], check=False, env=variables).returncode


def way(variables: dict[str, str]) -> int:
    """Up, in, and down; the first exit code that is not 0."""
    steps: Sequence[tuple[str, ...]] = (
        ("up", str(demo.REPOSITORY), "--provider", "fly", "--region", "fra", "--name", NAME, "--ttl", "1h", "--yes"),
        ("ls",),
        ("ssh", NAME, "--", "npm", "test"),
        ("ssh", NAME, "--", "claude", "--version"),
        ("ssh", NAME, "--", "touch", "kept"),
        ("stop", NAME),
        ("ls",),
        ("start", NAME),
        # The same workspace, and the agent, on a machine whose own disk began anew.
        ("ssh", NAME, "--", "ls", "kept"),
        ("ssh", NAME, "--", "claude", "--version"),
    )
    try:
        for step in steps:
            if code := fuelctl(variables, *step):
                say(f"failed with {code}")
                return code
        return 0
    finally:
        # Whatever happened: the cloud ends with this program, and an environment should not be left hanging in it.
        if code := fuelctl(variables, "down", "--all", "--yes", "--discard"):
            say(f"ending it failed with {code}")
        subprocess.run([str(demo.FUELCTL), "server", "stop"], check=False, env=variables, stdout=subprocess.DEVNULL)


def main() -> int:
    started = time.monotonic()
    demo.prepare_repository()
    shutil.rmtree(HOME, ignore_errors=True)
    say("starting a local Fly.io (the first time makes its images)")
    image = dev_image.ensure("remote")
    with FlyLab() as lab:
        write_settings(image)
        code = way(environment(lab))
        if left := [each["id"] for each in lab.machines()] + [each["id"] for each in lab.volumes()]:
            say(f"left in the cloud: {', '.join(left)}")
            code = code or 1
    if not code:
        say(f"done in {time.monotonic() - started:.0f} s; nothing is left. On Fly.io itself, with your token:")
        print("  fuelctl up --provider fly --region fra   # docs/user/fly.md")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
