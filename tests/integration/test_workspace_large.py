# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository of two gigabytes reaches a container whole, and our own process does not hold it in memory."""

from __future__ import annotations

import hashlib
import os
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
#: Bytes of our own process; what git maps of its packs is the kernel's to drop.
MEMORY = 128 << 20
SECONDS = 900

_PRESENT = """
import resource, sys
from fuelctl._shared._inside import InContainer
from fuelctl._shared._workspace._present import Wanted, Workspace
name, user, source = sys.argv[1:]
result = Workspace(InContainer(name, user), "/workspaces/large").present(Wanted(source))
assert result["changed"]
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
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
            for _block in range(size >> 20):
                block = os.urandom(1 << 20)
                digest.update(block)
                stream.write(block)
        digests[f"{number}.bin"] = digest.hexdigest()
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "large")

    begun = time.monotonic()
    argv = [sys.executable, "-c", _PRESENT, container.name, USER, str(repository)]
    done = subprocess.run(argv, cwd=CHECKOUT, check=True, timeout=SECONDS, stdout=subprocess.PIPE, text=True)
    took = time.monotonic() - begun
    peak = int(done.stdout)
    print(f"{took:.0f} s, at most {peak >> 20} MiB")
    assert peak < MEMORY
    sums = container.sh("cd /workspaces/large && sha256sum *.bin")
    assert {name: digest for digest, name in map(str.split, sums.splitlines())} == digests
