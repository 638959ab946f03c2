# SPDX-License-Identifier: GPL-3.0-or-later
"""The one `Include` line in the user's own ssh config. That file is the user's: it is never left half-written, a link
stays a link, its mode stays, and a line that the user took out is not put in again."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from fuelctl import paths

_COMMENT = b"# fuelctl: ssh fuel-NAME (FUELCTL_SSH_CONFIG=none keeps fuelctl out of this file)\n"
_OURS = re.compile(re.escape(_COMMENT) + rb'Include "((?:[^"\\\n]|\\.)*)"\n\n?')


def user_config() -> Path | None:
    """The user's ssh config: ~/.ssh/config, or what FUELCTL_SSH_CONFIG says; None for `none`."""
    given = os.environ.get("FUELCTL_SSH_CONFIG")
    if given == "none":
        return None
    return Path(given).expanduser() if given else Path.home() / ".ssh" / "config"


def line() -> str:
    """The line itself. Include expands wildcards, so those of the path are escaped."""
    path = re.sub(r'([\\"*?\[\]])', r"\\\1", str(paths.ssh_config_file()))
    return f'Include "{path}"'


def present(config: Path) -> bool:
    """Whether the user's config includes our file, however the user wrote it."""
    try:
        content = config.read_bytes()
    except OSError:
        return False
    wanted = os.fsencode(paths.ssh_config_file())
    for row in content.splitlines():
        words = row.strip()
        if words.lower().startswith(b"include") and (wanted in words or os.fsencode(line()[8:]) in words):
            return True
    return False


def add_once() -> str | None:
    """Add the line unless it is there, or was taken out by the user; what to tell the user, None for nothing."""
    config = user_config()
    if config is None or present(config):
        return None
    memory = paths.ssh_folder() / "included-in"
    if str(config) in _lines(memory):
        return None
    try:
        _prepend(config)
    except OSError as error:
        reason = error.strerror or str(error)
        return f"Could not change {config} ({reason}); for plain `ssh fuel-NAME`, put this line at its top: {line()}"
    paths.private_file(memory, "\n".join([*_lines(memory), str(config)]).encode() + b"\n")
    return f"Added one Include line to {config}, so that plain ssh, scp, rsync and VS Code know `fuel-NAME`."


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _prepend(config: Path) -> None:
    """Put the line at the top (below a Host block it would belong to that host only), all or nothing."""
    target = Path(os.path.realpath(config))
    if not target.parent.exists():
        target.parent.mkdir(mode=0o700, parents=True)
    try:
        old = target.read_bytes()
        status = target.stat()
        mode, owner = status.st_mode & 0o777, (status.st_uid, status.st_gid)
    except FileNotFoundError:
        old, mode, owner = b"", 0o600, (os.getuid(), os.getgid())
    kept = _OURS.sub(_unless_stale, old)
    new = _COMMENT + line().encode() + b"\n" + (b"\n" + kept if kept else b"")
    descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=".config.fuelctl.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(new)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            if owner != (os.getuid(), os.getgid()):
                os.fchown(stream.fileno(), *owner)
            os.fsync(stream.fileno())
        Path(draft).replace(target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _unless_stale(found: re.Match[bytes]) -> bytes:
    """Drop a line that we added for a folder which is gone (a FUELCTL_HOME that was removed)."""
    path = Path(os.fsdecode(re.sub(rb"\\(.)", rb"\1", found[1])))
    return found[0] if path.parent.exists() else b""
