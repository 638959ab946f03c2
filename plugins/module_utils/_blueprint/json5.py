# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""JSON5, which package.json5 is written in: comments, single quotes, bare keys, trailing commas."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List

from .tree import Folder

_TOKEN = re.compile(
    r"""\s+|//[^\n]*|/\*.*?\*/|(?P<double>"(?:\\.|[^"\\])*")|(?P<single>'(?:\\.|[^'\\])*')|(?P<mark>[{}\[\],:])|(?P<word>[^\s{}\[\],:'"/]+)""",
    re.DOTALL,
)


def json5_object(folder: Folder, name: str) -> Dict[str, Any]:
    """The object in a JSON5 file; {} (and a trouble) when it holds none."""
    text = folder.text(name)
    if text is None:
        return {}
    try:
        data = json.loads(_as_json(text))
    except (ValueError, RecursionError):
        folder.trouble(name, "skipped: it is not JSON5", 1)
        return {}
    return data if isinstance(data, dict) else {}


def _as_json(text: str) -> str:
    parts: List[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError("not JSON5")
        position = match.end()
        mark = match.group("mark")
        if mark and mark in "}]" and parts and parts[-1] == ",":
            parts.pop()
        if mark or match.group("double"):
            parts.append(match.group(0))
        elif match.group("single"):
            inner = match.group("single")[1:-1].replace("\\'", "'")
            parts.append(json.dumps(inner))
        elif match.group("word"):
            parts.append(_word(match.group("word")))
    return "".join(parts)


def _word(word: str) -> str:
    if word in ("true", "false", "null") or re.fullmatch(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", word):
        return word
    return json.dumps(word)
