# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations given as options."""

from __future__ import annotations

from fuelctl._shared._blueprint.durations import parse_duration
from fuelctl._shared._errors import UsageError


def seconds(option: str, text: str) -> int:
    """Seconds of a duration as a blueprint writes it; UsageError that names the option."""
    try:
        found: int = parse_duration(text)
    except UsageError as error:
        raise UsageError(error.message, hint=error.hint, where=option) from error
    if not 60 <= found <= 30 * 86400:
        raise UsageError(f"{text} is out of bounds", hint="at least 1m, at most 30d", where=option)
    return found
