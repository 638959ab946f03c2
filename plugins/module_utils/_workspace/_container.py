# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Fixed shell scripts run in a container; whatever varies reaches them on stdin, never on a command line."""

from __future__ import annotations

import base64
import os
import selectors
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import IO, Callable, List, Optional, cast

from .._docker import Completed, Docker, docker_error, is_engine_error, run_command
from .._errors import FuelError

#: More than this of one script's answer is cut: a container is not trusted to be brief.
_LIMIT = 4 * 1024 * 1024


@dataclass
class Streamed:
    """How a streamed script ended; `output` is stdout and stderr together, cut to its last part."""

    returncode: int
    output: bytes


def line(text: str) -> bytes:
    """One value as one line of base64, as the scripts' `field` reads it."""
    return base64.b64encode(os.fsencode(text)) + b"\n"


#: Beginning of every script that takes values.
FIELD = 'field() { IFS= read -r encoded; printf %s "$encoded" | base64 -d; }\n'


class Container:
    """One container on this machine's engine, entered as one user."""

    def __init__(self, name: str, user: str, docker: Optional[Docker] = None) -> None:
        self.name = name
        self.user = user
        self.docker = docker or Docker(run_command)

    def state(self) -> str:
        """`running`, another state of the engine's, or `absent`."""
        found = self.docker.inspect([self.name], kind="container")
        return str(found[0]["State"]["Status"]) if found else "absent"

    def script(
        self, script: str, stdin: bytes = b"", *, user: Optional[str] = None, timeout: Optional[float] = 120
    ) -> Completed:
        """Run to the end; an engine or container that cannot be asked raises, a script's own exit code does not."""
        done = self.docker.exec(
            self.name,
            ["sh", "-c", script, "fuel-code"],
            user=user or self.user,
            stdin=stdin,
            check=False,
            timeout=timeout,
        )
        self._check(done)
        return Completed(done.args, done.returncode, done.stdout[:_LIMIT], done.stderr[-65536:])

    def stream(
        self,
        script: str,
        feed: Callable[[IO[bytes]], None],
        *,
        on_output: Optional[Callable[[bytes], None]] = None,
        timeout: Optional[float] = None,
        hold: bool = False,
    ) -> Streamed:
        """Run with `feed` writing stdin meanwhile; with `hold`, stdin stays open, so that our end is an EOF to it."""
        argv = ["docker", "exec", "--interactive", "--user", self.user, self.name, "sh", "-c", script, "fuel-code"]
        try:
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except FileNotFoundError as error:
            raise FuelError("Docker's command line is not installed on this machine", code="docker_missing") from error
        feeder = _Feeder(cast("IO[bytes]", process.stdin), feed, hold)
        output = cast("IO[bytes]", process.stdout)
        try:
            tail, returncode = self._follow(process, output, on_output, timeout)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            feeder.end()
            output.close()
        if feeder.error is not None:
            raise feeder.error
        self._check(Completed(argv, returncode, b"", tail if returncode else b""))
        return Streamed(returncode, tail)

    def _follow(
        self,
        process: "subprocess.Popen[bytes]",
        output: IO[bytes],
        on_output: Optional[Callable[[bytes], None]],
        timeout: Optional[float],
    ) -> "tuple[bytes, int]":
        deadline = None if timeout is None else time.monotonic() + timeout
        tail = b""
        ended = None
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while True:
                if selector.select(0.2):
                    chunk = os.read(output.fileno(), 65536)
                    if not chunk:
                        break
                    tail = (tail + chunk)[-65536:]
                    if on_output is not None:
                        on_output(chunk)
                elif process.poll() is not None:
                    # Something the script left running still holds its output open.
                    ended = ended or time.monotonic()
                    if time.monotonic() - ended > 0.5:
                        break
                if deadline is not None and time.monotonic() > deadline:
                    return tail, 124
        return tail, process.wait()

    def _check(self, done: Completed) -> None:
        ours = done.error_text.startswith(
            ("Error response from daemon", "Error: No such container", "OCI runtime exec failed")
        )
        if done.returncode and (is_engine_error(done) or ours):
            raise docker_error(done)


class _Feeder:
    """Writes a process's stdin in a thread of its own, so that neither side waits for the other."""

    def __init__(self, pipe: IO[bytes], feed: Callable[[IO[bytes]], None], hold: bool) -> None:
        self._pipe = pipe
        self._feed = feed
        self._hold = hold
        self.error: Optional[FuelError] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._feed(self._pipe)
            self._pipe.flush()
        except BrokenPipeError:
            # The script ended early; its exit code says why.
            return
        except OSError as error:
            self.error = FuelError(
                f"cannot send the source: {error.strerror}", where=str(error.filename or "stdin"), code="send_failed"
            )
        if not self._hold:
            self._close()

    def end(self) -> None:
        """Let go of the pipe; call it when the process has ended."""
        self._thread.join(5)
        self._close()

    def _close(self) -> None:
        try:
            self._pipe.close()
        except OSError:
            pass


def last_lines(output: bytes, count: int = 20, characters: int = 4000) -> List[str]:
    """The last lines of a command's output, as text a person reads."""
    text = output.decode("utf-8", "replace").replace("\r\n", "\n")
    return text[-characters:].strip("\n").split("\n")[-count:] if text.strip() else []
