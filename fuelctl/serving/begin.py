# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made sure of before a server begins, and the one line that says why one could not."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from fuelctl import paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.accounts.users import FIRST, let_somebody_in
from fuelctl.config import Settings
from fuelctl.environments.core import Core
from fuelctl.store.database import check_file
from fuelctl.store.secrets import agree_on_key
from fuelctl.workflows.enqueue import prepare

_ASK_EVERY = 0.1
_LAST_PORT = 65535
_WHERE = "--bind"
_BACKLOG = 2048


def listen(bind: str) -> socket.socket:
    """A socket that listens at `HOST:PORT` or `unix:PATH`; FuelError when there can be none."""
    if bind.startswith("unix:"):
        return _listen_unix(bind)
    family, address = _address(bind)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_listen(bind, error) from error
    return listener


def understand(bind: str) -> None:
    """FuelError when this is no address of this machine; nothing is listened at."""
    if bind.startswith("unix:"):
        _folder_of(bind)
    else:
        _address(bind)


def check_address(bind: str) -> None:
    """FuelError when nothing can listen at `HOST:PORT` or `unix:PATH`: gunicorn tries for seconds."""
    if bind.startswith("unix:"):
        _folder_of(bind)
    else:
        listen(bind).close()


def _listen_unix(bind: str) -> socket.socket:
    _folder_of(bind)
    file = Path(bind.removeprefix("unix:"))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        # What a server left that was killed; the lock says that none of ours is running.
        if file.is_socket():
            file.unlink()
        listener.bind(str(file))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_listen(bind, error) from error
    finally:
        os.umask(mask)
    return listener


def _folder_of(bind: str) -> None:
    folder = Path(bind.removeprefix("unix:")).parent
    if not folder.is_dir():
        raise FuelError(f"cannot listen at {bind}: there is no folder {folder}", hint="make it first", where=_WHERE)


def _address(bind: str) -> tuple[int, Any]:
    host, _colon, port = bind.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise UsageError(f"{bind[:200]!r} is no address", where=_WHERE, hint="give HOST:PORT, or unix:PATH")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _cannot_listen(bind, error) from error
    family, _kind, _protocol, _name, address = found[0]
    return family, address


def _cannot_listen(bind: str, error: Exception) -> FuelError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    hint = "choose an address of this machine, and a port that is free and yours to take"
    return FuelError(f"cannot listen at {bind}: {reason}", hint=hint, where=_WHERE, code="cannot_listen")


def check_files(settings: Settings) -> None:
    """FuelError when something else is where our own files belong."""
    if not settings.database:
        check_file(paths.database_file())
        check_file(paths.workflows_file())
    file = paths.server_socket()
    if file.exists() and not file.is_socket():
        raise FuelError("it is not a socket", hint="move it away", where=str(file), code="state_unusable")


def only_one(bind: str, patience: float) -> int:
    """The lock of this user's server: inherited by the worker, so it is held until that one has ended too."""
    file = paths.server_instance_lock()
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise paths.storage_error(error, file) from error
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(descriptor)
            # One that serves another address is not about to make way.
            if time.monotonic() >= end or holder.get("bind") not in (None, bind):
                os.close(descriptor)
                raise _already_running(holder) from error
            time.sleep(_ASK_EVERY)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "bind": bind}).encode("utf-8"), 0)
            return descriptor


def _holder(descriptor: int) -> dict[str, Any]:
    """What the server that holds the lock wrote about itself."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _already_running(holder: dict[str, Any]) -> FuelError:
    pid, bind = holder.get("pid"), holder.get("bind")
    where = f" (process {pid}, at {bind})" if pid and bind else ""
    embedded = bind in (None, str(paths.server_socket()))
    return FuelError(
        f"another server of this user is running{where}",
        hint="fuelctl server stop" if embedded else f"end it first: kill {pid}",
        code="already_running",
    )


def why_not(error: Exception) -> FuelError:
    """The one line for a control plane that could not begin."""
    if isinstance(error, FuelError):
        return error
    full = paths.disk_full()
    if full is not None:
        return full
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return FuelError(
        f"the control plane cannot begin: {lines[0]}", hint=f"see {paths.server_log()}", code="server_start_failed"
    )


def say(error: FuelError) -> None:
    """The line that `serve_start` reads out of the log."""
    sys.stderr.write(f"error: {json.dumps(error.as_dict())}\n")
    sys.stderr.flush()


def open_the_door(core: Core) -> None:
    """A server without an admin who could come in makes a token for one; only where it lies is said."""
    file = paths.server_token_file()
    if let_somebody_in(core, file):
        sys.stderr.write(f"A token for user {FIRST} is in {file}; use it: fuelctl login URL --token-file {file}\n")
        sys.stderr.flush()


def settle() -> None:
    """What has been made by now stays until the end: the collector, which stops every thread, passes over it.

    There are some hundred thousand objects of it, modules and schemas: 75 ms at each full collection.
    """
    gc.collect()
    gc.freeze()


def prepare_team(core: Core) -> None:
    """Have all that servers and workers share on Postgres; FuelError when this one has another key than they."""
    with core.database.migration_lock():
        prepare(core.database.url)
    agree_on_key(core.database, core.safe)
