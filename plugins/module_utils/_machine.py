# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""How a machine is reached: its address, who logs in, and the host keys that are believed, pinned in a file of ours.

Arguments and work of the module `provider_machine`, which a provider's `launch` and `locate` end with.
"""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Mapping

from ._errors import FuelError, UsageError
from ._receipt import GONE, PRESENT, entry

_HOST_KEY = re.compile(r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]{40,1400}={0,2}")
_ADDRESS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")

#: Arguments of the module `provider_machine`.
ARGUMENTS: Dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "known_hosts": {"type": "path", "required": True},
    "alias": {"type": "str", "required": True},
    "host_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "address": {"type": "str"},
    "port": {"type": "int", "default": 22},
    "user": {"type": "str", "default": "root"},
    "sudo": {"type": "bool"},
    "own_keys": {"type": "bool", "default": False},
    "identity_file": {"type": "path"},
    "provider": {"type": "dict", "default": {}},
    "resources": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"kind": {"type": "str", "required": True}, "name": {"type": "str", "required": True}},
    },
}


def provider_machine(params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
    """The work and the result of the module `provider_machine` with `params` as in ARGUMENTS."""
    path = os.path.abspath(params["known_hosts"])
    if params["state"] == "absent":
        there = os.path.lexists(path)
        if there and not check:
            os.unlink(path)
        state = PRESENT if os.path.lexists(path) else GONE
        return {"changed": there, "resources": [entry("local_known_hosts", path, state)]}
    keys = [_checked(_HOST_KEY, " ".join(each.split()[:2]), "host key") for each in params["host_keys"]]
    if not keys:
        raise UsageError(
            "the key of its machine is not here, and none is believed unseen",
            hint="work where it was made, with the same remote_keys_path; remote_discard=true ends it without a look",
            where=params["alias"],
            code="no_host_key",
        )
    address = _checked(_ADDRESS, params["address"] or "", "address")
    user = _checked(_USER, params["user"], "user")
    is_new = not os.path.lexists(path)
    changed = _pin(path, params["alias"], keys, check=check)
    return {
        "changed": changed,
        "contact": {
            "address": address,
            "port": params["port"],
            "user": user,
            "sudo": user != "root" if params["sudo"] is None else params["sudo"],
            "host_key": keys[-1],
            **({"own_keys": True, "identity_file": params["identity_file"] or ""} if params["own_keys"] else {}),
        },
        "provider": {**params["provider"], "address": address},
        "resources": list(params["resources"]),
        "known_hosts": path,
        "is_new": is_new,
    }


def _pin(path: str, alias: str, keys: List[str], *, check: bool) -> bool:
    """Have exactly these keys in the file; whether it had others."""
    wanted = "".join(f"{_checked(_ADDRESS, alias, 'alias')} {key}\n" for key in keys)
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            if stream.read() == wanted:
                return False
    except OSError:
        pass
    if check:
        return True
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        temporary = f"{path}.new"
        with open(temporary, "w", encoding="ascii") as stream:
            stream.write(wanted)
        os.replace(temporary, path)
    except OSError as error:
        raise FuelError(
            f"Failed to pin the machine's host key: {error.strerror or error}",
            hint="see that the folder is yours, writable and not full",
            where=path,
            code="key_storage",
        ) from error
    return True


def _checked(pattern: "re.Pattern[str]", text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is no {what}", where=what.replace(" ", "_"), code="bad_machine")
    return text
