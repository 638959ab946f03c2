# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives the real fuelctl as a person's shell would, in a home of its own, against the real Docker engine."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Small, always there in the lab, and Debian-like: what an environment costs beside its image is what is tested.
BASE_IMAGE = "debian:bookworm"


@dataclass
class Completed:
    """What a command left behind."""

    argv: list[str]
    returncode: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    def __str__(self) -> str:
        return f"$ {' '.join(self.argv)}\n[{self.returncode}]\n{self.stdout}\n--- stderr\n{self.stderr}"


@dataclass
class Fuelctl:
    """One user on one machine: a FUELCTL_HOME, a HOME, and the fuelctl of this checkout."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.base = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("FUELCTL_", "ANSIBLE_"))},
            "FUELCTL_HOME": str(self.home / "fuelctl"),
            "HOME": str(self.home),
            "NO_COLOR": "1",
            "GIT_AUTHOR_NAME": "E2E",
            "GIT_AUTHOR_EMAIL": "e2e@example.invalid",
            "GIT_COMMITTER_NAME": "E2E",
            "GIT_COMMITTER_EMAIL": "e2e@example.invalid",
        }

    def env(self, **extra: str) -> dict[str, str]:
        return {**self.base, **self.environment, **extra}

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "fuelctl", *arguments]

    def run(self, *arguments: str, ok: bool | None = True, timeout: float = 480, **kwargs: Any) -> Completed:
        """Run to the end. `ok`: True demands exit code 0, False any other, None takes either."""
        stdin = kwargs.pop("stdin", None)
        extra = kwargs.pop("extra_env", {})
        process = subprocess.run(
            self.argv(*arguments),
            env=self.env(**extra),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **kwargs,
        )
        done = Completed(list(arguments), process.returncode, process.stdout, process.stderr)
        assert ok is None or (done.returncode == 0) is ok, str(done)
        assert "Traceback (most recent call last)" not in done.text, str(done)
        return done

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        """Start without waiting, in a session of its own."""
        return subprocess.Popen(
            self.argv(*arguments),
            env=self.env(**extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def server_pids(self) -> list[int]:
        """The control plane's processes of this home, found by their environment."""
        marker = f"FUELCTL_HOME={self.base['FUELCTL_HOME']}".encode()
        pids = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if marker in (entry / "environ").read_bytes().split(b"\0"):
                    pids.append(int(entry.name))
            except OSError:
                continue
        return pids

    def kill_everything(self) -> None:
        """kill -9 of every process that belongs to this home: the worst moment to die."""
        for pid in self.server_pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def show(self, reference: str) -> dict[str, Any]:
        listing: list[dict[str, Any]] = self.run("ls", "--all", "--json").json["environments"]
        return next(env for env in listing if reference in (env["id"], env["name"]))

    def wait_for(self, reference: str, *statuses: str, seconds: float = 480) -> dict[str, Any]:
        """Wait until the environment has one of these statuses."""
        deadline = time.monotonic() + seconds
        while True:
            environment = self.show(reference)
            if environment["status"] in statuses:
                return environment
            assert time.monotonic() < deadline, f"still {environment['status']} after {seconds} s: {environment}"
            # Each look is a command that takes a third of a second of a processor that others want: none before there
            # is something to see, or nobody works on it who has not to be started by it.
            until = min(deadline, time.monotonic() + 10)
            time.sleep(0.5)
            while self._goes_on(environment) and time.monotonic() < until:
                time.sleep(0.5)

    def _goes_on(self, environment: dict[str, Any]) -> bool:
        """Whether the control plane runs, and its database says of the environment's status what was said of it."""
        served = False
        for pid in self.server_pids():
            with suppress(OSError):
                served |= b"fuelctl.serve" in Path(f"/proc/{pid}/cmdline").read_bytes()
        files = list(Path(self.base["FUELCTL_HOME"]).rglob("fuelctl.sqlite"))
        if not served or not files:
            return False
        query = "SELECT status FROM environments WHERE id = ?"
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(files[0], timeout=5)) as database:
            return bool(database.execute(query, (environment["id"],)).fetchone() == (environment["status"],))
        return False


def docker(*arguments: str, check: bool = True) -> str:
    """The docker CLI's standard output."""
    process = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert not check or process.returncode == 0, process.stderr
    return process.stdout.strip()


def leftovers(environment_id: str) -> list[str]:
    """Everything on the engine that still carries this environment's label."""
    label = f"label=fuel-code:environment={environment_id}"
    found = docker("ps", "-aq", "--filter", label).split()
    found += docker("volume", "ls", "-q", "--filter", label).split()
    found += docker("network", "ls", "-q", "--filter", label).split()
    tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "fuel-code/environment").split()
    return found + [tag for tag in tags if environment_id.lower() in tag]


def files_below(*roots: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file and what is in it. What goes away meanwhile, as a server's own files do, is not there."""
    for root in roots:
        for folder, _folders, names in os.walk(root):
            for name in names:
                path = Path(folder, name)
                with suppress(OSError):
                    if path.is_file():
                        yield path, path.read_bytes()


def make_repository(path: Path, **files: str) -> Path:
    """A git repository with one commit; `files` maps names (`__` for a dot) to contents."""
    path.mkdir(parents=True)
    (path / "README.md").write_text("# sample\n")
    for name, content in files.items():
        target = path / name.replace("__", ".")
        target.write_text(content)
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Start"]):
        subprocess.run(
            ["git", "-c", "user.name=E2E", "-c", "user.email=e2e@example.invalid", *arguments],
            cwd=path,
            check=True,
            capture_output=True,
        )
    return path


def write_blueprint(repository: Path, text: str) -> None:
    """Give the repository an env.yaml."""
    folder = repository / ".fuel-code"
    folder.mkdir(exist_ok=True)
    (folder / "env.yaml").write_text(text)
