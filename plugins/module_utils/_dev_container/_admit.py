# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Let one more key into a living environment: in its container, and on a machine that its people pass through."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from typing import Any, Dict, Mapping, Optional

from .._docker import Docker
from .._errors import FuelError
from .._identity import check_environment_id, container_names
from .._inside import ARGUMENTS as INSIDE
from .._inside import MACHINE
from .._public_key import PublicKey, check_public_key
from . import _in_place
from ._lock import only_one
from ._login import LATER_MARK

ARGUMENTS: Dict[str, Any] = {
    "environment_id": {"type": "str", "required": True},
    "attempt": {"type": "int", "default": 1},
    "public_key": {"type": "str", "required": True, "no_log": False},
    "machine_user": {"type": "str"},
    **INSIDE,
}
#: $1 check|write, $2 the mark; the key on stdin. Prints `added` when it is not there.
_ADD = r"""
set -eu
umask 022
file=/etc/fuel-code/authorized_keys
key=$(cat)
[ -f "$file" ]
grep -qxF -- "$key" "$file" && exit 0
echo added
[ "$1" = write ] || exit 0
cp -- "$file" "$file.later"
grep -qxF -- "$2" "$file" || printf '%s\n' "$2" >>"$file.later"
printf '%s\n' "$key" >>"$file.later"
mv -f -- "$file.later" "$file"
"""


def admit(params: Mapping[str, Any], *, check: bool = False) -> Dict[str, Any]:
    """`{changed, admitted: {fingerprint, machine}}`. FuelError when it cannot be done."""
    key = check_public_key(params["public_key"])
    environment_id = check_environment_id(params["environment_id"])
    if params["environment_is"] == MACHINE:
        changed = _in_place.admit(key, check=check)
        return _result(key, "the machine", changed, machine=True)
    container = container_names(environment_id, params["attempt"]).container
    # Two that come at once: each reads what the other has written.
    with only_one(f"{container}.admit"):
        inside = _inside(Docker(), container, key, check=check)
        machine = _on_machine(params.get("machine_user"), key, check=check)
    return _result(key, container, inside or bool(machine), machine=params.get("machine_user") is not None)


def _result(key: PublicKey, name: str, changed: bool, *, machine: bool) -> Dict[str, Any]:
    shown = {"before": "", "after": f"{key.fingerprint} may enter {name}\n" if changed else ""}
    return {"changed": changed, "admitted": {"fingerprint": key.fingerprint, "machine": machine}, "diff": shown}


def _inside(docker: Docker, container: str, key: PublicKey, *, check: bool) -> bool:
    argv = ["sh", "-c", _ADD, "admit", "check" if check else "write", LATER_MARK]
    done = docker.exec(container, argv, user="0", stdin=key.line.encode("ascii"), check=False, timeout=60)
    if done.returncode != 0:
        last = (done.error_text.splitlines() or [f"exit code {done.returncode}"])[-1]
        raise FuelError(
            f"The key was not let in to the container: {last[:200]}",
            hint="see whether the environment runs",
            where=container,
            code="not_admitted",
        )
    return done.text == "added"


def _on_machine(user: Optional[str], key: PublicKey, *, check: bool) -> bool:
    """The same on the machine, for who comes in by way of it with the environment's key."""
    if user is None:
        return False
    try:
        account = pwd.getpwnam(user)
        folder = os.path.join(account.pw_dir, ".ssh")
        file = os.path.join(folder, "authorized_keys")
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape") as opened:
            before, about = opened.read(), os.fstat(opened.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError("it is no file")
        if any(line.split()[:2] == key.line.split() for line in before.splitlines()):
            return False
        if not check:
            after = f"{before.rstrip(chr(10))}\n{key.line}\n".lstrip("\n")
            _replace(file, after, about)
    except (KeyError, OSError) as error:
        raise FuelError(
            f"The key was not let in to the machine: {error}",
            hint="see whether its login is as it was made",
            where=str(user),
            code="not_admitted",
        ) from error
    return True


def _replace(file: str, text: str, about: os.stat_result) -> None:
    descriptor, new = tempfile.mkstemp(dir=os.path.dirname(file), prefix=".authorized_keys.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as opened:
            opened.write(text)
            os.fchmod(opened.fileno(), stat.S_IMODE(about.st_mode))
            os.fchown(opened.fileno(), about.st_uid, about.st_gid)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(new, file)
    except BaseException:
        os.unlink(new)
        raise
