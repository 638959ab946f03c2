# SPDX-License-Identifier: GPL-3.0-or-later
"""Every folder and file of one user, and nothing else: the only place that knows where things are.

The functions are pure; `private_folder` and `private_file` create. `FUELCTL_HOME` moves all four folders at once.
Cheap to import on purpose: every start of the CLI pays for it.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

from fuelctl._shared import _unix_socket
from fuelctl._shared._errors import FuelError, UsageError

_APPLICATION = "fuelctl"
#: What a start of the control plane writes before it can say anything: two databases with their logs, and its own log.
_SPACE_TO_START = 8 * 1024 * 1024
#: With less than this left, a failed write of a database is the disk's fault.
_SPACE_TO_WRITE = 256 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)
#: What is made in it is checked for its owner.
_SHARED = Path(_unix_socket.SHARED)


def config_folder() -> Path:
    """What the user wrote: configuration."""
    return _base("config")


def state_folder() -> Path:
    """What must survive a restart: databases, keys, sources and runs."""
    return _base("state")


def cache_folder() -> Path:
    """What can be made again."""
    return _base("cache")


def data_folder() -> Path:
    """What other programs read: the ssh Include file and its keys."""
    return _base("data")


def config_file() -> Path:
    """The user's settings (TOML)."""
    return config_folder() / "config.toml"


def database_file() -> Path:
    """Environments, events and everything else of the embedded control plane."""
    return state_folder() / "fuelctl.sqlite"


def workflows_file() -> Path:
    """The embedded workflow engine's own database."""
    return state_folder() / "dbos.sqlite"


def secret_key_file() -> Path:
    """The key (0600) under which the database keeps the secrets of a run in flight."""
    return state_folder() / "secret.key"


def server_socket() -> Path:
    """The embedded server's Unix socket; a short stand-in when the state folder's path is too long for one."""
    return Path(_unix_socket.stand_in(str(state_folder() / "server.sock")))


def server_file() -> Path:
    """JSON of the running embedded server: pid, version, boot_id."""
    return state_folder() / "server.json"


def server_stopped_file() -> Path:
    """There while nobody but a new command is to start the embedded server: a person has stopped it."""
    return state_folder() / "server.stopped"


def server_log() -> Path:
    """What the embedded server says."""
    return state_folder() / "server.log"


def server_lock() -> Path:
    """Held while a command starts the embedded server, so that ten start one."""
    return state_folder() / "server.lock"


def server_instance_lock() -> Path:
    """Held by the running embedded server for as long as it lives."""
    return state_folder() / "server.instance.lock"


def logins_file() -> Path:
    """Tokens (0600) of the team servers that this user has logged in to, and which of them is used."""
    return state_folder() / "logins.json"


def device_file() -> Path:
    """The ULID by which team servers know this machine."""
    return state_folder() / "device"


def server_token_file() -> Path:
    """The first admin's token (0600), of a server on TCP that nobody could come into."""
    return state_folder() / "server.token"


def source_folder(environment_id: str) -> Path:
    """The uploaded source of one environment and what was unpacked from it."""
    return state_folder() / "sources" / environment_id


def runs_folder(environment_id: str) -> Path:
    """The scrubbed records of every playbook run of one environment."""
    return state_folder() / "runs" / environment_id


def rescuing_folder(environment_id: str) -> Path:
    """Where the work of one environment is on its way into the store."""
    return state_folder() / "rescuing" / environment_id


def run_folder(environment_id: str, operation_id: str) -> Path:
    """The scrubbed record of one operation's playbook runs."""
    return runs_folder(environment_id) / operation_id


def environment_lock(environment_id: str) -> Path:
    """Held by the supervisor for as long as a playbook's process tree of this environment lives."""
    return state_folder() / "locks" / f"{environment_id}.lock"


def keys_folder() -> Path:
    """Where module `ssh_keypair` keeps `<environment id>/id_ed25519{,.pub}` (`remote_keys_path`)."""
    return state_folder() / "keys"


def key_folder(environment_id: str) -> Path:
    """One environment's key pair, until its private half has been handed out."""
    return keys_folder() / environment_id


def ssh_folder() -> Path:
    """What OpenSSH reads."""
    return data_folder() / "ssh"


def ssh_config_file() -> Path:
    """The Include file with one `Host fuel-NAME` per environment."""
    return ssh_folder() / "config"


def ssh_known_hosts_file() -> Path:
    """The pinned host keys."""
    return ssh_folder() / "known_hosts"


def ssh_key_file(environment_id: str) -> Path:
    """The private key of one environment as this user got it."""
    return ssh_folder() / "keys" / environment_id


def private_folder(path: Path) -> Path:
    """`path`, made with its parents (0700 each) where missing; FuelError in one line when that cannot be.

    An existing folder of somebody else is refused: the stand-in for long socket paths lies under /tmp.
    """
    try:
        missing = []
        probe = path
        while not probe.exists() and probe != probe.parent:
            missing.append(probe)
            probe = probe.parent
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat() if path.parent == _SHARED else path.stat()
    except OSError as error:
        raise storage_error(error, path) from error
    if not stat.S_ISDIR(found.st_mode):
        raise FuelError(f"{path} is not a folder", hint="move it away", where=str(path), code="state_unusable")
    if found.st_uid not in (os.getuid(), 0) or (path.parent == _SHARED and found.st_uid != os.getuid()):
        raise FuelError(
            f"{path} belongs to another user", hint="set FUELCTL_HOME", where=str(path), code="state_unusable"
        )
    return path


def private_file(path: Path, content: bytes) -> Path:
    """Write `path` (0600) all or nothing: a reader sees the old content or the new one, also after a crash."""
    private_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise storage_error(error, path) from error
    return path


def require_space() -> None:
    """FuelError unless the state folder has room for what a start writes. It is taken for a moment, as quotas count."""
    folder = private_folder(state_folder())
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            _reserve(probe.fileno(), _SPACE_TO_START)
    except OSError as error:
        if error.errno in _FULL:
            raise _disk_full(folder) from error
        raise storage_error(error, folder) from error


def disk_full() -> FuelError | None:
    """The one line for a state folder in which nothing can be written any more; None while something can."""
    folder = state_folder()
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            _reserve(probe.fileno(), _SPACE_TO_WRITE)
    except OSError as error:
        return _disk_full(folder) if error.errno in _FULL else None
    return None


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.write(descriptor, bytes(size))


def _disk_full(folder: Path) -> FuelError:
    return FuelError(
        "the control plane's disk is full",
        hint="free some space there and repeat, or set FUELCTL_HOME to a folder on another disk",
        where=str(folder),
        code="disk_full",
    )


def storage_error(error: OSError, path: Path) -> FuelError:
    """The one line for a folder or file that cannot be written."""
    hints = {
        errno.EROFS: "the file system is read-only; set FUELCTL_HOME to a folder that can be written",
        errno.EACCES: "give yourself the right to write there, or set FUELCTL_HOME",
        errno.EPERM: "give yourself the right to write there, or set FUELCTL_HOME",
        errno.ENOSPC: "the disk is full; free some space and repeat",
        errno.EDQUOT: "your disk quota is used up; free some space and repeat",
        errno.ENOTDIR: "a part of that path is a file; move it away or set FUELCTL_HOME",
    }
    reason = os.strerror(error.errno) if error.errno else str(error)
    return FuelError(
        f"cannot write {path}: {reason}",
        hint=hints.get(error.errno or 0, "set FUELCTL_HOME to a folder that can be written"),
        where=str(path),
        code="disk_full" if error.errno in _FULL else "state_unwritable",
    )


def _base(kind: str) -> Path:
    home = os.environ.get("FUELCTL_HOME")
    if home:
        try:
            return Path(home).expanduser().absolute() / kind
        except RuntimeError as error:
            raise UsageError(
                f"FUELCTL_HOME names a user that is not known here: {home[:80]!r}",
                hint="set it to a folder that can be written",
                code="state_unusable",
            ) from error
    import platformdirs

    folder = {
        "config": platformdirs.user_config_dir,
        "state": platformdirs.user_state_dir,
        "cache": platformdirs.user_cache_dir,
        "data": platformdirs.user_data_dir,
    }[kind]
    return Path(folder(_APPLICATION, appauthor=False))
