# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What may stand in a blueprint's fields: one rule per kind of value, for our validator, pydantic and the schema.

A rule never imports pydantic: pydantic asks it (`__get_pydantic_core_schema__`) and is answered in plain dictionaries.
Patterns keep to what Python, Rust (pydantic) and ECMA 262 (editors) read alike: ASCII classes, no look-around.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Optional, Sequence

from .._errors import FuelError


class Text:
    """A string: pattern, length in characters, and what the pattern cannot say.

    :param what: the noun of messages, for example `an image reference`.
    :param hint: how a good value looks.
    :param check: returns a complaint or None; only for what a pattern cannot express.
    :param forbidden: JSON Schema fragment that is refused, the schema's way of saying `check`.
    """

    def __init__(
        self,
        what: str,
        *,
        pattern: Optional[str] = None,
        min_length: int = 0,
        max_length: int = 4096,
        hint: str = "",
        check: Optional[Callable[[str], Optional[str]]] = None,
        forbidden: Optional[Dict[str, Any]] = None,
        enum: Sequence[str] = (),
    ) -> None:
        self.what = what
        self.hint = hint
        self.max_length = max_length
        self.min_length = min_length
        self.pattern = pattern
        self.enum = tuple(enum)
        self._compiled = re.compile(pattern) if pattern else None
        self._check = check
        self._forbidden = forbidden

    def _ends(self) -> bool:
        return bool(self.pattern and self.pattern.endswith("$"))

    def complaint(self, value: str) -> Optional[str]:
        """What is wrong with `value`, or None."""
        shown = repr(value[:60]) + ("..." if len(value) > 60 else "")
        if len(value) < self.min_length:
            return f"{self.what} cannot be empty" if not value else f"{shown} is too short for {self.what}"
        if len(value) > self.max_length:
            return f"{shown} is longer than {self.max_length} characters"
        if self.enum and value not in self.enum:
            return f"{shown} is not {self.what}"
        if self._compiled and not self._compiled.search(value):
            return f"{shown} is not {self.what}"
        # Python's `$` also matches before a final newline; Rust's and ECMA's do not.
        if self._ends() and value.endswith("\n"):
            return f"{shown} ends with a newline"
        return self._check(value) if self._check else None

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Dict[str, Any]]) -> Dict[str, Any]:
        schema = dict(handler(source))

        def verdict(value: str) -> str:
            complaint = self.complaint(value)
            if complaint:
                raise ValueError(complaint)
            return value

        return {"type": "function-after", "function": {"type": "no-info", "function": verdict}, "schema": schema}

    def __get_pydantic_json_schema__(self, core: Any, handler: Callable[[Any], Dict[str, Any]]) -> Dict[str, Any]:
        schema = dict(handler(core))
        if self.min_length:
            schema["minLength"] = self.min_length
        schema["maxLength"] = self.max_length
        if self.pattern:
            schema["pattern"] = self.pattern
        if self.enum:
            schema["enum"] = list(self.enum)
        refused = [self._forbidden] if self._forbidden else []
        if self._ends():
            refused.append({"pattern": "[\\r\\n]"})
        if refused:
            schema["not"] = refused[0] if len(refused) == 1 else {"anyOf": refused}
        return schema


class Number:
    """A number between two bounds, both included."""

    def __init__(self, what: str, least: float, most: float, hint: str = "") -> None:
        self.what = what
        self.least = least
        self.most = most
        self.hint = hint or (f"write {least}" if least == most else f"write a number from {least} to {most}")

    def complaint(self, value: float) -> Optional[str]:
        """What is wrong with `value`, or None."""
        if self.least <= value <= self.most:
            return None
        return f"{value!r} is not {self.what}"

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Dict[str, Any]]) -> Dict[str, Any]:
        return dict(handler(source), ge=self.least, le=self.most)


def bounded(what: str, parse: Callable[[str], int], least: str, most: str) -> Callable[[str], Optional[str]]:
    """A check that `parse(value)` lies between two values written the same way."""
    low, high = parse(least), parse(most)

    def check(value: str) -> Optional[str]:
        try:
            number = parse(value)
        except FuelError as error:
            return error.message
        return None if low <= number <= high else f"{value!r} is not {what} between {least} and {most}"

    return check
