# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: examples/node-api in a running environment, then its own tests and the agent's version, over SSH.

The example becomes a git repository of its own in build/demo, as it would be for somebody who works on it. The
environment belongs to whoever runs this, like any other: it is there afterwards, until `fuelctl down` or its TTL.
"""

from __future__ import annotations

import filecmp
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
EXAMPLE = CHECKOUT / "examples" / "node-api"
REPOSITORY = CHECKOUT / "build" / "demo" / "node-api"
FUELCTL = Path(sys.executable).parent / "fuelctl"
NAME = "demo"
LIVE = {"ready", "active", "idle"}


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=fuelctl demo", "-c", "user.email=demo@example.invalid", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)


def example_files() -> list[Path]:
    skip = {"node_modules"}
    files = [path.relative_to(EXAMPLE) for path in EXAMPLE.rglob("*") if path.is_file()]
    return sorted(path for path in files if not skip & set(path.parts))


def prepare_repository() -> None:
    """The example as a repository with one commit; the one of an earlier run when the example is still the same."""
    names = example_files()
    if (REPOSITORY / ".git").is_dir():
        _same, differing, missing = filecmp.cmpfiles(EXAMPLE, REPOSITORY, [str(name) for name in names], shallow=False)
        if not differing and not missing:
            say(f"reusing the repository {REPOSITORY.relative_to(CHECKOUT)}")
            return
    shutil.rmtree(REPOSITORY, ignore_errors=True)
    for name in names:
        (REPOSITORY / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(EXAMPLE / name, REPOSITORY / name)
    git("init", "--quiet", "--initial-branch", "main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Start from fuelctl's example")
    say(f"made a git repository of examples/node-api in {REPOSITORY.relative_to(CHECKOUT)}")


def fuelctl(*arguments: str) -> int:
    """Run fuelctl in the foreground, as a person would; returns its exit code."""
    return subprocess.run([str(FUELCTL), *arguments], check=False).returncode


def environment_of_before() -> dict[str, Any] | None:
    """The demo's environment when an earlier run left one that lives or is on its way."""
    listed = subprocess.run([str(FUELCTL), "ls", "--json"], check=False, stdout=subprocess.PIPE, text=True)
    if listed.returncode != 0:
        raise SystemExit(f"demo: fuelctl ls failed: {listed.stdout.strip()}\ndemo: fuelctl doctor may say why")
    for environment in json.loads(listed.stdout)["environments"]:
        if environment["name"] == NAME:
            return dict(environment)
    return None


def inside(title: str, *command: str) -> int:
    say(f"{title}: fuelctl ssh {NAME} -- {' '.join(command)}")
    return fuelctl("ssh", NAME, "--", *command)


def main() -> int:
    started = time.monotonic()
    prepare_repository()
    environment = environment_of_before()
    if environment is not None and environment["status"] in LIVE:
        status, since = environment["status"], environment["ready_at"]
        say(f"reusing the environment {NAME} ({environment['id']}): {status}, ready since {since}")
    elif environment is not None and environment["status"] == "provisioning":
        say(f"an earlier run is under way: $ fuelctl up --attach {NAME}")
        if code := fuelctl("up", "--attach", NAME):
            return code
    else:
        say(f"$ fuelctl up {REPOSITORY.relative_to(CHECKOUT)} --name {NAME} --yes")
        if code := fuelctl("up", str(REPOSITORY), "--name", NAME, "--yes"):
            return code
    for title, command in (("its own tests", ("npm", "test")), ("the agent", ("claude", "--version"))):
        if code := inside(title, *command):
            say(f"failed with {code}; the environment is still there: fuelctl status {NAME}")
            return code
    shown = FUELCTL.relative_to(CHECKOUT)
    say(f"done in {time.monotonic() - started:.0f} s. What to type next:")
    for line, meaning in (
        (f"{shown} ssh {NAME}", "be inside, in the repository, as a user with sudo; then: claude"),
        (f"{shown} ls", "what is running, and until when"),
        (f"{shown} down {NAME}", "end it, with the proof that nothing is left"),
    ):
        print(f"  {line:<28} # {meaning}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
