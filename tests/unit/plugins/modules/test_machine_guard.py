# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine's host key: replaced once, and sshd told however often it takes."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.fuel_code.remote.plugins.modules import machine_guard


@pytest.fixture
def told(monkeypatch):
    """How often sshd was told to read its keys."""
    times = []
    monkeypatch.setattr(machine_guard, "_reload", lambda: times.append(1))
    return times


@pytest.fixture
def pair(tmp_path):
    file = tmp_path / "wanted"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file)], check=True)
    return file


def test_it_is_replaced_with_both_halves(tmp_path, told, pair):
    path = tmp_path / "ssh_host_ed25519_key"
    path.write_text("another\n")
    assert machine_guard.replace_host_key(pair.read_text(), str(path), check=False)
    assert path.read_text() == pair.read_text()
    assert path.with_suffix(".pub").read_text().split()[:2] == pair.with_suffix(".pub").read_text().split()[:2]
    assert path.stat().st_mode & 0o777 == 0o600
    assert told == [1]
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []


def test_killed_before_sshd_was_told(tmp_path, told, pair):
    """The key is there already, and nobody knows whether sshd has read it."""
    path = tmp_path / "ssh_host_ed25519_key"
    path.write_text(pair.read_text())
    assert not machine_guard.replace_host_key(pair.read_text(), str(path), check=False)
    assert told == [1]


def test_check_mode_tells_nobody(tmp_path, told, pair):
    path = tmp_path / "ssh_host_ed25519_key"
    path.write_text("another\n")
    assert machine_guard.replace_host_key(pair.read_text(), str(path), check=True)
    assert path.read_text() == "another\n"
    assert told == []
