# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Durations as people write them in a blueprint: `8h`, `30m`, `1h30m`, `2d`."""

from __future__ import annotations

import re

from .._errors import UsageError

_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", re.ASCII)
_UNITS = (86400, 3600, 60, 1)


def parse_duration(text: str) -> int:
    """Seconds in `text` (days, hours, minutes, seconds in this order: `1d12h`); UsageError when it is none."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) and text else None
    if match is None:
        raise UsageError(f"{str(text)[:40]!r} is not a duration", hint="write it like 8h, 30m, 1h30m or 2d")
    return sum(int(count) * unit for count, unit in zip(match.groups(), _UNITS) if count)


def format_duration(seconds: int) -> str:
    """The shortest way to write `seconds`: 5400 is `1h30m`."""
    parts = []
    for unit, letter in zip(_UNITS, "dhms"):
        count, seconds = divmod(seconds, unit)
        if count:
            parts.append(f"{count}{letter}")
    return "".join(parts) or "0s"
