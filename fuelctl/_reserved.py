# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that data from outside must not have: Ansible's reader gives them a meaning of their own."""

from __future__ import annotations

from typing import Any

from fuelctl._shared._errors import UsageError

MAGIC = "__ansible"


def check_keys(value: Any, where: str = "") -> None:
    """UsageError when a key in `value` has a meaning of its own to Ansible's reader."""
    if isinstance(value, dict):
        for key, item in value.items():
            if str(key).startswith(MAGIC):
                raise UsageError(
                    f"the key {str(key)[:64]!r} is reserved", hint="rename it", where=where or None, code="reserved_key"
                )
            check_keys(item, where or str(key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_keys(item, where)
