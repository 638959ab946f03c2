# SPDX-License-Identifier: GPL-3.0-or-later
"""One at a time, with nothing left of the lock."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container import _lock


def test_only_one_is_inside_and_no_file_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(_lock.Path, "home", lambda: tmp_path)
    inside = 0
    most = 0

    def work():
        nonlocal inside, most
        for _turn in range(20):
            with _lock.only_one("x"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.001)
                inside -= 1

    threads = [threading.Thread(target=work) for _number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list((tmp_path / ".local/state/fuel-code/locks").iterdir()) == []


def test_no_place_for_a_lock_stops_nobody(tmp_path, monkeypatch):
    (tmp_path / ".local").write_text("in the way")
    monkeypatch.setattr(_lock.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(_lock.Path, "home", lambda: tmp_path)
    with _lock.only_one("x"), _lock.only_one("x"):
        assert Path(tmp_path / ".local").is_file()
