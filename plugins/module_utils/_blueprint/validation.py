# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Says everything that is wrong with a blueprint, each with its path, its line and what to write instead."""

from __future__ import annotations

import difflib
import re
import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from .data_validation import TOO_OLD
from .document import Document, Position
from .mcp import complaints
from .schema import Blueprint

_NOUNS = {
    dict: "a mapping",
    list: "a list",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `path` like `services[0].image`; `line` from 1, None when unknown."""

    path: str
    message: str
    hint: str = ""
    file: str = ""
    line: Optional[int] = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        hint = f". {self.hint}" if self.hint else ""
        return f"{where}{self.path + ': ' if self.path else ''}{self.message}{hint}"

    def as_dict(self) -> Dict[str, Any]:
        """The same as plain data."""
        return {"path": self.path, "message": self.message, "hint": self.hint, "file": self.file, "line": self.line}


class _Field(NamedTuple):
    hint: Any
    required: bool


@lru_cache(maxsize=None)
def _fields(cls: type) -> Dict[str, _Field]:
    options: Dict[str, Any] = {"include_extras": True} if hasattr(typing, "Annotated") else {}
    hints = typing.get_type_hints(cls, **options)
    return {
        item.name: _Field(hints[item.name], item.default is MISSING and item.default_factory is MISSING)
        for item in fields(cls)
    }


def _split(hint: Any) -> Tuple[Any, Any]:
    """(type, rule or None) of a field's type."""
    metadata = getattr(hint, "__metadata__", None)
    return (hint.__origin__, metadata[0]) if metadata else (hint, None)


def spell(position: Position) -> str:
    """`("services", 0, "image")` as `services[0].image`."""
    text = ""
    for step in position:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _noun(value: Any) -> str:
    return "nothing" if value is None else _NOUNS.get(type(value), f"a {type(value).__name__}")


class _Validation:
    def __init__(self, source: Union[Document, str, None]) -> None:
        self._document = source if isinstance(source, Document) else None
        self._file = source.file if isinstance(source, Document) else source or ""
        self.problems: List[Problem] = []

    def report(self, position: Position, message: str, hint: str = "") -> None:
        line = self._document.line(position) if self._document else None
        self.problems.append(Problem(spell(position), message, hint, self._file, line))

    def check(self, value: Any, hint: Any, position: Position) -> None:
        kind, rule = _split(hint)
        origin = getattr(kind, "__origin__", None)
        if is_dataclass(kind):
            self._object(value, kind, position)
        elif origin is tuple:
            self._list(value, kind.__args__[0], position)
        elif origin is dict:
            self._mapping(value, kind.__args__, position)
        elif kind is not Any:
            self._scalar(value, kind, rule, position)

    def _wrong_type(self, position: Position, wanted: Any, value: Any, hint: str = "") -> None:
        self.report(position, f"must be {_NOUNS[wanted]}, not {_noun(value)}", hint)

    def _object(self, value: Any, cls: Any, position: Position) -> None:
        if not isinstance(value, dict):
            self._wrong_type(position, dict, value)
            return
        known = _fields(cls)
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean {near[0]}?" if near else "known are " + ", ".join(known)
                self.report((*position, str(key)), "is not a field of " + (spell(position) or "a blueprint"), hint)
        for name, item in known.items():
            if name in value:
                self.check(value[name], item.hint, (*position, name))
            elif item.required:
                self.report((*position, name), "is missing", f"add `{name}:`")

    def _list(self, value: Any, item: Any, position: Position) -> None:
        if not isinstance(value, (list, tuple)):
            self._wrong_type(position, list, value, "write one value a line, each after `- `")
            return
        for index, element in enumerate(value):
            self.check(element, item, (*position, index))

    def _mapping(self, value: Any, arguments: Tuple[Any, ...], position: Position) -> None:
        if not isinstance(value, dict):
            self._wrong_type(position, dict, value, "write `name: value` lines")
            return
        for key, element in value.items():
            self.check(key, arguments[0], (*position, str(key)))
            self.check(element, arguments[1], (*position, str(key)))

    def _scalar(self, value: Any, kind: Any, rule: Any, position: Position) -> None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        whole = number and isinstance(value, int)
        fits = isinstance(value, kind) if kind in (str, bool) else whole if kind is int else number
        if not fits:
            quote = f'write it in quotes: "{value}"' if kind is str and number else ""
            self._wrong_type(position, kind, value, quote or getattr(rule, "hint", ""))
            return
        complaint = rule.complaint(value) if rule else None
        if complaint:
            self.report(position, complaint, rule.hint)


def validate(data: Any, source: Union[Document, str, None] = None) -> List[Problem]:
    """Every problem of `data` (plain dicts and lists), in the order of the fields; empty when it is a blueprint.

    :param source: the document that `data` came from (gives lines), or just a file name.
    """
    validation = _Validation(source)
    validation.check(data, Blueprint, ())
    if isinstance(data, dict):
        _versions(data, validation)
        _mcp_servers(data, validation)
    return validation.problems


def _versions(data: Dict[str, Any], validation: _Validation) -> None:
    runtimes = data.get("runtimes")
    for index, runtime in enumerate(runtimes if isinstance(runtimes, (list, tuple)) else ()):
        if not isinstance(runtime, dict):
            continue
        name, version = runtime.get("name"), runtime.get("version")
        pattern = TOO_OLD.get(name) if isinstance(name, str) else None
        if pattern and isinstance(version, str) and re.search(pattern, version):
            position = ("runtimes", index, "version")
            validation.report(position, f"{name} {version} is too old to build from", "choose a newer version")


def _mcp_servers(data: Dict[str, Any], validation: _Validation) -> None:
    agent, secrets = data.get("agent"), data.get("secrets")
    if isinstance(agent, dict):
        names = secrets if isinstance(secrets, (list, tuple)) else ()
        for position, message, hint in complaints(agent.get("mcp_servers"), names):
            validation.report(("agent", "mcp_servers", *position), message, hint)


def build(data: Any, cls: Any = Blueprint) -> Any:
    """A dataclass from data that `validate` found nothing wrong with."""
    values: Dict[str, Any] = {}
    for name, item in _fields(cls).items():
        if name in data:
            values[name] = _value(data[name], item.hint)
    return cls(**values)


def _value(value: Any, hint: Any) -> Any:
    kind, _rule = _split(hint)
    origin = getattr(kind, "__origin__", None)
    if is_dataclass(kind):
        return build(value, kind)
    if origin is tuple:
        return tuple(_value(element, kind.__args__[0]) for element in value)
    if origin is dict:
        return dict(value)
    # 2.0 and 2 are the same number, so they freeze to the same text.
    return int(value) if kind is float and float(value).is_integer() else value


def plain(part: Any) -> Any:
    """Dataclasses and tuples as dicts and lists, in the order of the fields."""
    if is_dataclass(part) and not isinstance(part, type):
        return {item.name: plain(getattr(part, item.name)) for item in fields(part)}
    if isinstance(part, (list, tuple)):
        return [plain(element) for element in part]
    return {key: plain(element) for key, element in part.items()} if isinstance(part, dict) else part
