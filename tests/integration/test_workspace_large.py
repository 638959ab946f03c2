# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository of two gigabytes reaches a container whole, and no process here or there holds it in memory."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.containers import CHECKOUT, USER, Box, box

pytestmark = [pytest.mark.docker, pytest.mark.soak]
SIZE = 2 << 30
#: One file above git's own limit of what it reads into memory, the rest below it.
FILES = (1 << 30, *([64 << 20] * 16))
MEMORY = 1 << 30
SECONDS = 900

_PRESENT = """
import sys
from fuelctl._shared._workspace._container import Container
from fuelctl._shared._workspace._present import Wanted, Workspace
name, user, source = sys.argv[1:]
result = Workspace(Container(name, user), "/workspaces/large").present(Wanted(source))
assert result["changed"]
"""


@pytest.fixture
def container() -> Iterator[Box]:
    with box() as made:
        yield made


def git(folder: Path, *arguments: str) -> None:
    # What cannot be compressed anyway would only take time.
    who = ["-c", "core.compression=0", "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_two_gigabytes_travel_in_bounded_memory(container: Box, tmp_path: Path) -> None:
    assert sum(FILES) == SIZE
    repository = tmp_path / "large"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    digests = {}
    for number, size in enumerate(FILES):
        digest = hashlib.sha256()
        with (repository / f"{number}.bin").open("wb") as stream:
            for _ in range(size >> 20):
                block = os.urandom(1 << 20)
                digest.update(block)
                stream.write(block)
        digests[f"{number}.bin"] = digest.hexdigest()
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "large")

    begun = time.monotonic()
    argv = [sys.executable, "-c", _PRESENT, container.name, USER, str(repository)]
    subprocess.run(argv, cwd=CHECKOUT, check=True, timeout=SECONDS)
    took = time.monotonic() - begun
    # The largest of everything that this process has waited for, the git of the commit above included; in KiB.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"{took:.0f} s, at most {peak >> 20} MiB in one process")
    assert peak < MEMORY
    sums = container.sh("cd /workspaces/large && sha256sum *.bin")
    assert dict(reversed(line.split()) for line in sums.splitlines()) == digests
