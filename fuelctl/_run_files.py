# SPDX-License-Identifier: GPL-3.0-or-later
"""The files around one playbook run: what it is given, where, and what is kept of it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fuelctl import _environ, paths
from fuelctl._reserved import MAGIC

_PACKAGE = Path(__file__).resolve().parent
_MEMORY = (Path("/", "dev", "shm"), Path("/", "run", "user") / str(os.getuid()))
#: A service's own folder below /run, which goes with it.
_OF_THE_SERVICE = "RUNTIME_DIRECTORY"
_SMALLEST_MEMORY = 64 * 1024 * 1024
#: Hiding shorter values would black out half of every message.
_SHORTEST_SECRET = 6
_HIDDEN = "********"
_LARGEST_RECORD = 4 * 1024 * 1024
_RUNS_KEPT = 10
_PREFIX = "fuelctl-run-"
_YOUNG_SECONDS = 300
_TICK = 0.05
#: Those of this process.
_held: set[Path] = set()


@contextmanager
def private_data(fallback: Path) -> Iterator[Path]:
    """A new folder (0700), in memory when there is a file system for that, else under `fallback`; gone afterwards."""
    parent = _memory() or paths.private_folder(fallback)
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    _held.add(folder)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _held.discard(folder)
        os.close(held)


def leave_nothing(seconds: float = 0.0) -> None:
    """For a process that ends, or begins anew, without unwinding its threads: their private folders go with it.

    Runs that are about to end get so many seconds to remove theirs by themselves. Nothing may be done afterwards.
    """
    end = time.monotonic() + seconds
    while _held and time.monotonic() < end:
        time.sleep(_TICK)
    for folder in list(_held):
        with suppress(OSError):
            # All of it at once: who looks into it finds what the run had, or no folder, and never a half of it.
            shutil.rmtree(folder.rename(f"{folder}.gone"), ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove what runs left whose process was killed: nobody holds their lock, and there may be secrets in it."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            facts = folder.lstat()
            # A young one may be between its making and its lock.
            if facts.st_uid != os.getuid() or time.time() - facts.st_mtime < _YOUNG_SECONDS:
                continue
            held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)


def variables_file(variables: dict[str, Any]) -> str:
    """The text of a file for `-e @file` in which every string is unsafe data: never a template.

    Ansible reads such a file as JSON, and when that fails as YAML, to which the marks mean nothing and every string is
    a template. So the text is JSON that is not YAML: no YAML begins with a tab.
    """
    return "\t" + json.dumps(_unsafe(variables))


def _unsafe(value: Any) -> Any:
    if isinstance(value, str):
        return {MAGIC + "_unsafe": value}
    if isinstance(value, dict):
        return {str(key): _unsafe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unsafe(item) for item in value]
    return value


def environment(folder: Path, source: dict[str, str], provider: str = "") -> dict[str, str]:
    """The whole environment of a run: an allow-list of `source`, and Ansible's settings."""
    passed = _environ.for_playbooks(source, provider)
    interpreter = str(Path(sys.executable).parent)
    passed.setdefault("LANG", "C.UTF-8")
    return {
        **passed,
        "PATH": os.pathsep.join([interpreter, source.get("PATH", os.defpath)]),
        "ANSIBLE_CONFIG": str(_written(folder / "ansible.cfg", "[defaults]\n")),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        # A socket's path has room for a hundred letters, and a home may be deep.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "remote-tmp"),
        "ANSIBLE_COLLECTIONS_PATH": str(collections(folder)),
        "ANSIBLE_GATHERING": "explicit",
        # What a machine returns as facts must not become variables: a default of a role would be of its choice.
        "ANSIBLE_INJECT_FACT_VARS": "False",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_NOCOLOR": "True",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }


def collections(folder: Path) -> Path:
    """The folder in which Ansible finds our collection: the wheel's copy, or a link to the checkout."""
    packaged = _PACKAGE / "_collection"
    if (packaged / "ansible_collections").is_dir():
        return packaged
    link = folder / "collections" / "ansible_collections" / "fuel_code" / "remote"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(_PACKAGE.parent, target_is_directory=True)
    return folder / "collections"


class Scrubber:
    """Takes known secrets out of whatever is about to be stored or shown."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {line for value in secrets for line in (value, value.strip(), *value.splitlines())}
        known |= {json.dumps(value)[1:-1] for value in known}
        # The longest first: one secret may be a part of another.
        self._known = sorted((value for value in known if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)

    def __call__(self, value: Any) -> Any:
        """`value` (any JSON) without a secret in it."""
        if isinstance(value, str):
            for secret in self._known:
                value = value.replace(secret, _HIDDEN)
            return value
        if isinstance(value, dict):
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self(item) for item in value]
        return value


class Record:
    """What is kept of a run: its events as JSON lines (0600), bounded, already scrubbed by whoever writes."""

    def __init__(self, folder: Path, playbook: str) -> None:
        paths.private_folder(folder)
        _drop_old(folder.parent)
        descriptor = os.open(folder / f"{playbook}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._left = _LARGEST_RECORD

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, line: dict[str, Any]) -> None:
        """Append one line, unless there are too many already; a full disk must not fail the run itself."""
        content = json.dumps(line, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"
        self._left -= len(content)
        if self._left > 0:
            try:
                self._file.write(content)
            except OSError:
                self._left = 0


def _drop_old(folder: Path) -> None:
    runs = sorted((entry for entry in folder.iterdir() if entry.is_dir()), key=lambda entry: entry.name)
    for run in runs[:-_RUNS_KEPT]:
        shutil.rmtree(run, ignore_errors=True)


def _memory() -> Path | None:
    """Where OpenSSH's sockets have short enough a path, too: below a home they often have not."""
    service = os.environ.get(_OF_THE_SERVICE, "").split(":")[0]
    for folder in (*_MEMORY, *([Path(service)] if service else [])):
        try:
            free = os.statvfs(folder)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK) and free.f_bavail * free.f_frsize >= _SMALLEST_MEMORY:
            return folder
    return None


def _written(file: Path, content: str) -> Path:
    file.write_text(content, encoding="utf-8")
    return file
