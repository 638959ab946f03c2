# SPDX-License-Identifier: GPL-3.0-or-later
"""ULIDs: identifiers that sort by the time at which they were made."""

from __future__ import annotations

import os
import time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_ulid(at: float | None = None) -> str:
    """A fresh ULID: 48 bits of milliseconds since the epoch (`at` in seconds), then 80 random bits."""
    milliseconds = int((time.time() if at is None else at) * 1000) & ((1 << 48) - 1)
    number = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))
