# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of the image `remote`, as a cloud runs them, and people who come in by a plain ssh."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

#: How one is run whose root file system is read-only.
READ_ONLY = ("--read-only", "--tmpfs", "/run", "--tmpfs", "/tmp")
PUBLIC_HOST_KEY = "/workspaces/.fuel-code/ssh/ssh_host_ed25519_key.pub"
#: A loaded machine's patience.
PATIENCE = 90


def docker(*arguments: str, check: bool = True, stdin: str = "") -> str:
    done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"docker {' '.join(arguments[:3])}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return (done.stdout + done.stderr if not check else done.stdout).strip()


def eventually(holds: Callable[[], object], what: Callable[[], str] = lambda: "") -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up, what()
        time.sleep(0.2)


def key_pair(folder: Path, name: str, kind: str = "ed25519", *options: str) -> Path:
    """The private key's file; `.pub` beside it."""
    file = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *options, "-N", "", "-C", name, "-f", str(file)], check=True)
    return file


def public(key: Path) -> str:
    return key.with_name(f"{key.name}.pub").read_text().strip()


@dataclass
class Machine:
    """A container of the image, its volume, and the file in which its host key is pinned."""

    name: str
    volume: str
    folder: Path
    key: Path
    pinned: Path = field(init=False)

    def __post_init__(self) -> None:
        self.pinned = self.folder / f"{self.name}.known_hosts"

    def run(self, image: str, *options: str, keys: str | None = None) -> None:
        """Start it; without `keys`, its own key's public half may come in."""
        given = public(self.key) if keys is None else keys
        mounts = ("--volume", f"{self.volume}:/workspaces", "--publish", "127.0.0.1::2222")
        docker(
            "run", "--detach", "--name", self.name, *mounts, "--env", f"FUEL_AUTHORIZED_KEYS={given}", *options, image
        )

    def pin(self) -> None:
        """Wait until it can be entered, and pin its host key as it is on the volume."""
        self.listens()
        host_key = self.exec("cat", PUBLIC_HOST_KEY)
        self.pinned.write_text(f"machine {host_key}\n")

    def listens(self) -> None:
        eventually(self.healthy, self.logs)

    def healthy(self) -> bool:
        """By the image's own health check; AssertionError when it has ended."""
        assert self.running(), self.logs()
        check = ["docker", "exec", self.name, "/usr/local/lib/fuel-code/healthy"]
        return subprocess.run(check, capture_output=True, check=False).returncode == 0

    @property
    def port(self) -> str:
        return docker("port", self.name, "2222").splitlines()[0].rpartition(":")[2]

    def ssh(
        self, *command: str, key: Path | None = None, user: str = "dev", options: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """One login with one key, the host key pinned under the name `machine`."""
        return subprocess.run(
            [*self.argv(key=key, user=user, options=options), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def argv(self, *, key: Path | None = None, user: str = "dev", options: tuple[str, ...] = ()) -> list[str]:
        settings = [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            "HostKeyAlias=machine",
            "ExitOnForwardFailure=yes",
            f"UserKnownHostsFile={self.pinned}",
        ]
        given = [part for setting in settings for part in ("-o", setting)]
        identity = ["-i", str(key or self.key)]
        return ["ssh", "-F", "none", "-p", self.port, *given, *options, *identity, f"{user}@127.0.0.1"]

    def exec(self, *command: str, user: str = "0", check: bool = True, stdin: str = "") -> str:
        return docker("exec", "-i", "-u", user, self.name, *command, check=check, stdin=stdin)

    def running(self) -> bool:
        return bool(self.state()["Running"])

    def state(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(docker("inspect", "--format", "{{json .State}}", self.name))
        return found

    def ended(self) -> object:
        """Wait until it has ended; its exit code."""
        eventually(lambda: not self.running(), self.logs)
        return self.state()["ExitCode"]

    def logs(self) -> str:
        return docker("logs", self.name, check=False)

    def says(self, line: str, times: int) -> None:
        """Wait until its log has the line so many times."""
        eventually(lambda: self.logs().count(line) >= times, self.logs)

    def remove(self) -> None:
        """The machine, not its volume: the next one may get that."""
        docker("rm", "--force", self.name, check=False)


@contextmanager
def machine(folder: Path, key: Path | None = None) -> Iterator[Machine]:
    """A machine that is not running yet; it and its volume are gone afterwards."""
    name = f"fuel-test-dev-{secrets.token_hex(5)}"
    made = Machine(name, name, folder, key or key_pair(folder, f"{name}.key"))
    try:
        yield made
    finally:
        docker("rm", "--force", name, check=False)
        docker("volume", "rm", "--force", name, check=False)
