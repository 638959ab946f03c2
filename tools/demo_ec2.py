# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo-ec2`: the whole way on EC2 without an AWS account: up, its own tests, the agent, and down with proof.

The cloud is the lab (docs/developer/lab.md): a local EC2 whose instances are real machines. fuelctl runs the code that
runs against AWS; only the endpoint differs. Everything is in build/demo-ec2 and ends with this program.
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

from tests.lab.ec2.client import Ec2Lab  # noqa: E402 - found by the line above

HOME = CHECKOUT / "build" / "demo-ec2"
IMAGE = "node:22-bookworm"
NAME = "cloud"
#: Of what the lab stands for, what this program's own shell may have said otherwise.
FOREIGN = ("AWS_", "FUELCTL_", "EC2_")


def say(text: str) -> None:
    print(f"demo-ec2: {text}", flush=True)


def environment(lab: Ec2Lab) -> dict[str, str]:
    """This shell's, with the lab for AWS and a home of the demo's own."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**mine, **lab.environment(), "FUELCTL_HOME": str(HOME / "fuelctl"), "FUELCTL_SSH_CONFIG": "none"}


def write_settings(lab: Ec2Lab) -> None:
    folder = HOME / "fuelctl" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in lab.options(image="debian-12").items()]
    (folder / "config.toml").write_text("\n".join(["[providers.ec2]", *lines]) + "\n")


def fuelctl(variables: dict[str, str], *arguments: str) -> int:
    """Run fuelctl in the foreground, as a person would; returns its exit code."""
    say(f"$ fuelctl {' '.join(arguments)}")
    return subprocess.run([str(demo.FUELCTL), *arguments], check=False, env=variables).returncode


def way(variables: dict[str, str]) -> int:
    """Up, in, and down; the first exit code that is not 0."""
    steps: Sequence[tuple[str, ...]] = (
        ("up", str(demo.REPOSITORY), "--provider", "ec2", "--name", NAME, "--ttl", "1h", "--yes"),
        ("ls",),
        ("ssh", NAME, "--", "npm", "test"),
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
    say("starting a local EC2 (the first time makes its images)")
    with Ec2Lab(images=[IMAGE]) as lab:
        write_settings(lab)
        code = way(environment(lab))
        if left := [each["id"] for each in lab.alive()]:
            say(f"left in the cloud: {', '.join(left)}")
            code = code or 1
    if not code:
        say(f"done in {time.monotonic() - started:.0f} s; nothing is left. On AWS itself, with your credentials:")
        print("  fuelctl up --provider ec2 --region eu-central-1   # docs/user/ec2.md")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
