# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""One OpenSSH public key that somebody else sent, held against what it says it is before anybody is let in by it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import List

from ._errors import UsageError

_CURVES = {"nistp256": 65, "nistp384": 97, "nistp521": 133}
_LEAST_RSA_BITS = 3072
_MOST_RSA_BITS = 16384
_ED25519_BYTES = 32
_LONGEST = 8192
#: No options before it, nothing but a short comment behind it.
_LINE = re.compile(r"(?P<type>[a-z0-9-]{4,30}) (?P<blob>[A-Za-z0-9+/]{40,4096}={0,2})(?: [^\x00-\x1f\x7f]{0,200})?")


@dataclass(frozen=True)
class PublicKey:
    """`line` is `TYPE BASE64`, without the comment; `fingerprint` as ssh shows it: `SHA256:...`."""

    line: str
    fingerprint: str


def check_public_key(text: str) -> PublicKey:
    """The key in `text`, the one line of an `id_*.pub` file; UsageError for anything else.

    Ed25519, ECDSA on the NIST curves, or RSA of 3072 bits at least.
    """
    found = _LINE.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise _refused("it is not one line `TYPE BASE64 COMMENT`, without options before it")
    kind = found["type"]
    try:
        blob = base64.b64decode(found["blob"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refused("it is damaged") from error
    parts = _parts(blob)
    if not parts or parts[0] != kind.encode("ascii"):
        raise _refused("it is damaged, or not of the type that it says")
    _check(kind, parts[1:])
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")
    canonical = base64.b64encode(blob).decode("ascii")
    return PublicKey(f"{kind} {canonical}", f"SHA256:{digest}")


def _check(kind: str, parts: List[bytes]) -> None:
    if kind == "ssh-ed25519":
        good = len(parts) == 1 and len(parts[0]) == _ED25519_BYTES
    elif kind.startswith("ecdsa-sha2-"):
        curve = kind[len("ecdsa-sha2-") :]
        size = _CURVES.get(curve)
        good = (
            len(parts) == 2 and parts[0] == curve.encode("ascii") and len(parts[1]) == size and parts[1][:1] == b"\x04"
        )
    elif kind == "ssh-rsa":
        good = len(parts) == 2 and 0 < len(parts[0]) <= 8
        bits = int.from_bytes(parts[1], "big").bit_length() if good and not parts[1][:1] > b"\x7f" else 0
        if good and bits < _LEAST_RSA_BITS:
            raise _refused(f"an RSA key of {bits} bits is too short: {_LEAST_RSA_BITS} at least")
        good = good and bits <= _MOST_RSA_BITS
    else:
        raise _refused(f"keys of type {kind} are not taken")
    if not good:
        raise _refused("it is damaged")


def _parts(blob: bytes) -> List[bytes]:
    """The strings that it is made of; none when it is made of anything else."""
    found: List[bytes] = []
    at = 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        if at + 4 + size > len(blob) or len(found) > 8:
            return []
        found.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def _refused(why: str) -> UsageError:
    return UsageError(
        f"Nobody is let in by this key: {why}",
        hint="give the one line of an id_ed25519.pub file; make one: ssh-keygen -t ed25519",
        where="public_key",
        code="bad_public_key",
    )
