# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a team's server, on Postgres, and the one above them that keeps them running.

| part | what it does |
|---|---|
| `web` | gunicorn and its processes: HTTP |
| `followers` | everybody who follows the log by WebSocket; the web processes hand their connections over |
| `keeper` | reaper and housekeeping, while it holds the database's lease |

What they share, the listening socket and the channel for followers, belongs to the process above: whichever of them is
killed and begun again, nobody who connects meanwhile is turned away. The parts end when it does: each holds the other
end of its life line, a pipe.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fuelctl import paths
from fuelctl.config import Settings
from fuelctl.server import metrics
from fuelctl.serving.begin import listen

_logger = logging.getLogger(__name__)
#: Seconds for which requests under way are waited for.
GRACE_SECONDS = 20
_TICK = 1.0
#: Seconds until one that ended is begun again: at first, and at most when it keeps ending.
_AGAIN = 0.2
_SLOWEST = 10.0
#: One that has run for so long has begun well.
_WELL = 15.0


@dataclass
class _Part:
    name: str
    descriptors: dict[str, int]
    options: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    failures: int = 0
    not_before: float = 0.0


class Crew:
    """All processes of one server."""

    def __init__(self, bind: str, settings: Settings) -> None:
        self._bind = bind
        self._settings = settings
        self._stopping = False
        self._parts: list[_Part] = []
        self._figures = ""

    def run(self) -> None:
        """Until SIGTERM, and until all of them have ended."""
        listener = listen(self._bind)
        give, take = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        life, line = os.pipe()
        shared = {"life": life}
        self._parts = [
            _Part("followers", {**shared, "channel": take.fileno()}),
            _Part("keeper", shared),
            _Part(
                "web",
                {**shared, "listener": listener.fileno(), "channel": give.fileno()},
                {"processes": self._settings.processes},
            ),
        ]
        try:
            # Where its processes count together; what an earlier server counted is over.
            with (
                tempfile.TemporaryDirectory(prefix="figures-", dir=paths.state_folder()) as figures,
                _Wakeup() as wakeup,
            ):
                self._figures = os.environ[metrics.SHARED] = figures
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, self._on_stop)
                while not self._stopping:
                    self._tend()
                    wakeup.wait(_TICK)
                self._end()
        finally:
            os.close(line)
            os.close(life)
            for each in (listener, give, take):
                each.close()
            if self._bind.startswith("unix:"):
                Path(self._bind.removeprefix("unix:")).unlink(missing_ok=True)

    def _on_stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _tend(self) -> None:
        """Begin what does not run."""
        now = time.monotonic()
        for part in self._parts:
            if part.process is not None and (code := part.process.poll()) is not None:
                well = now - part.began > _WELL
                part.failures = 0 if well else part.failures + 1
                delay = min(_SLOWEST, _AGAIN * 2**part.failures)
                metrics.forget(part.process.pid)
                part.process, part.not_before = None, now + delay
                _logger.warning("%s ended with %d; it begins again in %.1f s", part.name, code, delay)
            if part.process is None and now >= part.not_before:
                self._begin(part)

    def _begin(self, part: _Part) -> None:
        facts = {**part.descriptors, **part.options, "crew": os.getpid()}
        part.began = time.monotonic()
        part.process = subprocess.Popen(
            [sys.executable, "-m", "fuelctl.serving.part", part.name, self._bind, json.dumps(facts)],
            stdin=subprocess.DEVNULL,
            pass_fds=sorted(set(part.descriptors.values())),
            env={**os.environ, **self._environment()},
        )

    def _environment(self) -> dict[str, str]:
        """The settings that this process was given otherwise; a database's URL is shown to nobody this way."""
        root = str(Path(__file__).resolve().parents[2])
        inherited = os.environ.get("PYTHONPATH")
        return {
            metrics.SHARED: self._figures,
            "FUELCTL_DATABASE": self._settings.database,
            "PYTHONPATH": os.pathsep.join([root, inherited] if inherited else [root]),
        }

    def _end(self) -> None:
        """Tell all of them, HTTP first in line; who does not end in time is ended."""
        running = [part for part in self._parts if part.process is not None]
        for part in running:
            if part.process is not None:
                part.process.terminate()
        end = time.monotonic() + GRACE_SECONDS + 5
        for part in running:
            if part.process is None:
                continue
            try:
                part.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                _logger.warning("%s does not end; it is killed", part.name)
                part.process.kill()
                part.process.wait()


class _Wakeup:
    """Sleeps until a signal comes: one to stop, or that of a child that ended."""

    def __enter__(self) -> _Wakeup:
        self._read, self._write = os.pipe()
        for descriptor in (self._read, self._write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def wait(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._read, selectors.EVENT_READ)
            if selector.select(seconds):
                with suppress(BlockingIOError):
                    os.read(self._read, 4096)

    def __exit__(self, *exception: object) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._read)
        os.close(self._write)
