# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""An environment from inside: fixed shell scripts that run in it, whatever it is.

It is a container of this machine's engine, or this machine itself. Whatever varies reaches a script on its stdin, never
on a command line. Nothing but this file knows how one gets in.
"""

from __future__ import annotations

import base64
import os
import platform
import pwd
import selectors
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import IO, Any, Callable, Dict, List, Mapping, Optional, Sequence, cast

from ._docker import Completed, Docker, docker_error, is_engine_error, missing_command, run_command
from ._errors import FuelError, UsageError

#: What an environment is: option and host variable of the same meaning for every module, role and provider.
CONTAINER, MACHINE = "container", "machine"
ARGUMENTS: Dict[str, Any] = {
    "environment_is": {"type": "str", "choices": [CONTAINER, MACHINE], "default": CONTAINER},
}
#: More than this of one script's answer is cut: an environment is not trusted to be brief.
_LIMIT = 4 * 1024 * 1024
#: What a machine that is an environment keeps over a stop and a new image, and what it is given back at each start.
KEPT = "/workspaces/.fuel-code"
_KEPT_ROOT = f"{KEPT}/root"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: As the kernel names them, and as Docker does.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


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


class Inside(ABC):
    """One environment, entered as one user; `name` is what it is called in messages."""

    def __init__(self, name: str, user: str) -> None:
        self.name = name
        self.user = user

    @abstractmethod
    def state(self) -> str:
        """`running`, another state of the engine's, or `absent`."""

    @abstractmethod
    def command(self, script: str, *, user: Optional[str] = None) -> List[str]:
        """What runs `script` in it, with the environment of a new process there; `user` may be `0`."""

    @abstractmethod
    def script(
        self, script: str, stdin: bytes = b"", *, user: Optional[str] = None, timeout: Optional[float] = 120
    ) -> Completed:
        """Run to the end; what cannot be asked raises, a script's own exit code does not."""

    @abstractmethod
    def keep(self, paths: Sequence[str]) -> None:
        """Have files of root's outlive a stop, where what the image did not bring is lost by it."""

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
        argv = self.command(script)
        try:
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except FileNotFoundError as error:
            raise self._missing() from error
        feeder = _Feeder(cast("IO[bytes]", process.stdin), feed, hold)
        output = cast("IO[bytes]", process.stdout)
        try:
            tail, returncode = _follow(process, output, on_output, timeout)
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

    @abstractmethod
    def _check(self, done: Completed) -> None:
        """Raise when it is not the script that failed, but the way to it."""

    @abstractmethod
    def _missing(self) -> FuelError:
        """That there is no program which leads into it."""


class InContainer(Inside):
    """One container on this machine's engine."""

    def __init__(self, name: str, user: str, docker: Optional[Docker] = None) -> None:
        super().__init__(name, user)
        self.docker = docker or Docker(run_command)

    def state(self) -> str:
        """As the engine says it."""
        found = self.docker.inspect([self.name], kind="container")
        return str(found[0]["State"]["Status"]) if found else "absent"

    def command(self, script: str, *, user: Optional[str] = None) -> List[str]:
        """`docker exec`."""
        argv = ["docker", "exec", "--interactive", "--user", user or self.user, self.name]
        return [*argv, "sh", "-c", script, "fuel-code"]

    def script(
        self, script: str, stdin: bytes = b"", *, user: Optional[str] = None, timeout: Optional[float] = 120
    ) -> Completed:
        """An engine or container that cannot be asked raises."""
        done = self.docker.exec(
            self.name,
            ["sh", "-c", script, "fuel-code"],
            user=user or self.user,
            stdin=stdin,
            check=False,
            timeout=timeout,
        )
        self._check(done)
        return _cut(done)

    def _check(self, done: Completed) -> None:
        ours = done.error_text.startswith(
            ("Error response from daemon", "Error: No such container", "OCI runtime exec failed")
        )
        if done.returncode and (is_engine_error(done) or ours):
            raise docker_error(done)

    def _missing(self) -> FuelError:
        return missing_command()

    def keep(self, paths: Sequence[str]) -> None:
        """It keeps them by itself."""


class InPlace(Inside):
    """This machine itself: what runs here begins as in a container, with nothing of ours but its arguments.

    Another user than ours is for root alone.
    """

    def state(self) -> str:
        """Who asks is in it."""
        return "running"

    def command(self, script: str, *, user: Optional[str] = None) -> List[str]:
        """As that user, in `/`, without a variable of this process."""
        account = self._account(user or self.user)
        argv = ["env", "--ignore-environment", "--chdir=/", f"PATH={_PATH}", "LANG=C.UTF-8", f"HOME={account.pw_dir}"]
        argv += [f"USER={account.pw_name}", f"LOGNAME={account.pw_name}"]
        if account.pw_uid != os.geteuid():
            if os.geteuid() != 0:
                raise UsageError(
                    f"only root can work as {account.pw_name} here",
                    where=self.name,
                    hint="give the task `become: true`",
                    code="not_root",
                )
            ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups", "--inh-caps=-all"]
            argv += ["setpriv", *ids, "--"]
        return [*argv, "sh", "-c", script, "fuel-code"]

    def script(
        self, script: str, stdin: bytes = b"", *, user: Optional[str] = None, timeout: Optional[float] = 120
    ) -> Completed:
        """A user or a program that is not there raises."""
        argv = self.command(script, user=user)
        try:
            return _cut(run_command(argv, stdin, timeout))
        except FileNotFoundError as error:
            raise self._missing() from error

    def keep(self, paths: Sequence[str]) -> None:
        """Beside what the machine keeps; it is laid over the image's files whenever the machine starts."""
        done = self.script(_KEEP, b"".join(line(path) for path in paths), user="0")
        if done.returncode:
            raise FuelError(
                f"cannot keep what was installed: {(last_lines(done.stderr) or [str(done.returncode)])[-1][:300]}",
                where=_KEPT_ROOT,
                code="not_kept",
            )

    def _check(self, done: Completed) -> None:
        """There is no way that could fail."""

    def _missing(self) -> FuelError:
        return FuelError(
            "This machine lacks the programs that work in an environment",
            where=self.name,
            hint="use the image of images/dev, or one made from it",
            code="environment_unusable",
        )

    def _account(self, user: str) -> pwd.struct_passwd:
        try:
            return pwd.getpwuid(0) if user == "0" else pwd.getpwnam(user)
        except KeyError:
            raise FuelError(
                f"there is no user {user}",
                where=self.name,
                hint="use the image of images/dev, or one made from it",
                code="no_user",
            ) from None


#: As root: copies of the paths on stdin, each whole or not there.
_KEEP = (
    FIELD
    + f"""
set -eu
umask 022
root={_KEPT_ROOT}
mkdir -p "$root"
rm -rf "$root.new"
while path=$(field) && [ -n "$path" ]; do
  mkdir -p "$root.new" "$root${{path%/*}}"
  cp -a -- "$path" "$root.new/one"
  rm -rf "$root$path"
  mv -T "$root.new/one" "$root$path"
done
rm -rf "$root.new"
"""
)


def inside(params: Mapping[str, Any], docker: Optional[Docker] = None) -> Inside:
    """The environment that a module's options name: `environment_is`, `container`, `user`."""
    if params["environment_is"] == MACHINE:
        return InPlace("the machine", params["user"])
    if not params["container"]:
        raise UsageError("the environment is a container, and none is named", where="container", code="no_container")
    return InContainer(params["container"], params["user"], docker)


def architecture() -> str:
    """This machine's, as Docker names it; empty for one that has no name there."""
    return _ARCHITECTURES.get(platform.machine(), "")


def _cut(done: Completed) -> Completed:
    return Completed(done.args, done.returncode, done.stdout[:_LIMIT], done.stderr[-65536:])


def _follow(
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
