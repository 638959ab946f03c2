# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""A host that somebody can already `ssh` to: where it is by their own configuration, and which host keys they believe.

Nothing is trusted on first use: a key is in the user's known_hosts, or its fingerprint was given.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set

from ._docker import Completed, Run, run_command
from ._errors import FuelError, UsageError

_HOST = re.compile(
    r"(?:(?P<user>[a-z_][a-z0-9_-]{0,31})@)?(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_FINGERPRINT = re.compile(r"(?:SHA256:)?([A-Za-z0-9+/]{43})=?")
_TYPES = ("ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-ed25519")

#: Arguments of the module `ssh_host_info`.
ARGUMENTS: Dict[str, Any] = {
    "host": {"type": "str", "required": True},
    "fingerprint": {"type": "str", "default": ""},
    "known_hosts": {"type": "path"},
    "timeout": {"type": "int", "default": 10},
}


class Place(NamedTuple):
    """Where ssh would go."""

    address: str
    port: int
    user: str
    alias: str
    files: List[str]


def ssh_host_info(params: Mapping[str, Any], *, check: bool, run: Run = run_command) -> Dict[str, Any]:
    """`{address, port, user, host_keys}`, the best key last; FuelError when none is believed."""
    del check  # It changes nothing.
    asked = params["host"]
    place = _place(asked, run)
    if params["known_hosts"]:
        place = place._replace(files=[params["known_hosts"]])
    known, revoked = _known(place, run)
    if params["fingerprint"]:
        keys = _matching(place, params["fingerprint"], run, params["timeout"])
    else:
        keys = known
    keys = [key for key in keys if key not in revoked]
    if not keys:
        raise FuelError(
            f"the host key of {asked[:80]} is not known, and none is believed unseen",
            where=f"{place.address}:{place.port}",
            hint="log in once with ssh and compare the key; or give its fingerprint (--option fingerprint=SHA256:...), "
            "which `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` shows there",
            code="unknown_host_key",
        )
    ordered = sorted(keys, key=lambda key: _TYPES.index(key.split()[0]))
    return {"changed": False, "address": place.address, "port": place.port, "user": place.user, "host_keys": ordered}


def split(text: str) -> "tuple[Optional[str], str, Optional[int]]":
    """(user, name, port) of `user@name:port`; UsageError when it is no such text."""
    found = _HOST.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port is not None and not 0 < port < 65536):
        raise UsageError(
            f"{text[:80]!r} is no host", hint="like alice@build.example.org or alice@203.0.113.7:2222", where="host"
        )
    return found["user"], found["name"].strip("[]"), port


def _place(text: str, run: Run) -> Place:
    """What the user's own ssh configuration makes of it."""
    user, name, port = split(text)
    words = ["ssh", "-G"]
    words += ["-l", user] if user else []
    words += ["-p", str(port)] if port else []
    said = _call(run, [*words, "--", name], 30)
    if said.returncode != 0:
        raise FuelError(
            f"ssh does not know what to do with {text[:80]}: {said.error_text.splitlines()[-1:]}",
            hint="look at ~/.ssh/config",
            code="ssh_config",
        )
    facts: Dict[str, str] = {}
    for line in said.text.splitlines():
        key, _space, value = line.partition(" ")
        facts.setdefault(key, value)
    files = f"{facts.get('userknownhostsfile', '')} {facts.get('globalknownhostsfile', '')}".split()
    return Place(
        address=facts.get("hostname") or name,
        port=int(facts.get("port") or 22),
        user=facts.get("user") or user or "root",
        alias=facts.get("hostkeyalias", ""),
        files=[path for path in map(os.path.expanduser, files) if os.path.isfile(path)],
    )


def _known(place: Place, run: Run) -> "tuple[List[str], Set[str]]":
    """(keys that the known_hosts files have for it, those among them that are revoked)."""
    name = place.alias or (place.address if place.port == 22 else f"[{place.address}]:{place.port}")
    keys: List[str] = []
    revoked: Set[str] = set()
    for path in place.files:
        for line in _call(run, ["ssh-keygen", "-F", name, "-f", path], 30).text.splitlines():
            words = line.split()
            if len(words) >= 4 and words[0] == "@revoked":
                revoked.add(f"{words[2]} {words[3]}")
            elif len(words) >= 3 and not line.startswith(("#", "@")) and words[1] in _TYPES:
                keys.append(f"{words[1]} {words[2]}")
    return list(dict.fromkeys(keys)), revoked


def _matching(place: Place, fingerprint: str, run: Run, timeout: int) -> List[str]:
    """Those of the keys that the host shows whose fingerprint it is."""
    wanted = _FINGERPRINT.fullmatch(fingerprint)
    if wanted is None:
        raise UsageError(
            f"{fingerprint[:80]!r} is no fingerprint", hint="like SHA256:nThbg6kXUpJ...", where="fingerprint"
        )
    shown = _call(run, ["ssh-keyscan", "-T", str(timeout), "-p", str(place.port), "--", place.address], timeout * 6)
    pairs = [line.split()[1:3] for line in shown.text.splitlines() if not line.startswith("#")]
    keys = [f"{kind} {key}" for kind, key in (pair for pair in pairs if len(pair) == 2) if kind in _TYPES]
    if not keys:
        raise FuelError(
            "no SSH server answers there",
            where=f"{place.address}:{place.port}",
            hint="see that the machine runs, and that this one may connect to it",
            code="no_ssh",
        )
    good = [key for key in keys if _fingerprint(key) == wanted[1]]
    if not good:
        raise FuelError(
            "the host shows another key than the one whose fingerprint was given",
            where=f"{place.address}:{place.port}",
            hint="this is another machine, or somebody is between; it shows "
            + ", ".join(f"SHA256:{_fingerprint(key)}" for key in keys),
            code="wrong_host_key",
        )
    return good


def _fingerprint(key: str) -> str:
    """The SHA-256 that `ssh-keygen -l` shows, without its prefix."""
    try:
        blob = base64.b64decode(key.split()[1], validate=True)
    except ValueError:
        return ""
    return base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def _call(run: Run, argv: List[str], timeout: float) -> Completed:
    try:
        return run(argv, None, timeout)
    except FileNotFoundError as error:
        raise FuelError(
            f"{argv[0]} is not installed on this machine", hint="install OpenSSH's client", code="no_ssh_client"
        ) from error
