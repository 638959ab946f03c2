# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor: whatever happens, nothing of the tree is left, and the lock says so."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

#: A child, a grandchild, a double-forked orphan in a session of its own, and one that ignores SIGTERM.
TREE = """
import os, signal, subprocess, sys, time
mark = sys.argv[1]
subprocess.Popen(["sh", "-c", f"sleep 1000 & sleep 1000 # {mark}"])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.execvp("sh", ["sh", "-c", f"trap '' TERM HUP; while :; do sleep 1; done # {mark}"])
    os._exit(0)
open(sys.argv[2], "w").write("up")
time.sleep(float(sys.argv[3]))
"""


def alive(mark: str) -> list[int]:
    """Processes whose command line or environment bears the mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            command = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if state not in "ZX" and mark.encode() in command:
            found.append(int(entry.name))
    return found


def wait_until(condition: Callable[[], object], seconds: float = 240) -> float:
    """Seconds until `condition()` holds. Generous, because it costs nothing where it is not needed."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if condition():
            return time.monotonic() - begun
        time.sleep(0.05)
    raise AssertionError("it never came true")


def group_is_gone(group: int) -> bool:
    """Whether no process of this group lives: one that was killed is still there for a moment."""
    for entry in Path("/proc").glob("[1-9]*/stat"):
        try:
            state, _parent, its_group = entry.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state not in "ZX":
            return False
    return True


def held(lock: Path) -> bool:
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.fixture
def mark(tmp_path: Path) -> str:
    return f"MARK{abs(hash(str(tmp_path)))}"


def supervised(tmp_path: Path, mark: str, seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "fuelctl._supervise", "--lock", str(tmp_path / "lock"), "--"]
    command += [sys.executable, "-c", TREE, mark, str(tmp_path / "up"), str(seconds)]
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root, "MARK": mark})


@pytest.mark.parametrize("ending", ["life line cut", "SIGTERM", "command ended"])
def test_nothing_is_left(tmp_path: Path, mark: str, ending: str) -> None:
    with supervised(tmp_path, mark, 0.5 if ending == "command ended" else 1000) as process:
        wait_until((tmp_path / "up").exists)
        if ending != "command ended":
            wait_until(lambda: len(alive(mark)) >= 5)
            assert held(tmp_path / "lock")
        if ending == "life line cut":
            assert process.stdin is not None
            process.stdin.close()
        elif ending == "SIGTERM":
            process.terminate()
        wait_until(lambda: not alive(mark))
        assert process.wait(240) == (0 if ending == "command ended" else 137)
    assert not held(tmp_path / "lock")


def test_a_parent_killed_with_9_takes_the_tree_along(tmp_path: Path, mark: str) -> None:
    parent = (
        "import subprocess, sys, time\np = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\ntime.sleep(1000)\n"
    )
    command = [sys.executable, "-m", "fuelctl._supervise", "--lock", str(tmp_path / "lock"), "--"]
    command += [sys.executable, "-c", TREE, mark, str(tmp_path / "up"), "1000"]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", parent, *command], env={**os.environ, "PYTHONPATH": root}) as process:
        wait_until((tmp_path / "up").exists)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: not alive(mark))
    wait_until(lambda: not held(tmp_path / "lock"))


def test_the_command_dies_with_a_supervisor_killed_with_9_and_strays_keep_the_lock(tmp_path: Path, mark: str) -> None:
    with supervised(tmp_path, mark, 1000) as process:
        wait_until((tmp_path / "up").exists)
        process.kill()
        process.wait()
    strays = alive(mark)
    if strays:
        # Nobody is told that the environment is free while something that was started for it may still work on it.
        assert held(tmp_path / "lock")

    def ended() -> bool:
        for stray in alive(mark):
            with suppress(ProcessLookupError):
                os.kill(stray, signal.SIGKILL)
        return not alive(mark) and not held(tmp_path / "lock")

    wait_until(ended)


@pytest.mark.parametrize(
    ("script", "code"), [("exit(0)", 0), ("exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_exit_code_is_the_commands(tmp_path: Path, script: str, code: int) -> None:
    command = [sys.executable, "-m", "fuelctl._supervise", "--lock", str(tmp_path / "lock"), "--", sys.executable, "-c"]
    with subprocess.Popen([*command, script], stdin=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        wait_until(lambda: process.poll() is not None)
    assert process.returncode == code
