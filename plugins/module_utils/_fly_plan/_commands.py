# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Whether a command line is one that flyctl has, by the list of its commands (`data_commands.py`)."""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

from .data_commands import ARGUMENTS, COMMANDS, GLOBAL_FLAGS

#: Both names of the program.
PROGRAMS = ("fly", "flyctl")


def problems(argv: Sequence[str]) -> List[str]:
    """What is wrong with `fly ...`; empty when command and flags are in the list."""
    if not argv or argv[0] not in PROGRAMS:
        return [f"no flyctl command: {' '.join(argv)}"]
    name, rest = _command(argv[1:])
    if not name:
        return [f"flyctl has no command {' '.join(argv[1:3])!r}"]
    known = {**_flags(GLOBAL_FLAGS), **_flags(COMMANDS[name])}
    found: List[str] = []
    arguments: List[str] = []
    position = 0
    while position < len(rest):
        word = rest[position]
        position += 1
        if word == "--":
            break
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            continue
        flag, equals, _value = word.partition("=")
        if flag not in known:
            found.append(f"fly {name} has no flag {flag}")
        elif known[flag] and not equals:
            if position >= len(rest):
                found.append(f"fly {name} {flag} wants a value")
            position += 1
    if len(arguments) > ARGUMENTS.get(name, 0):
        found.append(f"fly {name} does not take {arguments[-1]!r}")
    return found


def _command(words: Sequence[str]) -> Tuple[str, Sequence[str]]:
    """(the longest known command that `words` begin with, the words after it)."""
    for count in (3, 2, 1):
        name = " ".join(words[:count])
        if len(words) >= count and name in COMMANDS:
            return name, words[count:]
    return "", words


def _flags(text: str) -> Dict[str, bool]:
    """Flag as it is written -> whether it takes a value."""
    flags: Dict[str, bool] = {}
    for entry in text.split():
        short, colon, name = entry.rpartition(":")
        takes = name.endswith("=")
        flags[f"--{name.rstrip('=')}"] = takes
        if colon:
            flags[f"-{short}"] = takes
    return flags
