# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Forgiving readers of the formats that manifests come in. A bad file becomes a trouble of the tree, never an error."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Iterator, List, Tuple

from .tree import Folder

_DOTS = 64
_DOTTED = re.compile(rf"(?:[\"']?[\w-]{{1,60}}[\"']?[ \t]{{0,9}}\.[ \t]{{0,9}}){{{_DOTS}}}")
_COMMENTS = re.compile(r'("(?:\\.|[^"\\])*")|/\*.*?\*/|//[^\n]*', re.DOTALL)
_TRAILING = re.compile(r'("(?:\\.|[^"\\])*")|,(\s*[}\]])', re.DOTALL)


#: Kind of comments -> (begin of one to the end of its line, begin and end of one over lines, quotes of strings).
_SYNTAX: Dict[str, Tuple[str, str, str, str]] = {
    "c": ("//", "/*", "*/", "\"'"),
    "hash": ("#", "", "", "\"'"),
    "lisp": (";", "", "", '"'),
    "xml": ("", "<!--", "-->", ""),
}
_MAX_COMMENTS = 5000
_STRINGS = {quote: re.compile(rf"(?:[^{quote}\\\n]|\\.)*{quote}?") for quote in "\"'"}


def without_comments(text: str, kind: str) -> str:
    """`text` with blanks in place of its comments, so that every position and line stays. Kinds: c, hash, lisp, xml."""
    single, begin, end, quotes = _SYNTAX[kind]
    marks = [mark for mark in (single, begin) if mark and mark in text]
    if not marks:
        return text
    opening = re.compile("|".join(map(re.escape, [*marks, *quotes])))
    parts: List[str] = []
    kept = position = 0
    # No file that people write has as many; past them the text stays as it is.
    while len(parts) < 2 * _MAX_COMMENTS:
        match = opening.search(text, position)
        if match is None:
            break
        if match.group() in _STRINGS:
            string = _STRINGS[match.group()].match(text, match.end())
            position = string.end() if string else match.end()
            continue
        close = "\n" if match.group() == single else end
        found = text.find(close, match.end())
        position = len(text) if found < 0 else found if close == "\n" else found + len(end)
        comment = text[match.start() : position]
        parts += [text[kept : match.start()], "\n".join(" " * len(line) for line in comment.split("\n"))]
        kept = position
    return "".join(parts) + text[kept:]


def line_at(text: str, position: int) -> int:
    """Line (from 1) of a position in `text`."""
    return text.count("\n", 0, max(position, 0)) + 1


def at(folder: Folder, name: str, line: int = 1) -> str:
    """`file:line`, relative to the directory that is looked at."""
    return f"{folder.at(name)}:{line}"


def json_line(text: str, *keys: str) -> int:
    """Line of a key below others, looking for each after the one before."""
    position = 0
    for key in keys:
        found = text.find(f'"{key}"', position)
        if found < 0:
            break
        position = found
    return line_at(text, position)


def json_object(folder: Folder, name: str, comments: bool = False) -> Dict[str, Any]:
    """The object in a JSON file; {} (and a trouble) when it holds none. Read once, however often it is asked for."""
    cache: Dict[str, Dict[str, Any]] = folder.tree.cache.setdefault("json", {})
    path = folder.at(name)
    known = cache.get(path)
    if known is None:
        known = cache[path] = _read_json(folder, name, comments)
    return known


def _read_json(folder: Folder, name: str, comments: bool) -> Dict[str, Any]:
    text = folder.text(name)
    if text is None:
        return {}
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        data = _relaxed(text) if comments else None
        if data is None:
            folder.trouble(name, "skipped: it is not JSON", getattr(error, "lineno", None))
            return {}
    if not isinstance(data, dict):
        folder.trouble(name, "skipped: it holds no object", 1)
        return {}
    return data


def _relaxed(text: str) -> Any:
    """JSON with comments and trailing commas."""
    stripped = _COMMENTS.sub(lambda match: match.group(1) or " ", text)
    try:
        return json.loads(_TRAILING.sub(lambda match: match.group(1) or match.group(2), stripped))
    except (ValueError, RecursionError):
        return None


def toml_table(folder: Folder, name: str) -> Dict[str, Any]:
    """The table in a TOML file; {} (and a trouble) when it cannot be read."""
    text = folder.text(name)
    if text is None:
        return {}
    try:
        import tomllib
    except ImportError:  # Python below 3.11: detection runs on the controller, which is newer.
        folder.trouble(name, "skipped: reading TOML needs Python 3.11")
        return {}
    if text.count(".") >= _DOTS and _DOTTED.search(text):
        # The reader's time grows with the square of a key's parts.
        folder.trouble(name, "skipped: it is nested too deeply")
        return {}
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        found = re.search(r"line (\d+)", str(error))
        folder.trouble(name, "skipped: it is not TOML", int(found.group(1)) if found else None)
        return {}


def toml_line(text: str, *keys: str) -> int:
    """Line of a key below its table: `toml_line(text, "project", "requires-python")`."""
    position = 0
    if len(keys) > 1:
        table = re.search(r"^[ \t]*\[\[?[ \t]*" + re.escape(".".join(keys[:-1])) + r"[ \t]*\]", text, re.MULTILINE)
        position = table.end() if table else 0
    found = re.compile(r"^[ \t]*[\"']?" + re.escape(keys[-1]) + r"[\"']?[ \t]*[=.]", re.MULTILINE).search(
        text, position
    )
    return line_at(text, found.start() if found else position)


def yaml_object(folder: Folder, name: str) -> Dict[str, Any]:
    """The mapping in a YAML file (its first document); {} (and a trouble) when it cannot be read."""
    text = folder.text(name)
    if text is None:
        return {}
    try:
        import yaml
    except ImportError:
        folder.trouble(name, "skipped: reading YAML needs PyYAML")
        return {}
    if _too_deep(text):
        folder.trouble(name, "skipped: it is nested too deeply")
        return {}
    try:
        loader = _loader(yaml)(text)
        try:
            data = loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        folder.trouble(name, "skipped: it is not YAML", mark.line + 1 if mark else None)
        return {}
    return data if isinstance(data, dict) else {}


_LOADER: List[Any] = []


def _loader(yaml: Any) -> Any:
    """A safe loader that reads unknown tags (!reset, !Sub) as plain values and dates as text."""
    if not _LOADER:
        base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

        loader_class: Any = type("Loader", (base,), {})

        def unknown(loader: Any, _suffix: str, node: Any) -> Any:
            if isinstance(node, yaml.MappingNode):
                return loader.construct_mapping(node, deep=True)
            if isinstance(node, yaml.SequenceNode):
                return loader.construct_sequence(node, deep=True)
            return loader.construct_scalar(node)

        loader_class.add_multi_constructor("!", unknown)
        loader_class.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))
        _LOADER.append(loader_class)
    return _LOADER[0]


def _too_deep(text: str) -> bool:
    """Whether brackets or indentation could overflow a recursive reader, or aliases multiply."""
    depth = deepest = 0
    if text.count("[") + text.count("{") > 50:
        for character in text:
            if character in "[{":
                depth += 1
                deepest = max(deepest, depth)
            elif character in "]}":
                depth -= 1
    return (
        deepest > 50
        or text.count("- - - - - - - - -") > 0
        or text.count("\n" + " " * 200) > 0
        or text.count("*") > 2000
    )


def lines_of(text: str) -> Iterator[Tuple[int, str]]:
    """(line number, line without comment and outer space) of the lines that say something; `#` begins a comment."""
    for number, line in enumerate(text.split("\n"), 1):
        if line:
            bare = line.split("#", 1)[0].strip() if "#" in line else line.strip()
            if bare:
                yield number, bare


def strings(value: Any) -> List[str]:
    """The strings of a list (or the one string), whatever else is there."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def table(value: Any, *keys: str) -> Dict[str, Any]:
    """The mapping below `keys`, {} when something else is there."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def word(value: Any) -> str:
    """A string or number as text, "" for anything else."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
