# SPDX-License-Identifier: GPL-3.0-or-later
"""The timer that powers a machine off: believed only when systemd says that it waits for the time in its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _machine_timer
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Completed
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2._user_data import calendar, timer
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError

AT = 1_795_000_000


class Systemd:
    """Shows what it loaded: the file as it was at the last daemon-reload."""

    def __init__(self, path: Path, *, active: bool = True) -> None:
        self.path, self.active = path, active
        self.loaded = path.read_text() if path.exists() else ""

    def __call__(self, args: list[str], _stdin: bytes | None, _timeout: float | None) -> Completed:
        if args[1] == "daemon-reload":
            self.loaded = self.path.read_text()
        if args[1] != "show":
            return Completed(args, 0, b"", b"")
        at = self.loaded.partition("OnCalendar=")[2].partition("\n")[0]
        shown = f"ActiveState={'active' if self.active else 'inactive'}\nTimersCalendar={{ OnCalendar={at} }}\n"
        return Completed(args, 0, shown.encode(), b"")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fuel-code-watchdog.timer"
    path.write_text(timer(AT))
    return path


def test_read_back(file: Path) -> None:
    assert _machine_timer.present(str(file))
    assert _machine_timer.deadline(Systemd(file), str(file)) == AT


def test_moved_and_read_back(file: Path) -> None:
    systemd = Systemd(file)
    _machine_timer.move(AT + 7200, systemd, str(file))
    assert _machine_timer.deadline(systemd, str(file)) == AT + 7200
    assert calendar(AT + 7200) in file.read_text()


def test_one_that_does_not_run_is_not_armed(file: Path) -> None:
    with pytest.raises(FuelError, match="does not run"):
        _machine_timer.deadline(Systemd(file, active=False), str(file))


def test_one_that_waits_for_another_time_is_not_armed(file: Path) -> None:
    systemd = Systemd(file)
    file.write_text(timer(AT - 60))
    with pytest.raises(FuelError, match="another time than its file says"):
        _machine_timer.deadline(systemd, str(file))


def test_a_machine_without_one(tmp_path: Path) -> None:
    path = tmp_path / "none.timer"
    assert not _machine_timer.present(str(path))
    with pytest.raises(FuelError, match="not armed"):
        _machine_timer.deadline(Systemd(path), str(path))
