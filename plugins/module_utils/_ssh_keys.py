# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Key pairs of environments in a folder: made whole or not at all, never printed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Protocol, Tuple

from . import _aws
from ._docker import Run, run_command
from ._errors import FuelError, UsageError
from ._receipt import GONE, PRESENT, entry


@dataclass(frozen=True)
class KeyPair:
    """Where the halves are, and the public one: `public_key` is its line, `fingerprint` as ssh-keygen shows it."""

    path: str
    public_key: str
    fingerprint: str


class Maker(Protocol):
    """Makes and reads ed25519 keys."""

    def generate(self, path: Path, comment: str) -> None:
        """Write the private half to `path` (0600) and the public one beside it."""

    def public(self, path: Path) -> Optional[str]:
        """`type base64` of a private key, or None when the file holds none that can be used without a passphrase."""

    def fingerprint(self, path: Path) -> str:
        """SHA256:... of the public half at `path`."""


class SshKeygen:
    """OpenSSH's own program."""

    def __init__(self, run: Run = run_command) -> None:
        self._run = run

    def generate(self, path: Path, comment: str) -> None:
        """See Maker."""
        args = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
        try:
            done = self._run(args, None, 60)
        except FileNotFoundError as error:
            raise FuelError(
                "Failed to make a key pair: ssh-keygen is not installed",
                hint="install openssh-client (Debian, Ubuntu)",
                code="ssh_keygen_missing",
            ) from error
        if done.returncode != 0:
            raise FuelError(f"Failed to make a key pair: {done.error_text[:200]}", where=str(path), code="ssh_keygen")

    def public(self, path: Path) -> Optional[str]:
        """See Maker."""
        try:
            done = self._run(["ssh-keygen", "-y", "-P", "", "-f", str(path)], None, 60)
        except FileNotFoundError as error:
            raise FuelError(
                "Failed to read a key pair: ssh-keygen is not installed",
                hint="install openssh-client (Debian, Ubuntu)",
                code="ssh_keygen_missing",
            ) from error
        return " ".join(done.text.split()[:2]) if done.returncode == 0 else None

    def fingerprint(self, path: Path) -> str:
        """See Maker."""
        done = self._run(["ssh-keygen", "-l", "-f", str(path)], None, 60)
        words = done.text.split()
        return words[1] if done.returncode == 0 and len(words) > 1 else ""


def read(path: str, maker: Maker) -> Optional[KeyPair]:
    """The pair at `path` when both halves are there and belong together; None otherwise."""
    private, public = _halves(path)
    line = _line(public)
    if not private.is_file() or not line or maker.public(private) != " ".join(line.split()[:2]):
        return None
    return KeyPair(path, line, maker.fingerprint(public))


def present(path: str, comment: str, maker: Maker, *, check: bool = False) -> Tuple[bool, Optional[KeyPair]]:
    """(changed, pair). The private half is kept when it is usable; folder 0700, private half 0600, public half 0644.

    The pair is None only with `check` when there was none.
    """
    if re.search(r"[\x00-\x1f\x7f]", comment):
        raise UsageError("A comment holds a control character", where="comment", hint="use one plain line")
    private, public = _halves(path)
    pair = read(path, maker)
    if pair is not None and _modes_are_right(private):
        return False, pair
    if check:
        return True, pair
    try:
        private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(private.parent):
            # Whoever waited for the lock may find that the other made it.
            pair = read(path, maker)
            if pair is None:
                _make(private, public, comment, maker)
            private.parent.chmod(0o700)
            private.chmod(0o600)
            pair = read(path, maker)
    except OSError as error:
        raise _storage(error, path) from error
    if pair is None:
        raise FuelError("The key pair that was just made cannot be read", where=path, code="ssh_keygen")
    return True, pair


def absent(path: str, *, check: bool = False) -> Tuple[bool, List[str]]:
    """(changed, paths that were there). The folder goes too when nothing else is in it."""
    private, public = _halves(path)
    found = [str(half) for half in (private, public) if os.path.lexists(half)]
    if check or not private.parent.is_dir():
        return bool(found), found
    try:
        with _locked(private.parent):
            shutil.rmtree(_staging(private), ignore_errors=True)
            for half in (private, public):
                if os.path.lexists(half):
                    half.unlink()
        if not any(private.parent.iterdir()):
            private.parent.rmdir()
    except OSError as error:
        raise _storage(error, path) from error
    return bool(found), found


def _make(private: Path, public: Path, comment: str, maker: Maker) -> None:
    """Both halves beside their places, then moved there, the private one first: it alone can give the other again."""
    staging = _staging(private)
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=0o700)
    try:
        made = staging / "key"
        known = maker.public(private) if private.is_file() else None
        if known is None:
            if private.exists() and private.stat().st_size:
                raise FuelError(
                    "There is a file that is no usable private key",
                    hint="move it away, or name another path",
                    where=str(private),
                    code="not_a_key",
                )
            maker.generate(made, comment)
            known = maker.public(made)
            os.replace(made, private)
        line = staging / "public"
        line.write_text(f"{known} {comment}\n", encoding="utf-8")
        line.chmod(0o644)
        os.replace(line, public)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _halves(path: str) -> Tuple[Path, Path]:
    private = Path(path)
    return private, private.with_name(private.name + ".pub")


def _staging(private: Path) -> Path:
    """One fixed place: a killed run's leftovers are found and removed by the next."""
    return private.with_name(f".{private.name}.new")


def _line(public: Path) -> str:
    try:
        return public.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _modes_are_right(private: Path) -> bool:
    return private.stat().st_mode & 0o777 == 0o600 and private.parent.stat().st_mode & 0o777 == 0o700


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One at a time; the lock is on the folder itself, so no file is left behind."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _storage(error: OSError, path: str) -> FuelError:
    return FuelError(
        f"Failed to write the key pair: {error.strerror or error}",
        hint="see that the folder is yours, writable and not full",
        where=str(getattr(error, "filename", None) or path),
        code="key_storage",
    )


#: Arguments of the module `ssh_keypair`.
ARGUMENTS: Dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "backend": {"type": "str", "choices": ["file", "s3"], "default": "file"},
    "path": {"type": "path"},
    "paths": {"type": "list", "elements": "path"},
    "comment": {"type": "str", "default": "fuel-code"},
    "bucket": {"type": "str"},
    "kms_key": {"type": "str", "default": "", "no_log": False},
    "patience": {"type": "float", "default": 60},
    **_aws.ARGUMENTS,
}
#: Besides each argument for itself.
RULES: Dict[str, Any] = {
    "required_if": [("backend", "s3", ["bucket"]), ("state", "present", ["path"])],
    "required_one_of": [("path", "paths")],
    "mutually_exclusive": [("path", "paths")],
}


def together(one: Callable[[Mapping[str, Any]], Dict[str, Any]], params: Mapping[str, Any]) -> Dict[str, Any]:
    """The result of `one`, which takes `path`; with `paths`, of all of them as one."""
    if params["paths"] is None:
        return one(params)
    done = [one({**params, "path": each}) for each in params["paths"]]
    return {
        "changed": any(each["changed"] for each in done),
        "resources": [line for each in done for line in each["resources"]],
        "diff": [each["diff"] for each in done],
    }


def keypair(params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
    """The work and the result of the module `ssh_keypair` with `params` as in ARGUMENTS and backend `file`."""
    path = os.path.abspath(params["path"])
    halves = (path, f"{path}.pub")
    if params["state"] == "absent":
        changed, found = absent(path, check=check)
        return {
            "changed": changed,
            "path": path,
            "resources": [entry("local_key", half, PRESENT if os.path.lexists(half) else GONE) for half in halves],
            "diff": {"before": "".join(f"{name}\n" for name in found), "after": "", "before_header": path},
        }
    maker = SshKeygen()
    before = read(path, maker)
    changed, pair = present(path, params["comment"], maker, check=check)
    public = "" if pair is None else pair.public_key
    after = public or ("a new key pair" if changed else "")
    return {
        "changed": changed,
        "path": path,
        "public_key": public,
        "fingerprint": "" if pair is None else pair.fingerprint,
        "diff": {"before": f"{before.public_key}\n" if before else "", "after": f"{after}\n", "after_header": path},
    }
