# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Reads env.yaml into plain data with the line of every value; hostile files are refused quickly.

Built on PyYAML's events, not on its constructor: events come one at a time, so depth, size and aliases are counted
before anything is built, and no tag can make an object.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple, Union

from .._errors import FuelError, UsageError

try:
    import yaml
except ImportError:  # Only a machine without PyYAML; whoever runs Ansible has it.
    yaml = None  # type: ignore[assignment]  # A missing module has no better value.

#: Bytes; a blueprint is a page of text.
MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
#: Values after aliases are followed, so that nine lines cannot become a thousand million.
MAX_NODES = 20000

Step = Union[str, int]
Position = Tuple[Step, ...]

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,18})\.[0-9]{1,18}")
_PLAIN_TAGS = {
    "tag:yaml.org,2002:str",
    "tag:yaml.org,2002:int",
    "tag:yaml.org,2002:float",
    "tag:yaml.org,2002:bool",
    "tag:yaml.org,2002:null",
}


@dataclass(frozen=True)
class Document:
    """Plain data and the line (from 1) at which each value begins."""

    data: Any
    file: str
    lines: Dict[Position, int] = field(default_factory=dict)

    def line(self, position: Position) -> Optional[int]:
        """Line of the value at `position`, or of the nearest thing around it."""
        while position and position not in self.lines:
            position = position[:-1]
        return self.lines.get(position)


def read(path: str) -> Document:
    """The document at `path`; UsageError with file:line when it is missing, too big, or not plain YAML."""
    name = os.fspath(path)
    try:
        # Not blocking: a FIFO of that name must not hang us.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(descriptor, "rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(
            "there is no blueprint here",
            where=name,
            hint="run `fuelctl blueprint detect` to write one",
            code="blueprint_missing",
        ) from None
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", where=name, code="blueprint_unreadable") from None
    return parse(raw or b"", name)


def parse(raw: bytes, name: str) -> Document:
    """The document in `raw`, called `name` in messages."""
    if len(raw) > MAX_BYTES:
        raise _refusal(name, None, f"it is larger than {MAX_BYTES // 1024} KB", "a blueprint is a page of text")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _refusal(name, line, "it is not UTF-8 text", "save the file as UTF-8") from None
    if "\0" in text:
        raise _refusal(
            name, text.count("\n", 0, text.index("\0")) + 1, "it holds a NUL byte", "save the file as UTF-8 text"
        )
    if yaml is None:
        raise FuelError("PyYAML is missing", hint="install PyYAML for this Python", code="yaml_missing")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return _Builder(loader, name).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise _refusal(
            name, mark.line + 1 if mark else None, str(problem), "check indentation, quotes and colons"
        ) from None
    finally:
        loader.dispose()


def _refusal(name: str, line: Optional[int], message: str, hint: str) -> UsageError:
    where = f"{name}:{line}" if line else name
    return UsageError(message, where=where, hint=hint, code="blueprint_unreadable")


class _Frame:
    """A sequence or mapping that is being filled."""

    def __init__(self, value: Any, position: Position, anchor: Optional[str], line: int, first_node: int) -> None:
        self.value = value
        self.position = position
        self.anchor = anchor
        self.line = line
        self.first_node = first_node
        self.key: Optional[str] = None


class _Builder:
    def __init__(self, loader: Any, name: str) -> None:
        self._loader = loader
        self._name = name
        self._lines: Dict[Position, int] = {}
        self._stack: List[_Frame] = []
        self._anchors: Dict[str, Tuple[Any, int]] = {}
        self._nodes = 0
        self._data: Any = None

    def document(self) -> Document:
        documents = 0
        while self._loader.check_event():
            event = self._loader.get_event()
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    raise self._refuse(event, "it holds more than one document", "keep what is before the second `---`")
            elif kind == "ScalarEvent":
                self._scalar(event)
            elif kind in ("SequenceStartEvent", "MappingStartEvent"):
                self._open(event, [] if kind[0] == "S" else {})
            elif kind in ("SequenceEndEvent", "MappingEndEvent"):
                self._close()
            elif kind == "AliasEvent":
                self._alias(event)
        return Document(self._data, self._name, self._lines)

    def _refuse(self, event: Any, message: str, hint: str) -> UsageError:
        return _refusal(self._name, event.start_mark.line + 1, message, hint)

    def _count(self, event: Any, nodes: int = 1) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._refuse(event, f"it holds more than {MAX_NODES} values", "remove aliases that repeat each other")

    def _open(self, event: Any, value: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise self._refuse(event, f"it is nested deeper than {MAX_DEPTH} levels", "flatten it")
        if event.tag and event.tag not in ("!", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
            raise self._refuse(event, f"the tag {event.tag[:60]!r} is not allowed", "write plain YAML without tags")
        self._count(event)
        position = self._put(event, value)
        self._stack.append(_Frame(value, position, event.anchor, event.start_mark.line + 1, self._nodes))

    def _close(self) -> None:
        frame = self._stack.pop()
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.value, self._nodes - frame.first_node + 1)

    def _scalar(self, event: Any) -> None:
        self._count(event)
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self._key(event, frame)
            return
        value = self._resolve(event)
        self._put(event, value)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)

    def _key(self, event: Any, frame: _Frame) -> None:
        key = event.value
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise self._refuse(event, f"the tag {event.tag[:60]!r} is not allowed", "write plain YAML without tags")
        if key == "<<" and event.implicit[0]:
            raise self._refuse(event, "merge keys (<<) are not supported", "write the keys out")
        if key in frame.value:
            raise self._refuse(event, f"the key {key[:60]!r} is there twice", "keep one of them")
        frame.key = key
        # So that a message about the key itself has its line, whatever its value is.
        self._lines[(*frame.position, key)] = event.start_mark.line + 1

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise self._refuse(
                event, f"the alias *{event.anchor[:60]} refers to nothing before it", "define the anchor first"
            )
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            raise self._refuse(event, "an alias cannot be a key", "write the key out")
        value, size = self._anchors[event.anchor]
        self._count(event, size)
        self._put(event, value)

    def _put(self, event: Any, value: Any) -> Position:
        if not self._stack:
            self._data = value
            self._lines[()] = event.start_mark.line + 1
            return ()
        frame = self._stack[-1]
        if isinstance(frame.value, list):
            position: Position = (*frame.position, len(frame.value))
            frame.value.append(value)
            self._lines[position] = event.start_mark.line + 1
            return position
        if frame.key is None:
            raise self._refuse(event, "a list or mapping cannot be a key", "use a plain word as the key")
        position = (*frame.position, frame.key)
        frame.value[frame.key] = value
        frame.key = None
        return position

    def _resolve(self, event: Any) -> Any:
        tag = event.tag
        if tag is None or tag == "!":
            if not event.implicit[0]:
                return event.value
            tag = self._loader.resolve(yaml.ScalarNode, event.value, (True, False))
        elif tag not in _PLAIN_TAGS:
            raise self._refuse(event, f"the tag {tag[:60]!r} is not allowed", "write plain YAML without tags")
        return _plain(tag, event.value)


def _plain(tag: str, text: str) -> Any:
    """The value of a scalar. Numbers as JSON has them: `08` and `1_000` stay text, `60:30` is no base-60 number."""
    if tag.endswith(":null"):
        return None
    if tag.endswith(":bool"):
        return text.lower() in ("true", "yes", "on")
    if tag.endswith((":int", ":float")):
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text
