# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m fuelctl._supervise --lock FILE [--lock FILE...] [--pulse SECONDS] -- COMMAND...`: leave nothing behind.

Standard input is the life line: when it reaches its end, because the parent died or asks for it, the whole process
tree is killed, double-forked children included (they come to us, the child subreaper). With `--pulse`, a parent that
has written nothing to it for so long counts as dead as well: it may be stopped, or cut off from what it works for. The
locks are held for as long as the tree lives, so whoever takes one next knows that nobody works on that environment any
more.
Exit code: the command's own; 128 + N when signal N ended it; 75 when the lock was not to be had in time.
Nothing but the standard library: this process must start at once and never fail for a dependency's sake.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOCK_SECONDS = 30.0
_LOCK_BUSY = 75
_USAGE = 64


def main(arguments: list[str]) -> int:
    """See the module's docstring."""
    locks, pulse, command = _parsed(arguments)
    if not locks or not command:
        sys.stderr.write("usage: _supervise --lock FILE [--lock FILE...] [--pulse SECONDS] -- COMMAND...\n")
        return _USAGE
    line = _Line(pulse)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # A polite signal to us is a wish to end the tree; ending without doing so is what must not happen.
    wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    held: list[int] = []
    # In one order: of two that want several, none waits for the other.
    for file in sorted(set(locks)):
        lock = _take(Path(file), line)
        if lock is None:
            return _LOCK_BUSY
        held.append(lock)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        # The locks outlive even us: the child holds them too.
        pass_fds=held,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - single-threaded here, and nothing else can say it
    ) as child:
        asked = _watch(child, wake, line)
        _end_tree()
        code = child.wait()
    if asked and code == 0:
        return 128 + signal.SIGTERM
    return code if code >= 0 else 128 - code


def _parsed(arguments: list[str]) -> tuple[list[str], float | None, list[str]]:
    """Locks, pulse and command; no command when they cannot be read."""
    locks: list[str] = []
    pulse = None
    rest = list(arguments)
    while len(rest) > 1 and rest[0] in ("--lock", "--pulse"):
        option, value, *rest = rest
        if option == "--lock":
            locks.append(value)
        else:
            pulse = float(value)
    return locks, pulse, rest[1:] if rest[:1] == ["--"] else []


class _Line:
    """The life line on standard input."""

    def __init__(self, pulse: float | None) -> None:
        self._pulse = pulse
        self._heard = time.monotonic()

    def left(self) -> float | None:
        """Seconds of silence that are still borne; None for ever."""
        return None if self._pulse is None else max(0.0, self._pulse - (time.monotonic() - self._heard))

    def is_cut(self, *, readable: bool) -> bool:
        """Whether nobody holds its other end any more, or whoever does has been silent for too long."""
        if readable:
            if not os.read(0, 4096):
                return True
            self._heard = time.monotonic()
        return self.left() == 0


def end_tree_without_supervisor() -> None:
    """For the command itself to call: when its supervisor is killed, it ends its own tree before it goes.

    It holds the lock meanwhile, which what it starts need not do.
    """

    def orphaned(*_: object) -> None:
        _end_tree()
        os._exit(128 + signal.SIGKILL)

    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGUSR1, orphaned)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1)


def _watch(child: subprocess.Popen[bytes], wake: int, line: _Line) -> bool:
    """Until the child has ended (False) or somebody wants it to (True)."""
    while True:
        readable = select.select([0, wake], [], [], line.left())[0]
        if line.is_cut(readable=0 in readable):
            return True
        if wake in readable:
            numbers = os.read(wake, 4096)
            if any(number != signal.SIGCHLD for number in numbers):
                return True
            _reap(child.pid)
            if child.poll() is not None:
                return False


def _end_tree() -> None:
    """Kill every descendant, again and again until there is none: one that forks meanwhile is met in the next round."""
    while True:
        tree = _descendants(os.getpid())
        if not tree:
            return
        # Stopped first, parents before children, so that nobody forks while the list is worked through.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in tree:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)
        time.sleep(0.005)


def _descendants(root: int) -> list[int]:
    """Living descendants of `root`, parents before children; zombies are dead already."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The command's name may hold anything, also ") R 1": the fields begin after the last parenthesis.
            fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
            if fields[0] not in (b"Z", b"X"):
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    queue = [root]
    while queue:
        following = children.get(queue.pop(0), [])
        found += following
        queue += following
    return found


def _reap(child: int) -> None:
    """Collect the orphans that have come to us and ended; `child` itself is left to its Popen."""
    with contextlib.suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == child:
                return
            os.waitpid(ended.si_pid, 0)


def _take(file: Path, line: _Line) -> int | None:
    """The lock's descriptor; None when it cannot be had in time or nobody wants it any more."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if line.is_cut(readable=bool(select.select([0], [], [], 0.05)[0])):
                return None
        else:
            return descriptor
    return None


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
