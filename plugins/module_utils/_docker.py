# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The Docker engine through its own CLI: argument lists in, typed answers and errors out.

The CLI knows about contexts, DOCKER_HOST, ssh:// and TLS, so nothing here has to. Each call costs about
50 ms: callers batch.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import IO, Any, Callable, Dict, List, Optional, Sequence, Tuple, cast

from ._errors import FuelError


@dataclass(frozen=True)
class Completed:
    """An ended command; `stdout` and `stderr` are raw bytes."""

    args: List[str]
    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """stdout as text, undecodable bytes replaced, surrounding space removed."""
        return self.stdout.decode("utf-8", "replace").strip()

    @property
    def error_text(self) -> str:
        """stderr as text, the same way."""
        return self.stderr.decode("utf-8", "replace").strip()


#: (argv, stdin, timeout in seconds) -> Completed. Raises FileNotFoundError when argv[0] is not installed.
Run = Callable[[List[str], Optional[bytes], Optional[float]], Completed]


#: More than this of one stream ends the command: whoever is inside a container decides what it answers.
OUTPUT_LIMIT = 64 * 1024 * 1024


def run_command(args: List[str], stdin: Optional[bytes], timeout: Optional[float]) -> Completed:
    """The real runner: no shell, stdin closed unless given; FuelError code `timeout` or `output_limit` ends it."""
    process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    streams = (cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout), cast("IO[bytes]", process.stderr))
    readers = [_Reader(stream, process.kill) for stream in streams[1:]]
    feeder = threading.Thread(target=_feed, args=(streams[0], stdin or b""), daemon=True)
    feeder.start()
    deadline = None if timeout is None else time.monotonic() + timeout
    late = False
    try:
        for reader in readers:
            reader.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        late = any(reader.is_alive() for reader in readers)
    finally:
        if any(reader.is_alive() for reader in readers):
            process.kill()
        returncode = process.wait()
        for thread in (*readers, feeder):
            # What the command itself started may still hold a pipe.
            thread.join(1)
        for reader, stream in zip(readers, streams[1:]):
            if not reader.is_alive():
                stream.close()
    if late:
        raise FuelError(
            f"Failed to run {' '.join(args[:3])}: no answer within {timeout:.0f} s",
            hint="look at the machine's load and at the engine's log",
            code="timeout",
        )
    if any(reader.cut for reader in readers):
        raise FuelError(
            f"Failed to run {' '.join(args[:3])}: it answered with more than {OUTPUT_LIMIT >> 20} MiB",
            hint="something inside the container does not behave; end the environment if you do not know it",
            code="output_limit",
        )
    return Completed(list(args), returncode, *(bytes(reader.content) for reader in readers))


class _Reader(threading.Thread):
    """Reads one stream to its end or to the limit, at which it calls `give_up`."""

    def __init__(self, stream: IO[bytes], give_up: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.content = bytearray()
        self.cut = False
        self._stream = stream
        self._too_much = give_up
        self.start()

    def run(self) -> None:
        while True:
            piece = os.read(self._stream.fileno(), 1 << 16)
            if not piece:
                return
            self.content += piece
            if len(self.content) > OUTPUT_LIMIT:
                self.cut = True
                self._too_much()
                return


def _feed(pipe: IO[bytes], data: bytes) -> None:
    try:
        with pipe:
            pipe.write(data)
    except OSError:
        # The command ended without reading everything; its exit code says whether that is bad.
        return


#: (argv, stdin, called with each line of stdout and stderr) -> Completed, both streams merged into both fields.
Follow = Callable[[List[str], bytes, Callable[[str], None]], Completed]


def follow_command(args: List[str], stdin: bytes, on_line: Callable[[str], None]) -> Completed:
    """The real runner for what takes minutes: its lines are handed on as they come, the last 64 KiB are kept."""
    kept = bytearray()
    with tempfile.TemporaryFile() as given:
        # From a file: a pipe would block both sides once the command writes more than it reads.
        given.write(stdin)
        given.seek(0)
        with subprocess.Popen(args, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            stream = process.stdout
            if stream is not None:
                # A line without an end comes in pieces.
                for raw in iter(lambda: stream.readline(1 << 16), b""):
                    kept += raw
                    del kept[: -64 * 1024]
                    on_line(raw.decode("utf-8", "replace").rstrip())
    return Completed(list(args), process.returncode, bytes(kept), bytes(kept))


class Docker:
    """One Docker engine; `run` and `follow` are the ways to its CLI."""

    def __init__(self, run: Run = run_command, follow: Follow = follow_command) -> None:
        self._run = run
        self._follow = follow

    def call(
        self,
        args: Sequence[str],
        *,
        stdin: Optional[bytes] = None,
        check: bool = True,
        timeout: Optional[float] = None,
    ) -> Completed:
        """Run `docker <args>`; with `check`, anything but exit code 0 raises what `docker_error` makes of it."""
        try:
            completed = self._run(["docker", *args], stdin, timeout)
        except FileNotFoundError as error:
            raise missing_command() from error
        if completed.returncode != 0 and (check or is_engine_error(completed)):
            raise docker_error(completed)
        return completed

    def follow(self, args: Sequence[str], on_line: Callable[[str], None], *, stdin: bytes = b"") -> Completed:
        """Like `call`, for what takes long: each line of its output is handed to `on_line` as it comes."""
        try:
            completed = self._follow(["docker", *args], stdin, on_line)
        except FileNotFoundError as error:
            raise missing_command() from error
        if completed.returncode != 0:
            raise docker_error(completed)
        return completed

    def exec(
        self,
        container: str,
        argv: Sequence[str],
        *,
        user: Optional[str] = None,
        stdin: Optional[bytes] = None,
        env: Optional[Dict[str, str]] = None,
        workdir: Optional[str] = None,
        check: bool = True,
        timeout: Optional[float] = None,
    ) -> Completed:
        """Run `argv` inside `container`, `stdin` streamed to it.

        `env` shows in the process list of the machine while the command runs: secrets go by `stdin`.
        """
        args = ["exec"]
        if stdin is not None:
            args.append("--interactive")
        if user is not None:
            args += ["--user", user]
        if workdir is not None:
            args += ["--workdir", workdir]
        for name, value in (env or {}).items():
            args += ["--env", f"{name}={value}"]
        return self.call([*args, container, *argv], stdin=stdin, check=check, timeout=timeout)

    def inspect(self, names: Sequence[str], *, kind: Optional[str] = None) -> List[Dict[str, Any]]:
        """What `docker inspect` says of those that exist, in one call; an engine that cannot be asked raises."""
        if not names:
            return []
        args = ["inspect", *(["--type", kind] if kind else []), "--", *names]
        completed = self.call(args, check=False, timeout=60)
        missing = completed.returncode != 0
        if missing and not re.search(r"no such|not found", completed.error_text, re.IGNORECASE):
            raise docker_error(completed)
        found: List[Dict[str, Any]] = json.loads(completed.stdout or b"[]")
        return found


def missing_command() -> FuelError:
    """The one line for a machine without Docker's command line."""
    return FuelError(
        "Docker's command line is not installed on this machine",
        hint="install docker.io (Debian, Ubuntu) or Docker Desktop, then try again",
        code="docker_missing",
    )


# stderr of the CLI or the engine -> (code, message, hint). The first match wins.
_ENGINE: Tuple[Tuple[str, str, str, str], ...] = (
    (
        r"permission denied while trying to connect|dial unix \S+: connect: permission denied",
        "docker_denied",
        "This user has no right to use the Docker engine",
        "add the user to the group `docker` and log in again, or run as root",
    ),
    (
        r"cannot connect to the docker daemon|error during connect|docker daemon is not running"
        r"|failed to connect to the docker api",
        "docker_unavailable",
        "The Docker engine does not answer",
        "start it (`systemctl start docker`) or correct DOCKER_HOST",
    ),
)
_REQUEST: Tuple[Tuple[str, str, str, str], ...] = (
    (
        r"no space left on device",
        "disk_full",
        "The disk of the Docker engine is full",
        "free some space, for example with `docker system df` and `docker image prune`",
    ),
    (
        r"could not find an available, non-overlapping|all predefined address pools have been fully subnetted",
        "no_address_pool",
        "The Docker engine has no address range left for another network",
        "remove unused networks (`docker network ls`) or widen default-address-pools in daemon.json",
    ),
    (
        r"port is already allocated|address already in use",
        "port_taken",
        "A port that the container publishes is in use on this machine",
        "end what listens there, or run again: another port is chosen",
    ),
    (
        r"pull access denied for (\S+?),|repository (\S+) not found|manifest for (\S+) not found|manifest unknown",
        "image_not_found",
        "The image does not exist, or its registry wants a login",
        "correct `image` in the blueprint, or run `docker login` on the machine",
    ),
    (
        r"toomanyrequests|rate limit",
        "registry_limit",
        "The registry refuses more pulls for now",
        "wait, or run `docker login` on the machine",
    ),
    (
        r"dial tcp|connection refused|no such host|i/o timeout|tls handshake timeout|client\.timeout|x509:"
        r"|network is unreachable|request canceled while waiting|server misbehaving|unexpected eof",
        "registry_unreachable",
        "The image's registry cannot be reached from this machine",
        "look at the machine's network and proxy, or load the image by hand (`docker load`)",
    ),
    (
        r"invalid reference format",
        "image_invalid",
        "The image's name is not a valid reference",
        "write it as `name:tag`, in lower case",
    ),
    (
        r"no such container|is not running",
        "container_gone",
        "The container is not there or not running",
        "bring the environment up again",
    ),
)


def is_engine_error(completed: Completed) -> bool:
    """Whether the engine itself could not be asked, so that the answer says nothing about the object in question."""
    return any(re.search(pattern, completed.error_text, re.IGNORECASE) for pattern, _c, _m, _h in _ENGINE)


def docker_error(completed: Completed) -> FuelError:
    """The failure as one clear line with hint and code; the last lines of stderr go into `details.tail`."""
    text = completed.error_text or completed.text
    tail = text.splitlines()[-8:]
    verb = " ".join(arg for arg in completed.args[:3] if not arg.startswith("-"))
    for pattern, code, message, hint in _ENGINE + _REQUEST:
        if re.search(pattern, text, re.IGNORECASE):
            return FuelError(message, hint=hint, code=code, details={"tail": tail, "command": verb})
    said = [line.strip() for line in tail if line.strip() and not line.startswith(("Run 'docker", "See 'docker"))]
    last = said[-1] if said else f"exit code {completed.returncode}"
    return FuelError(
        f"Failed to run {verb}: {last[:300]}",
        hint="the engine's own words are in the details",
        code="docker_failed",
        details={"tail": tail, "command": verb, "rc": completed.returncode},
    )
