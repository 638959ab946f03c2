# SPDX-License-Identifier: GPL-3.0-or-later
"""The cursor of a list: where the page before ended, as one word that means nothing to its reader."""

from __future__ import annotations

import base64
import binascii
import math
import re

from fuelctl._shared._errors import UsageError

_INSIDE = re.compile(r"(?P<at>[0-9.e+-]{1,32}) (?P<id>[0-7][0-9A-HJKMNP-TV-Z]{25})")


def cursor(created_at: float, one_id: str) -> str:
    """The cursor after this row."""
    return base64.urlsafe_b64encode(f"{created_at!r} {one_id}".encode("ascii")).decode("ascii")


def position(text: str | None) -> tuple[float, str] | None:
    """(`created_at`, id) of the row that it is after; UsageError for a cursor that is none of ours."""
    if text is None:
        return None
    try:
        found = _INSIDE.fullmatch(base64.urlsafe_b64decode(text.encode("ascii")).decode("ascii"))
        at = float(found["at"]) if found else math.nan
    except (binascii.Error, ValueError):
        found, at = None, math.nan
    if found is None or not math.isfinite(at):
        raise UsageError(
            "this cursor is none of this list's",
            hint="begin without one, then give what each page says",
            where="cursor",
            code="invalid_cursor",
        )
    return at, found["id"]
