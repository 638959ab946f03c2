# SPDX-License-Identifier: GPL-3.0-or-later
"""ULIDs: identifiers that sort by the time at which they were made."""

from __future__ import annotations

import hashlib
import os
import time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_ulid(at: float | None = None) -> str:
    """A fresh ULID: 48 bits of milliseconds since the epoch (`at` in seconds), then 80 random bits."""
    milliseconds = int((time.time() if at is None else at) * 1000) & ((1 << 48) - 1)
    return _text((milliseconds << 80) | int.from_bytes(os.urandom(10), "big"))


def ulid_of(at: float, *parts: object) -> str:
    """The same ULID for the same time and parts: what is told twice under it is told once."""
    milliseconds = int(at * 1000) & ((1 << 48) - 1)
    digest = hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogateescape")).digest()
    return _text((milliseconds << 80) | int.from_bytes(digest[:10], "big"))


def time_of(ulid: str) -> float:
    """The moment at which it was made, epoch seconds."""
    number = 0
    for letter in ulid[:10].upper():
        number = number * 32 + _CROCKFORD.index(letter)
    return number / 1000


def _text(number: int) -> str:
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))
