# SPDX-License-Identifier: GPL-3.0-or-later
"""Make sure that this user's embedded server runs. Standard library only: every command of the CLI passes here."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fuelctl import __version__, _environ, paths
from fuelctl._docker_engine import engine_of, words
from fuelctl._shared import _unix_socket
from fuelctl._shared._errors import FuelError

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_ASK_EVERY = 0.05
#: A database that cannot be opened fills the log with tracebacks between the reason and the end.
_TAIL_BYTES = 256 * 1024


def ensure_running() -> Path:
    """The socket of a server of this version: found, or started. FuelError with the server's own reason when it cannot.

    Ten commands at once start one: the others wait for its lock, and find it done.
    """
    file = paths.server_socket()
    if _version() == __version__ and _answers(file):
        return file
    paths.private_folder(paths.state_folder())
    with _alone():
        running = _version()
        if _answers(file):
            if running == __version__:
                return file
            _start_anew(file)
        else:
            _start(file)
    return file


def keep_running() -> None:
    """As `ensure_running`, for a command that follows something: FuelError when a person has stopped the server."""
    if paths.server_stopped_file().exists():
        raise FuelError(
            "The server was stopped by `fuelctl server stop`",
            hint="what was under way goes on when it starts again: fuelctl server start",
            code="server_stopped",
        )
    ensure_running()


def check_engine() -> None:
    """FuelError when the running server would use another Docker engine than this shell means."""
    mine, its = engine_of(os.environ), str(_document().get("engine") or "")
    if mine != its:
        raise FuelError(
            f"The control plane works with {words(its)}, your shell means {words(mine)}",
            hint="fuelctl server stop, then try again; environments on the other engine wait for it to come back",
            where="docker context",
            code="other_engine",
        )


def take_up_credentials(provider: str) -> None:
    """Have the server work as whom this shell's variables name: it is started anew where it works as somebody else.

    Variables that are not set say nothing: a server keeps what it was started with, of this and of other clouds.
    """
    mine = _environ.identities(os.environ).get(provider)
    if mine is None or mine == _clouds().get(provider):
        return
    with _alone():
        _start_anew(paths.server_socket())


def works_in(provider: str) -> bool:
    """Whether the running server was told who works there."""
    return provider in _clouds()


def _start_anew(file: Path) -> None:
    """Work in flight is parked, and taken up by the new one; what it does in other clouds has to go on as well."""
    kept = _credentials_of_running()
    stop_running(wait_seconds=0)
    _start(file, kept)


def _clouds() -> dict[str, str]:
    found = _document().get("clouds")
    return found if isinstance(found, dict) else {}


def _credentials_of_running() -> dict[str, str]:
    """What only the running server knows of who works in clouds; empty where the system does not show it."""
    try:
        shown = Path(f"/proc/{int(str(_document().get('pid')))}/environ").read_bytes()
    except (OSError, ValueError):
        return {}
    pairs = (os.fsdecode(each).partition("=") for each in shown.split(b"\0"))
    return _environ.besides({name: value for name, equals, value in pairs if equals}, os.environ)


def stop_running(wait_seconds: float = 600.0, *, for_good: bool = False) -> bool:
    """Stop the embedded server after its work, at most `wait_seconds` later; False when none runs.

    :param for_good: a person wants it gone: commands that only follow something do not start it again.
    """
    file = paths.server_socket()
    if not _answers(file):
        return False
    if for_good:
        paths.private_file(paths.server_stopped_file(), b"")
    with suppress(OSError, http.client.HTTPException):
        _call(file, "POST", "/api/server/stop", {"wait_seconds": wait_seconds})
    end = time.monotonic() + wait_seconds + _STOP_SECONDS
    while time.monotonic() < end:
        if not _held(paths.server_instance_lock()):
            return True
        time.sleep(_ASK_EVERY)
    raise FuelError(
        "the server does not stop", hint=f"see {paths.server_log()}", where=str(file), code="server_does_not_stop"
    )


def _start(file: Path, kept: Mapping[str, str] | None = None) -> None:
    # Said here: where the server could not even write its log, it could not say why it does not start.
    paths.require_space()
    log = paths.server_log()
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise paths.storage_error(error, log) from error
    begun = os.fstat(descriptor).st_size
    root = str(Path(__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    environment = {
        **(kept or {}),
        **_environ.for_server(os.environ),
        "PYTHONPATH": os.pathsep.join([root, inherited] if inherited else [root]),
    }
    if environment.get("FUELCTL_HOME"):
        # It may be relative to here, and the server works elsewhere.
        environment["FUELCTL_HOME"] = str(paths.state_folder().parent)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "fuelctl.serve"],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise _failure(log, begun)
        if _healthy(file):
            # It is nobody's child to be waited for: it goes on when this command has ended.
            process.returncode = 0
            return
        time.sleep(_ASK_EVERY)
    process.terminate()
    process.wait(_STOP_SECONDS)
    raise FuelError(
        f"the server did not start within {_START_SECONDS:.0f} s", hint=f"see {log}", code="server_start_failed"
    )


def _failure(log: Path, begun: int) -> FuelError:
    """The reason that the server wrote before it ended."""
    with log.open("rb") as opened:
        opened.seek(max(begun, opened.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = [line for line in opened.read().decode("utf-8", "replace").splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith("error: "):
            with suppress(ValueError, TypeError):
                facts = json.loads(line.removeprefix("error: "))
                return FuelError(facts.pop("message"), **facts)
    full = paths.disk_full()
    if full is not None:
        return full
    last = lines[-1] if lines else "it said nothing"
    return FuelError(f"the server did not start: {last}", hint=f"see {log}", code="server_start_failed")


def _version() -> str | None:
    version = _document().get("version")
    return version if isinstance(version, str) else None


def _document() -> dict[str, object]:
    """What the server wrote about itself when it began; empty when there is nothing to read."""
    try:
        document = json.loads(paths.server_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _answers(file: Path) -> bool:
    """Whether somebody listens; a dead server's socket file refuses. FuelError when it may be another user."""
    try:
        _unix_socket.connect(str(file), 5.0).close()
    except OSError:
        return False
    return True


def _healthy(file: Path) -> bool:
    try:
        return _call(file, "GET", "/healthz", None) == 200
    except (OSError, http.client.HTTPException):
        return False


def _call(file: Path, method: str, target: str, body: dict[str, object] | None) -> int:
    connection = http.client.HTTPConnection("localhost", timeout=10.0)
    connection.sock = _unix_socket.connect(str(file), 10.0)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, target, body=content, headers={"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def _alone() -> Iterator[None]:
    """One command at a time starts or stops the server."""
    file = paths.server_lock()
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise paths.storage_error(error, file) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _held(file: Path) -> bool:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
