# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""A git that can be handed hostile repositories: argv only, no hooks, no foreign transports, no redirection."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import IO, Callable, Dict, List, Mapping, Optional, Sequence, cast

from .._errors import FuelError

#: What git may speak; `ext::` and other remote helpers run commands.
PROTOCOLS = "https:ssh:file"

#: Told about long work: (what, done, total), in per cent when total is 100, else in bytes; 0 is an unknown total.
Report = Callable[[str, int, int], None]

_ALWAYS = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "protocol.ext.allow=never",
    "-c",
    "advice.detachedHead=false",
)
#: Seconds for which a host may say nothing, by https and by ssh.
_SILENT_SECONDS = 120
_SSH_PATIENCE = f"-o ConnectTimeout=30 -o ServerAliveInterval=30 -o ServerAliveCountMax={_SILENT_SECONDS // 30}"
_LIMIT = 64 * 1024 * 1024
#: All that it says before it was heard of.
_BEGINS = re.compile(rb"Cloning into '[^\n]*'\.\.\.\n")
#: Seconds for which one that was told to end may still clean up.
_LAST_SECONDS = 5.0
_PERCENT = re.compile(rb"([A-Z][A-Za-z ]+): +(\d{1,3})% ")


def silent(_what: str, _done: int, _total: int) -> None:
    """A Report that says nothing."""


def environment(base: Optional[Mapping[str, str]] = None, *, prompt: bool = False) -> Dict[str, str]:
    """The environment for git: the caller's, without what would point it at another repository or make it ask."""
    source = os.environ if base is None else base
    kept = {key: value for key, value in source.items() if not _REDIRECTS.fullmatch(key)}
    kept.update(
        GIT_ALLOW_PROTOCOL=PROTOCOLS,
        GIT_OPTIONAL_LOCKS="0",
        GIT_PAGER="cat",
        LC_ALL="C",
        LANGUAGE="C",
    )
    if not prompt:
        kept["GIT_TERMINAL_PROMPT"] = "0"
        # A key with a passphrase must fail at once, not wait on a terminal that nobody sees.
        kept.setdefault("GIT_SSH_COMMAND", f"ssh -o BatchMode=yes {_SSH_PATIENCE}")
    # Without these git waits for ever for a host that says nothing any more.
    kept.setdefault("GIT_HTTP_LOW_SPEED_LIMIT", "1")
    kept.setdefault("GIT_HTTP_LOW_SPEED_TIME", str(_SILENT_SECONDS))
    return kept


#: GIT_SSH*, GIT_ASKPASS, GIT_SSL*, GIT_CONFIG_GLOBAL and their like are the caller's own access and stay.
_REDIRECTS = re.compile(
    r"GIT_(?:DIR|WORK_TREE|INDEX_FILE|COMMON_DIR|NAMESPACE|PREFIX|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES"
    r"|CEILING_DIRECTORIES|EXTERNAL_DIFF|DIFF_OPTS|TRACE.*|EXEC_PATH|TEMPLATE_DIR|SHALLOW_FILE|GRAFT_FILE"
    r"|REPLACE_REF_BASE|LITERAL_PATHSPECS|GLOB_PATHSPECS|NOGLOB_PATHSPECS|ICASE_PATHSPECS|PROXY_COMMAND)"
)


class Git:
    """Runs git in one directory; every failure is a FuelError that carries git's own last lines."""

    def __init__(
        self,
        directory: Optional[str] = None,
        *,
        extra: Optional[Mapping[str, str]] = None,
        options: Sequence[str] = (),
        prompt: bool = False,
    ) -> None:
        self._directory = directory
        self._environment = {**environment(prompt=prompt), **(extra or {})}
        self._options = list(options)

    def argv(self, arguments: Sequence[str]) -> List[str]:
        """The whole command line."""
        where = ["-C", self._directory] if self._directory else []
        return ["git", *where, *_ALWAYS, *self._options, *arguments]

    def run(
        self,
        *arguments: str,
        stdin: Optional[bytes] = None,
        check: bool = True,
        extra: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run to the end and return the completed process, with bytes; at most 64 MiB of output are kept."""
        try:
            done = subprocess.run(
                self.argv(arguments),
                input=stdin if stdin is not None else None,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**self._environment, **(extra or {})},
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError as error:
            raise missing_git() from error
        except subprocess.TimeoutExpired as error:
            raise FuelError(f"git {arguments[0]} did not answer within {timeout:g} s", code="git_timeout") from error
        except OSError as error:
            raise FuelError(f"cannot run git {arguments[0]}: {error.strerror}", code="git_failed") from error
        if len(done.stdout) > _LIMIT:
            raise FuelError(f"git {arguments[0]} answered with more than 64 MiB", code="git_failed")
        if check and done.returncode:
            raise failure(arguments[0], done.returncode, done.stderr)
        return done

    def text(self, *arguments: str, check: bool = True) -> str:
        """Output without its last newline; empty when it failed and `check` is off."""
        done = self.run(*arguments, check=check)
        return "" if done.returncode else os.fsdecode(done.stdout).rstrip("\n")

    def stream(
        self,
        *arguments: str,
        stdin: bytes = b"",
        stdout: Optional[IO[bytes]] = None,
        extra: Optional[Mapping[str, str]] = None,
        report: Report = silent,
        patience: Optional[float] = None,
    ) -> None:
        """Run something long; its percentages go to `report`, its output to the open file `stdout`.

        `patience`: seconds until git says a first word about what it does, besides that it begins. Its own patience
        does not begin before a connection is there, with all that belongs to one.
        """
        try:
            process = subprocess.Popen(
                self.argv(arguments),
                stdin=subprocess.PIPE,
                stdout=stdout if stdout is not None else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**self._environment, **(extra or {})},
                start_new_session=patience is not None,
            )
        except FileNotFoundError as error:
            raise missing_git() from error
        feed, errors = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stderr)
        feeder = threading.Thread(target=_feed, args=(feed, stdin), daemon=True)
        feeder.start()
        tail = b""
        until = None if patience is None else time.monotonic() + patience
        try:
            while True:
                if until is not None and not select.select([errors], [], [], max(0.0, until - time.monotonic()))[0]:
                    # Not killed: it removes what it has begun. Its helpers, which it leaves alone, are in its group.
                    os.killpg(process.pid, signal.SIGTERM)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(_LAST_SECONDS)
                    raise FuelError(
                        f"git {arguments[0]} failed: nothing was heard for {patience:.0f} s", code="git_timeout"
                    )
                chunk = os.read(errors.fileno(), 65536)
                if not chunk:
                    break
                tail = (tail + chunk)[-8192:]
                until = until if _BEGINS.fullmatch(tail) else None
                for what, percent in _PERCENT.findall(chunk):
                    report(what.decode("ascii"), int(percent), 100)
            code = process.wait()
        except BaseException:
            if process.returncode is None and patience is not None:
                # In a session of its own: no terminal tells its helpers of Ctrl-C.
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            raise
        finally:
            errors.close()
            feeder.join()
        if code:
            raise failure(arguments[0], code, tail)


def missing_git() -> FuelError:
    """The error for a machine without git."""
    return FuelError("git is not installed", hint="install it: apt-get install git", code="git_missing")


def failure(verb: str, code: int, stderr: bytes) -> FuelError:
    """Git's own reason as one line; progress and hints are left out."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", stderr.decode("utf-8", "replace")) if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    reason = re.sub(r"^(fatal|error): ", "", telling[-1])[:400] if telling else f"exit code {code}"
    if len(telling) > 1 and telling[0] != telling[-1] and telling[0].startswith("fatal:"):
        reason = re.sub(r"^fatal: ", "", telling[0])[:400]
    hint = None
    if "dubious ownership" in stderr.decode("utf-8", "replace"):
        hint = "the folder belongs to somebody else; if you trust it: git config --global --add safe.directory PATH"
    elif "could not read Username" in reason or "Authentication failed" in reason or "Permission denied" in reason:
        hint = "your own git must be able to read it: try `git ls-remote URL` first"
    elif "No space left" in reason:
        hint = "free some disk space and try again"
    return FuelError(f"git {verb} failed: {reason}", hint=hint, code="git_failed", details={"exit_code": code})


def _feed(pipe: IO[bytes], data: bytes) -> None:
    try:
        pipe.write(data)
        pipe.close()
    except (BrokenPipeError, OSError):
        pass
