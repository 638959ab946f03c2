# SPDX-License-Identifier: GPL-3.0-or-later
"""The private folder of a run: gone after it, also when its process was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fuelctl import _run_files

HOLD = """
import sys, time
from pathlib import Path
from fuelctl import _run_files
_run_files._memory = lambda: Path(sys.argv[1])
with _run_files.private_data(Path(sys.argv[1])) as folder:
    (folder / "secret").write_text("s")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_killed_runs_folder_goes_with_the_next_run_and_a_living_ones_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_run_files, "_memory", lambda: tmp_path)
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _which in range(2)]
    try:
        killed, living = (Path(run.stdout.readline().strip()) for run in runs if run.stdout)
        runs[0].send_signal(signal.SIGKILL)
        runs[0].wait()
        assert (killed / "secret").exists()
        for folder in (killed, living):
            os.utime(folder, (time.time() - 3600,) * 2)
        young = tmp_path / "fuelctl-run-young"
        young.mkdir()
        with _run_files.private_data(tmp_path) as mine:
            assert mine.is_dir()
            assert not killed.exists()
            assert (living / "secret").exists()
            assert young.is_dir()
        assert not mine.exists()
    finally:
        for run in runs:
            run.kill()
            run.communicate()


def test_a_service_without_memory_to_share_works_in_its_own_folder_and_not_below_its_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = tmp_path / "run"
    service.mkdir()
    monkeypatch.setattr(_run_files, "_MEMORY", (tmp_path / "nothing",))
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{service}:{tmp_path / 'second'}")
    with _run_files.private_data(tmp_path / "home") as folder:
        assert folder.parent == service
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    with _run_files.private_data(tmp_path / "home") as folder:
        assert folder.parent == tmp_path / "home"
