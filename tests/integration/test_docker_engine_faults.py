# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's installation on machines in trouble: real apt and dpkg in a container, with an archive of our own.

Lock held, dpkg half-configured, archive without the file, disk full: waited out within bounds, or one exact line.
"""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuelctl._shared import _docker_engine
from fuelctl._shared._docker import Completed
from fuelctl._shared._docker_engine import Machine
from fuelctl._shared._errors import FuelError
from fuelctl._shared._progress import Progress

from .machine import IMAGE, docker

pytestmark = pytest.mark.docker

#: Holds the lock that dpkg's frontends take, for $1 seconds.
LOCK = (
    "use Fcntl; open(my $f, '>', '/var/lib/dpkg/lock-frontend') or die; "
    "my $l = pack('s s x4 q q l x4', F_WRLCK, 0, 0, 0, 0); fcntl($f, F_SETLK, $l) or die; "
    "$| = 1; print 'held'; sleep shift"
)
PACKAGE = """\
set -eu
mkdir -p "/build/$1/DEBIAN" "/build/$1/usr/share/$1" /archive
head -c 200000 /dev/urandom >"/build/$1/usr/share/$1/content"
printf 'Package: %s\\nVersion: 1\\nArchitecture: all\\nMaintainer: t <t@example.invalid>\\nDescription: x\\n' "$1" \
  >"/build/$1/DEBIAN/control"
dpkg-deb --build "/build/$1" "/archive/$1.deb" >/dev/null
{ cat "/build/$1/DEBIAN/control"
  printf 'Filename: ./%s.deb\\nSize: %s\\nSHA256: %s\\n\\n' "$1" "$(stat -c %s "/archive/$1.deb")" \
    "$(sha256sum "/archive/$1.deb" | cut -d ' ' -f 1)"
} >>/archive/Packages
"""
SOURCES = """\
rm -rf /etc/apt/sources.list.d /etc/apt/sources.list
echo 'deb [trusted=yes] file:/archive ./' >/etc/apt/sources.list
"""


class Bare:
    """A Debian with an archive that has `docker.io`, `iptables` and `half`: as real to apt as any other."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.name = f"fuel-test-engine-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
        self.commands: list[list[str]] = []
        docker("run", "--detach", "--init", "--name", self.name, *options, IMAGE, "sleep", "600")
        for name in ("docker.io", "iptables", "half"):
            self.sh(PACKAGE, name)
        self.sh(SOURCES)

    def sh(self, script: str, *arguments: str) -> str:
        return docker("exec", self.name, "sh", "-c", script, "sh", *arguments)

    def run(self, argv: list[str], _stdin: bytes | None, timeout: float | None) -> Completed:
        self.commands.append(list(argv))
        done = subprocess.run(
            ["docker", "exec", self.name, *argv],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
        return Completed(list(argv), done.returncode, done.stdout, done.stderr)

    def install(self) -> str:
        release = self.folder / "os-release"
        release.write_text(docker("exec", self.name, "cat", "/etc/os-release"))
        machine = Machine(run=self.run, os_release=str(release), sleep=lambda _seconds: None)
        return _docker_engine._install(machine, Progress("provider"))

    def status(self, package: str) -> str:
        return docker("exec", self.name, "dpkg-query", "--show", "--showformat", "${db:Status-Status}", package)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Bare]:
    made = Bare(tmp_path)
    yield made
    docker("rm", "--force", "--volumes", made.name)


def hold_lock(bare: Bare, seconds: int) -> threading.Thread:
    """A thread that ends with the lock; the lock is held when this returns."""
    command = ["docker", "exec", bare.name, "perl", "-e", LOCK, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    assert process.stdout.read(4) == b"held", process.communicate()
    thread = threading.Thread(target=process.communicate)
    thread.start()
    return thread


def test_another_package_manager_is_waited_for(bare: Bare) -> None:
    holding = hold_lock(bare, 8)
    # Who does not wait for the lock fails.
    assert bare.install() == "docker.io"
    holding.join()
    assert bare.status("docker.io") == "installed"


def test_a_lock_that_is_never_given_back_is_one_line(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "DPkg::Lock::Timeout=300" in _docker_engine._APT
    short = [word.replace("=300", "=1") for word in _docker_engine._APT]
    monkeypatch.setattr(_docker_engine, "_APT", short)
    hold_lock(bare, 600)  # ends with the container
    with pytest.raises(FuelError) as failed:
        bare.install()
    assert "lock (/var/lib/dpkg/lock-frontend), is another process using it?" in failed.value.message
    assert "another package manager is at work" in str(failed.value.hint)
    assert "\n" not in str(failed.value)
    assert len([each for each in bare.commands if "install" in each]) == 3, "bounded"


def test_what_an_interrupted_run_left_half_configured(bare: Bare) -> None:
    bare.sh("dpkg --unpack /archive/half.deb")
    assert bare.status("half") == "unpacked"
    assert bare.install() == "docker.io"
    assert (bare.status("half"), bare.status("docker.io")) == ("installed", "installed")


def test_an_archive_that_does_not_have_what_it_lists(bare: Bare) -> None:
    bare.sh("rm /archive/docker.io.deb")
    with pytest.raises(FuelError) as failed:
        bare.install()
    assert failed.value.code == "engine_install"
    assert "Failed to run apt-get install" in failed.value.message
    assert "docker.io" in str(failed.value)
    assert "\n" not in str(failed.value)
    assert len([each for each in bare.commands if "install" in each]) == 3, "bounded"
    # And when it has it again.
    bare.sh("rm -r /archive /build")
    for name in ("docker.io", "iptables", "half"):
        bare.sh(PACKAGE, name)
    assert bare.install() == "docker.io"


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    bare = Bare(tmp_path, "--tmpfs", "/usr/share/docker.io:size=64k")
    try:
        with pytest.raises(FuelError) as failed:
            bare.install()
    finally:
        docker("rm", "--force", "--volumes", bare.name)
    assert failed.value.code == "disk_full", failed.value.as_dict()
    assert failed.value.message == "the machine's disk is full"
