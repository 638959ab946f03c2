# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that nobody waits for: begun at once, ended by itself, in nobody's way."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ansible_collections.fuel_code.remote.plugins.module_utils._apart import apart


def told(file: Path) -> str:
    """What it wrote, once it has."""
    for _turn in range(12_000):
        if file.exists() and file.read_text():
            return file.read_text()
        time.sleep(0.02)
    raise AssertionError("it was not done")


def test_it_goes_on_in_a_session_of_its_own(tmp_path):
    def work():
        # Until nobody can have waited for it any more.
        for _turn in range(12_000):
            if (tmp_path / "go").exists():
                (tmp_path / "said").write_text(f"{os.getsid(0)}")
                return
            time.sleep(0.02)

    apart(work)
    assert not (tmp_path / "said").exists()
    (tmp_path / "go").touch()
    assert int(told(tmp_path / "said")) != os.getsid(0)


def test_its_output_is_nobodys(tmp_path, capfd):
    def work():
        os.write(1, b"printed")
        os.write(2, b"complained")
        (tmp_path / "said").write_text(str(Path("/proc/self/fd/1").readlink()))

    apart(work)
    assert told(tmp_path / "said") == os.devnull
    assert capfd.readouterr() == ("", "")


def test_what_it_raises_ends_only_itself(tmp_path):
    def work():
        (tmp_path / "said").write_text("begun")
        raise SystemExit(3)

    apart(work)
    assert told(tmp_path / "said") == "begun"
