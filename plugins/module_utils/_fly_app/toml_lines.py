# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""TOML with the line of every key: the standard library reads it, a walk over its text finds where each key stands.

No reader of TOML on PyPI that is pure Python keeps positions. The text is walked only after `tomllib` took it, so the
walk meets valid TOML and need not judge it.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

Path = Tuple[Union[str, int], ...]

_KEY = re.compile(r"[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([A-Za-z0-9_-]+))[ \t]*")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)
#: Longer dotted keys take the reader a time that grows with their square.
_DEEP = re.compile(r"(?:[\w\"'-]{1,60}[ \t]{0,9}\.[ \t]{0,9}){64}")
_MOST = 1024 * 1024


class Toml(NamedTuple):
    """A document: its plain data, and the line (from 1) of each path in it."""

    data: Dict[str, Any]
    lines: Dict[Path, int]

    def line(self, *path: Union[str, int]) -> int:
        """Line of a key, of the nearest that is there when it is not."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1


class TomlError(Exception):
    """Not TOML: the reason and its line."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def parse(text: str) -> Toml:
    """The document; TomlError when it is none."""
    import tomllib  # from Python 3.11 on; fuelctl needs that anyway

    if len(text) > _MOST or _DEEP.search(text):
        raise TomlError("it is too large, or nested too deeply", 1)
    text = text.replace("\r\n", "\n").lstrip("\ufeff")
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        found = re.search(r" \(at line (\d+), column \d+\)", str(error))
        line = int(found.group(1)) if found else text.count("\n") + 1
        raise TomlError(re.sub(r" \(at .*\)$", "", str(error)) or "it is nested too deeply", line) from None
    walk = _Walk(text)
    walk.document()
    return Toml(data, walk.lines)


class _Walk:
    """One pass over valid TOML."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.lines: Dict[Path, int] = {}
        #: How many elements each array of tables has had so far.
        self._counts: Dict[Path, int] = {}
        self._line, self._counted = 1, 0

    def _here(self) -> int:
        """Line of the position."""
        self._line += self.text.count("\n", self._counted, self.position)
        self._counted = self.position
        return self._line

    def _note(self, path: Path) -> None:
        self.lines.setdefault(path, self._here())

    def document(self) -> None:
        """Headers, keys and comments to the end."""
        base: Path = ()
        while True:
            self._blank(lines=True)
            if self.position >= len(self.text):
                return
            if self.text.startswith("[[", self.position):
                self.position += 2
                base = self._array(self._keys())
                self.position += 2
            elif self.text[self.position] == "[":
                self.position += 1
                base = self._resolve(self._keys())
                self._parents(base)
                self.position += 1
            else:
                self._pair(base)

    def _blank(self, lines: bool) -> None:
        """Past spaces, and where `lines` past comments and line ends."""
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == "#" and lines:
                end = self.text.find("\n", self.position)
                self.position = len(self.text) if end < 0 else end
            elif character in " \t" or (lines and character in "\n,"):
                self.position += 1
            else:
                return

    def _keys(self) -> Path:
        keys: List[str] = []
        while True:
            match = _KEY.match(self.text, self.position)
            if match is None:
                return tuple(keys)
            quoted, literal, bare = match.groups()
            keys.append(_plain(quoted) if quoted is not None else literal if literal is not None else bare)
            # Where the key begins, not the space before it.
            self.position = match.end()
            if not self.text.startswith(".", self.position):
                return tuple(keys)
            self.position += 1

    def _resolve(self, keys: Path) -> Path:
        """A header's keys with the index of the last element of every array of tables on the way."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return path

    def _array(self, keys: Path) -> Path:
        path: Path = (*self._resolve(keys[:-1]), keys[-1])
        index = self._counts.get(path, 0)
        self._counts[path] = index + 1
        self._parents(path)
        element: Path = (*path, index)
        self._note(element)
        return element

    def _parents(self, path: Path) -> None:
        for length in range(1, len(path) + 1):
            self._note(path[:length])

    def _pair(self, base: Path) -> None:
        line = self._here()
        keys = self._keys()
        for length in range(1, len(keys) + 1):
            self.lines.setdefault((*base, *keys[:length]), line)
        self._blank(lines=False)
        self.position += 1  # the `=`
        self._value((*base, *keys))

    def _value(self, path: Path) -> None:
        self._blank(lines=False)
        character = self.text[self.position : self.position + 1]
        if character in ("'", '"'):
            match = _STRING.match(self.text, self.position)
            self.position = match.end() if match else len(self.text)
        elif character == "[":
            self._list(path)
        elif character == "{":
            self.position += 1
            while True:
                self._blank(lines=True)
                if self.text[self.position : self.position + 1] in ("}", ""):
                    self.position += 1
                    return
                self._pair(path)
        else:
            match = re.compile(r"[^,\]}#\n]*").match(self.text, self.position)
            self.position = match.end() if match else len(self.text)

    def _list(self, path: Path) -> None:
        self.position += 1
        index = 0
        while True:
            self._blank(lines=True)
            if self.text[self.position : self.position + 1] in ("]", ""):
                self.position += 1
                return
            self._note((*path, index))
            self._value((*path, index))
            index += 1


def _plain(text: str) -> str:
    """A quoted key without its escapes."""
    import tomllib

    found: Optional[str] = next(iter(tomllib.loads(f'"{text}" = 1')), None) if "\\" in text else text
    return found if found is not None else text
