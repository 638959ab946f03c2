# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of the workspace's and the agent's tests: a plain one with git and a non-root user, removed afterwards."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE = "node:22-bookworm"
USER = "node"
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Box:
    """A running container."""

    name: str

    def sh(self, script: str, *, user: str = USER, check: bool = True, stdin: str = "") -> str:
        """Run a script inside; its output."""
        done = subprocess.run(
            ["docker", "exec", "-i", "-u", user, self.name, "bash", "-c", script],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{script}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()


@contextmanager
def box(*options: str) -> Iterator[Box]:
    """A container with an empty /workspaces that belongs to the user."""
    name = f"fuel-test-{secrets.token_hex(5)}"
    run = ["docker", "run", "--detach", "--init", "--name", name, *options, "--entrypoint", "sleep", IMAGE, "3600"]
    subprocess.run(run, check=True, capture_output=True)
    try:
        made = Box(name)
        made.sh(
            f"mkdir -p /workspaces /home/{USER}/.ssh && chown -R {USER}: /workspaces /home/{USER}/.ssh"
            " && rm -rf /workspaces/*",
            user="0",
        )
        yield made
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], check=False, capture_output=True)


def fastest(action: Callable[[], object], tries: int = 5) -> float:
    """Seconds of the best of some tries: what it costs, not what else the machine is doing."""
    seconds = []
    for _try in range(tries):
        begun = time.monotonic()
        action()
        seconds.append(time.monotonic() - begun)
    return min(seconds)


def one_exec(box: Box) -> float:
    """Seconds of the cheapest call into a container: the measure on a machine that has other things to do."""
    return fastest(lambda: box.sh("true"))


def play(tasks: list[dict[str, Any]], tmp_path: Path) -> list[dict[str, Any]]:
    """Run tasks in one playbook on this machine; the results of all of them."""
    tree = tmp_path / "collections" / "ansible_collections" / "fuel_code"
    tree.mkdir(parents=True, exist_ok=True)
    if not (tree / "remote").exists():
        (tree / "remote").symlink_to(CHECKOUT)
    results = tmp_path / "results.json"
    steps: list[dict[str, Any]] = []
    for number, task in enumerate(tasks):
        steps.append({"name": f"Step {number}", "register": f"result_{number}", "ignore_errors": True, **task})
    names = ", ".join(f"result_{number}" for number in range(len(tasks)))
    steps.append(
        {
            "name": "Tell",
            "ansible.builtin.copy": {
                "content": "{{ [" + names + "] | to_json }}",
                "dest": str(results),
                "mode": "0600",
            },
        }
    )
    book = [
        {
            "name": "Test",
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": sys.executable},
            "tasks": steps,
        }
    ]
    (tmp_path / "play.json").write_text(json.dumps(book))
    program = str(Path(sys.executable).parent / "ansible-playbook")
    done = subprocess.run(
        [program, "-i", "localhost,", str(tmp_path / "play.json")],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    found: list[dict[str, Any]] = json.loads(results.read_text())
    return found
