# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""A command's output into a file, within a size and a time: whoever writes it is not trusted with either."""

from __future__ import annotations

import hashlib
import os
import selectors
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import IO, List, Optional, cast

from .._errors import FuelError

_BLOCK = 1 << 20


class Deadline:
    """A moment that nothing outlasts."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; FuelError `rescue_timeout` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise FuelError("the rescue took longer than it may", code="rescue_timeout")
        return left


@dataclass(frozen=True)
class Part:
    """One file of a rescue."""

    size: int
    sha256: str


def stream_out(argv: List[str], stdin: bytes, target: str, most: int, deadline: Deadline) -> Part:
    """Run `argv` with its output in the new file `target`: at most `most` bytes, until `deadline`; FuelError else."""
    digest, size = hashlib.sha256(), 0
    try:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise FuelError(f"cannot run {argv[0]}: {error.strerror}", code="rescue_failed") from error
    output, errors = cast("IO[bytes]", process.stdout), cast("IO[bytes]", process.stderr)
    said = _Tail(errors)
    feeder = threading.Thread(target=_feed, args=(cast("IO[bytes]", process.stdin), stdin), daemon=True)
    feeder.start()
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file, selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while True:
                if not selector.select(min(1.0, deadline.left())):
                    continue
                block = os.read(output.fileno(), _BLOCK)
                if not block:
                    break
                size += len(block)
                if size > most:
                    raise FuelError(
                        f"it is larger than the {most} bytes that a rescue may have", code="rescue_too_large"
                    )
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        code = process.wait(deadline.left())
    except subprocess.TimeoutExpired as error:
        raise FuelError("the rescue took longer than it may", code="rescue_timeout") from error
    except OSError as error:
        raise FuelError(f"cannot write it: {error.strerror}", where=target, code="rescue_failed") from error
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        told = said.text()
        output.close()
        errors.close()
    if code:
        raise FuelError(f"the container could not give it out: {told or f'exit code {code}'}", code="rescue_failed")
    return Part(size, digest.hexdigest())


class _Tail:
    """The end of what a process says on stderr."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._held = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                block = os.read(self._pipe.fileno(), 65536)
            except (OSError, ValueError):
                return
            if not block:
                return
            self._held = (self._held + block)[-4096:]

    def text(self) -> Optional[str]:
        """Its last line."""
        self._thread.join(1)
        lines = self._held.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else None


def _feed(pipe: IO[bytes], data: bytes) -> None:
    try:
        pipe.write(data)
        pipe.close()
    except OSError:
        # It ended early; its exit code says why.
        return


def digest_of(path: str) -> Part:
    """A file's size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            digest.update(block)
            size += len(block)
    return Part(size, digest.hexdigest())
