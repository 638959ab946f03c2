# SPDX-License-Identifier: GPL-3.0-or-later
"""Canaries: a secret reaches the environment's login and no other place that anybody could read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .harness import BASE_IMAGE, Fuelctl, docker, files_below, leftovers, make_repository, write_blueprint

pytestmark = pytest.mark.docker

BY_ENVIRONMENT = "canary-by-environment-7f3a91"
BY_FILE = "canary-by-file-c04d22"
CANARIES = (BY_ENVIRONMENT.encode(), BY_FILE.encode())


class ProcessWatch:
    """Reads every process's arguments and environment over and over while something runs."""

    def __init__(self) -> None:
        self.arguments: set[bytes] = set()
        self.environments: set[bytes] = set()
        self.rounds = 0
        self._home = Path("/proc/self/ns/mnt").readlink()
        self._stop = threading.Event()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.rounds += 1
            for entry in Path("/proc").iterdir():
                if not entry.name.isdigit():
                    continue
                try:
                    arguments = (entry / "cmdline").read_bytes()
                    environment = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if any(canary in arguments for canary in CANARIES):
                    self.arguments.add(arguments)
                # What runs inside of the environment, a set-up command for one, is the login.
                try:
                    inside = (entry / "ns" / "mnt").readlink() != self._home
                except OSError:
                    continue
                # The caller's own shell, the CLI it starts and the git that this asks hold what the user exported: that
                # is where it comes from, and it ends with the command.
                caller = arguments.split(b"\0")[1:4] == [b"-m", b"fuelctl", b"up"] or arguments.startswith(b"git\0")
                if not (inside or caller) and any(canary in environment for canary in CANARIES):
                    self.environments.add(arguments)
            self._stop.wait(0.05)

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


def files_with_a_canary(*roots: Path) -> list[Path]:
    return [path for path, content in files_below(*roots) if any(canary in content for canary in CANARIES)]


@pytest.mark.parametrize("fails", [False, True], ids=["ready", "error"])
def test_secret_is_nowhere_but_in_the_login(user: Fuelctl, tmp_path: Path, fails: bool) -> None:
    repository = make_repository(tmp_path / "repo")
    image = "127.0.0.1:9/none:1" if fails else BASE_IMAGE
    write_blueprint(repository, f"version: 1\nimage: {image}\nsecrets: [ANTHROPIC_API_KEY, SECOND]\nsetup: ['false']\n")
    secret_file = tmp_path / "secret"
    secret_file.write_text(BY_FILE)
    secret_file.chmod(0o600)
    watch = ProcessWatch()
    with watch.watching():
        done = user.run(
            "up",
            str(repository),
            "--name=canary",
            "--yes",
            "--secret=ANTHROPIC_API_KEY",
            f"--secret-file=SECOND={secret_file}",
            ok=not fails,
            extra_env={"ANTHROPIC_API_KEY": BY_ENVIRONMENT},
        )
    environment = user.show("canary")
    try:
        assert watch.rounds > 5
        assert watch.arguments == set()
        # Whatever outlives the command, the server included, inherits nothing of what the caller exported.
        assert watch.environments == set()
        assert BY_ENVIRONMENT not in done.text
        assert BY_FILE not in done.text
        assert files_with_a_canary(Path(user.base["FUELCTL_HOME"]), Path("/dev/shm"), Path("/run/user")) == []
        shown = user.run("logs", "canary").text + user.run("status", "canary", "--json").text
        assert BY_ENVIRONMENT not in shown
        assert BY_FILE not in shown
        ids = docker("ps", "-aq", "--filter", f"label=fuel-code:environment={environment['id']}").split()
        for container in ids:
            assert "canary-by-" not in docker("inspect", container)
            assert "canary-by-" not in docker("logs", container)
        # Of all images, because one that is nobody's would tell, too; those of other tests may go meanwhile.
        assert "canary-by-" not in docker("image", "inspect", *docker("images", "-q").split(), check=False)
        if not fails:
            assert user.run("exec", "canary", "--", "printenv", "ANTHROPIC_API_KEY").stdout.strip() == BY_ENVIRONMENT
            assert user.run("exec", "canary", "--", "printenv", "SECOND").stdout.strip() == BY_FILE
    finally:
        user.run("down", "canary", "--yes", "--discard", ok=None)
    assert leftovers(environment["id"]) == []
