# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine on a machine that may have none: what is run, what is waited for, what is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Completed
from ansible_collections.fuel_code.remote.plugins.module_utils._docker_engine import LOG_LIMITS, Engine, Machine, ensure
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._progress import Progress

MIRROR = "https://mirror.example"
SYSTEMS = {"debian": "ID=debian\n", "ubuntu": "ID=ubuntu\nID_LIKE=debian\n", "amazon": 'ID="amzn"\nID_LIKE="fedora"\n'}


class Host:
    """A machine's commands: `installed` and `running` are its engine; `failures` what a package manager says first."""

    def __init__(self, folder: Path, system: str = "debian", *, installed: bool = False, running: bool = False) -> None:
        self.installed, self.running = installed, running
        self.failures: list[str] = []
        self.ran: list[list[str]] = []
        self.paused = 0
        self.settings = folder / "docker" / "daemon.json"
        release = folder / "os-release"
        release.write_text(SYSTEMS.get(system, f"ID={system}\n"))
        self.machine = Machine(self.run, str(self.settings), str(release), self.pause)

    def pause(self, _seconds: float) -> None:
        self.paused += 1

    def run(self, args: list[str], _stdin: bytes | None, _timeout: float | None) -> Completed:
        self.ran.append(args)
        if args[0] == "docker":
            if not self.installed:
                raise FileNotFoundError("docker")
            return Completed(args, 0 if self.running else 1, b"20.10.24\n" if self.running else b"", b"")
        if "install" in args or "update" in args:
            if self.failures:
                return Completed(args, 100, b"", self.failures.pop(0).encode())
            self.installed = self.installed or "install" in args
        if args[:2] == ["systemctl", "start"]:
            self.running = True
        return Completed(args, 0, b"", b"")

    def ensure(self, *mirrors: str, check: bool = False) -> Engine:
        return ensure(mirrors, Progress("provider"), self.machine, check=check)

    def words(self) -> list[str]:
        return [" ".join(args) for args in self.ran]


@pytest.mark.parametrize(
    ("system", "package"), [("debian", "docker.io"), ("ubuntu", "docker.io"), ("amazon", "docker")]
)
def test_installed_by_the_systems_own_package(tmp_path: Path, system: str, package: str) -> None:
    host = Host(tmp_path, system)
    engine = host.ensure(MIRROR)
    assert (engine.changed, engine.version, engine.packages) == (True, "20.10.24", [package])
    assert engine.files == [str(host.settings)]
    assert json.loads(host.settings.read_text()) == {**LOG_LIMITS, "registry-mirrors": [MIRROR]}
    again = host.ensure(MIRROR)
    assert (again.changed, again.packages, again.files) == (False, [], [])


def test_an_engine_that_is_there_keeps_its_settings(tmp_path: Path) -> None:
    host = Host(tmp_path, "arch", installed=True, running=True)
    host.settings.parent.mkdir()
    host.settings.write_text('{"data-root": "/mnt", "registry-mirrors": ["https://other"]}')
    assert host.ensure().changed is False
    engine = host.ensure(MIRROR)
    assert json.loads(host.settings.read_text()) == {"data-root": "/mnt", "registry-mirrors": ["https://other", MIRROR]}
    assert (engine.changed, engine.packages, engine.files) == (True, [], [])
    # Containers that run there are not ended by it.
    assert "systemctl reload docker.service" in host.words()
    assert not any("restart" in words for words in host.words())


def test_a_stopped_engine_is_started(tmp_path: Path) -> None:
    host = Host(tmp_path, installed=True)
    engine = host.ensure()
    assert (engine.changed, engine.packages) == (True, [])
    assert not any("apt-get" in words for words in host.words())


def test_check_changes_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.ensure(MIRROR, check=True).changed is True
    assert not host.settings.exists()
    assert host.words() == ["docker version --format {{.Server.Version}}"]


@pytest.mark.parametrize(
    "said",
    [
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)",
        "E: Failed to fetch http://deb.debian.org/x.deb  404  Not Found",
        "Temporary failure resolving 'deb.debian.org'",
    ],
)
def test_what_may_pass_by_itself_is_tried_three_times(tmp_path: Path, said: str) -> None:
    host = Host(tmp_path)
    host.failures = [said, said]
    assert host.ensure().version == "20.10.24"
    assert host.paused == 2
    host = Host(tmp_path)
    host.failures = [said] * 3
    with pytest.raises(FuelError, match="Failed to run apt-get"):
        host.ensure()


def test_what_does_not_pass_is_said_at_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.failures = ["E: Unable to locate package docker.io"]
    with pytest.raises(FuelError, match=r"Unable to locate package docker\.io"):
        host.ensure()
    assert host.paused == 0
    host.failures = ["dpkg: error: No space left on device"]
    with pytest.raises(FuelError, match="disk is full"):
        host.ensure()


def test_a_half_configured_dpkg_is_mended_first(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.ensure()
    words = host.words()
    mended = next(number for number, line in enumerate(words) if "dpkg --configure -a" in line)
    assert mended < next(number for number, line in enumerate(words) if "apt-get" in line)


def test_a_system_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(FuelError, match="none can be installed on arch"):
        Host(tmp_path, "arch").ensure()


@pytest.mark.parametrize("mirror", ["mirror", "ftp://mirror", "https://a b", "https://m/$(id)", "--option"])
def test_what_is_no_mirror(tmp_path: Path, mirror: str) -> None:
    with pytest.raises(UsageError, match="no registry mirror"):
        Host(tmp_path).ensure(mirror)


def test_settings_that_cannot_be_read(tmp_path: Path) -> None:
    host = Host(tmp_path, installed=True, running=True)
    host.settings.parent.mkdir()
    host.settings.write_text("{")
    with pytest.raises(FuelError, match="cannot be read as JSON"):
        host.ensure(MIRROR)
