# SPDX-License-Identifier: GPL-3.0-or-later
"""How answers become JSON: dataclasses as they are, without the deep copies that Flask would make of each."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

from flask.json.provider import DefaultJSONProvider


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return value.__dict__
    raise TypeError(f"{type(value).__name__} is no JSON")


class Provider(DefaultJSONProvider):
    """A list of environments is thousands of small objects: copying them cost more than all the rest."""

    default = staticmethod(_plain)
    sort_keys = False
