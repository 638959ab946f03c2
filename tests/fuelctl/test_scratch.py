# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary folders of killed processes: removed by the next one, and never those of a living one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fuelctl import paths, source
from fuelctl._shared import _scratch
from fuelctl._shared._workspace import _pack, _place
from tests.fuelctl.stage import git, repository
from tests.fuelctl.test_supervise import group_is_gone, wait_until

ROOT = Path(__file__).parents[2]
#: A git that writes for ever: whoever started it can be killed in the middle.
SLOW_GIT = """#!/bin/sh
for word in "$@"; do
  case $word in bundle | add) sleep 600 ;; esac
done
exec {git} "$@"
"""
OF_A_MODULE = "from fuelctl._shared._workspace import _place\nwith _place.open_source({place!r}): pass"
OF_UP = "from fuelctl import source\nsource.pack(source.inspect({place!r}), {place!r} + '.tar')"
OF_A_BRANCH = "from fuelctl import source\nimport time\nsource.inspect({place!r}, branch='other')\ntime.sleep(600)"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def kill_when(code: str, reached: Callable[[], object], path: str) -> None:
    """Run `code` in a process of its own, and end it with kill -9 (its git too, as an OOM killer might) when there."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        start_new_session=True,
        env={**os.environ, "PATH": path + os.pathsep + os.environ["PATH"]},
    )
    try:
        wait_until(lambda: bool(reached()))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: group_is_gone(process.pid))


@pytest.mark.parametrize("code", [OF_A_MODULE, OF_UP])
def test_what_a_killed_packing_leaves_goes_with_the_next_one(tmp_path: Path, temporary: Path, code: str) -> None:
    place = repository(tmp_path / "repo")
    (place / "draft").write_text("secret\n")
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    real = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True, check=True).stdout.strip()
    slow.write_text(SLOW_GIT.format(git=real))
    slow.chmod(0o755)

    def left() -> list[str]:
        packs = paths.cache_folder() / "sources"
        return sorted(item.name for item in [*temporary.iterdir(), *(packs.iterdir() if packs.is_dir() else ())])

    kill_when(code.format(place=str(place)), lambda: any("bundle" in name for name in left()), str(slow.parent))
    assert any("fuel-bundle-" in name for name in left())
    for folder in temporary.iterdir():
        assert folder.stat().st_mode & 0o777 == 0o700
    with _place.open_source(str(place)):
        pass
    source.pack(source.inspect(place), tmp_path / "source.tar")
    assert left() == []


def test_the_exported_tree_of_a_killed_up_goes_with_the_next(tmp_path: Path, temporary: Path) -> None:
    place = repository(tmp_path / "repo")
    git(place, "branch", "other")
    sources = paths.cache_folder() / "sources"
    kill_when(OF_A_BRANCH.format(place=str(place)), lambda: list(sources.glob("tree-*/tree/README.md")), "")
    assert len(list(sources.iterdir())) == 1
    source.sweep()
    assert list(sources.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_a_living_owners_folder_stays_however_old(tmp_path: Path) -> None:
    with _scratch.scratch(_scratch.BUNDLE, str(tmp_path)) as mine:
        os.utime(mine, (0, 0))
        assert _scratch.sweep(str(tmp_path)) == 0
        assert Path(mine).is_dir()
    assert not Path(mine).exists()


def test_only_what_is_ours_is_swept(tmp_path: Path) -> None:
    (tmp_path / "fuel-bundle-file").write_text("x")
    (tmp_path / "fuel-bundle-link").symlink_to(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "fuel-bundle-dead").mkdir()
    (tmp_path / "fuel-bundle-dead" / "x").write_text("x")
    assert _scratch.sweep(str(tmp_path)) == 1
    assert sorted(item.name for item in tmp_path.iterdir()) == ["fuel-bundle-file", "fuel-bundle-link", "other"]
    assert _scratch.sweep(str(tmp_path / "nowhere")) == 0


def test_nobody_loses_a_new_folder_to_a_sweeper(tmp_path: Path) -> None:
    stop = threading.Event()

    def sweeping() -> None:
        while not stop.is_set():
            _scratch.sweep(str(tmp_path))

    sweeper = threading.Thread(target=sweeping)
    sweeper.start()
    try:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            with _scratch.scratch(_scratch.SOURCE, str(tmp_path)) as mine:
                Path(mine, "file").write_text("x")
                assert Path(mine, "file").exists()
    finally:
        stop.set()
        sweeper.join()
    assert list(tmp_path.iterdir()) == []


def test_every_bundle_is_made_in_a_folder_that_is_swept() -> None:
    for module in (_pack, _place):
        text = Path(str(module.__file__)).read_text()
        assert "tempfile" not in text, "a folder made there would be left by a kill"
