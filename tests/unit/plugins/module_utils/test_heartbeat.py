# SPDX-License-Identifier: GPL-3.0-or-later
"""The heartbeat's files on a machine: whole or not there, its token in one that root alone can read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _heartbeat
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Completed
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import _user_data
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError

ID = "01JD3Z5Q8W6S9X4V7T2R1P0N8M"
URL = f"https://fuel.example.com/api/remote/{ID}/heartbeat"


class Systemd:
    """Notes what it is asked; `refuses` to enable."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses = False
        self.active = False

    def __call__(self, argv: list[str], _stdin: bytes | None, _timeout: float | None) -> Completed:
        self.asked.append(argv[1])
        if argv[1] == "enable":
            self.active = not self.refuses
        fails = (argv[1] == "is-active" and not self.active) or (argv[1] == "enable" and self.refuses)
        return Completed(argv, int(fails), b"", b"no")


@pytest.fixture
def systemd() -> Systemd:
    return Systemd()


@pytest.fixture
def place(tmp_path: Path, systemd: Systemd) -> _heartbeat.Place:
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    return _heartbeat.Place(str(tmp_path), systemd)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("its-own-token\n")
    return file


def files(root: Path) -> list[Path]:
    return sorted(each for each in root.rglob("*") if each.is_file())


def arm(place: _heartbeat.Place, token: Path, one: str = ID, url: str = URL) -> bool:
    changed: bool = _heartbeat.arm(one, "box", url, str(token), place)
    return changed


def test_a_repeat_changes_nothing_and_a_new_token_does(
    tmp_path: Path, place: _heartbeat.Place, systemd: Systemd, token: Path
) -> None:
    assert arm(place, token)
    assert systemd.asked == ["is-active", "daemon-reload", "enable"]
    assert not arm(place, token)
    assert systemd.asked[3:] == ["is-active"]
    token.write_text("another-token")
    assert arm(place, token)
    assert [each for each in files(tmp_path) if each.suffix == ".new"] == []


def test_a_machine_of_ours_is_asked_more_often_what_its_cloud_says(
    tmp_path: Path, place: _heartbeat.Place, token: Path
) -> None:
    def every() -> str:
        [timer] = (tmp_path / "etc/systemd/system").glob("fuel-code-heartbeat-*.timer")
        [line] = [one for one in timer.read_text().splitlines() if one.startswith("OnUnitInactiveSec=")]
        return line.partition("=")[2]

    arm(place, token)
    assert every() == "30"
    ours = tmp_path / _user_data.TIMER_PATH.lstrip("/")
    ours.parent.mkdir(parents=True, exist_ok=True)
    ours.touch()
    assert arm(place, token)
    assert every() == "5"


def test_the_token_is_in_one_file_that_nobody_else_can_read(
    tmp_path: Path, place: _heartbeat.Place, token: Path
) -> None:
    arm(place, token)
    [header] = [each for each in files(tmp_path) if "its-own-token" in each.read_text() and each != token]
    assert stat.S_IMODE(header.stat().st_mode) == 0o600
    assert stat.S_IMODE(header.parent.stat().st_mode) == 0o700


def test_it_goes_without_a_trace_and_leaves_a_neighbours(tmp_path: Path, place: _heartbeat.Place, token: Path) -> None:
    before = files(tmp_path)
    other = ID[:-1] + "N"
    arm(place, token, other)
    between = files(tmp_path)
    arm(place, token)
    assert _heartbeat.armed(ID, place)
    for _turn in range(2):
        assert _heartbeat.disarm(ID, place)
        assert files(tmp_path) == between
    assert _heartbeat.disarm(other, place)
    assert files(tmp_path) == before
    assert not (tmp_path / "var/lib/fuel-code/heartbeat").exists()


def test_a_half_made_one_is_completed_and_goes_too(
    tmp_path: Path, place: _heartbeat.Place, systemd: Systemd, token: Path
) -> None:
    before = files(tmp_path)
    systemd.refuses = True
    with pytest.raises(FuelError, match="does not take"):
        arm(place, token)
    systemd.refuses = False
    assert arm(place, token)
    (tmp_path / "etc/systemd/system" / f"{_heartbeat.unit_of(ID)}.timer").unlink()
    assert _heartbeat.disarm(ID, place)
    assert files(tmp_path) == before


@pytest.mark.parametrize("url", ["file:///etc/passwd", "https://x y", "http://x\n-o/etc/passwd", ""])
def test_what_is_no_address_is_refused(place: _heartbeat.Place, token: Path, url: str) -> None:
    with pytest.raises(FuelError):
        arm(place, token, url=url)


@pytest.mark.parametrize("text", ["", "short", "two words of it", "x" * 2000, 'quoted"token'])
def test_what_is_no_token_is_refused(place: _heartbeat.Place, token: Path, text: str) -> None:
    token.write_text(text)
    with pytest.raises(FuelError):
        arm(place, token)


@pytest.mark.parametrize("one", ["../../etc", "x", "", f"{ID}/.."])
def test_an_id_leads_nowhere_else(place: _heartbeat.Place, token: Path, one: str) -> None:
    with pytest.raises(FuelError):
        arm(place, token, one)
    with pytest.raises(FuelError):
        _heartbeat.disarm(one, place)
