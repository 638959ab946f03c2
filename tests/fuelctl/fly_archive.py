# SPDX-License-Identifier: GPL-3.0-or-later
"""Small projects in one text file each: `-- path --` begins a file; `<- rule` at a line's end is its fault."""

from __future__ import annotations

import re
from pathlib import Path

_FILE = re.compile(r"^-- (\S+) --$")
_FAULT = re.compile(r"[ \t]*<- ([\w,-]+)$")

Expected = set[tuple[str, int, str]]


def unpack(archive: Path, folder: Path) -> Expected:
    """Write the files of an archive below `folder`; gives (file, line, rule) of everything that is marked as wrong."""
    expected: Expected = set()
    for name, text in contents(archive).items():
        lines = []
        for number, line in enumerate(text.split("\n"), 1):
            fault = _FAULT.search(line)
            if fault:
                expected |= {(name, number, rule) for rule in fault.group(1).split(",")}
            lines.append(_FAULT.sub("", line))
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(lines))
    return expected


def contents(archive: Path) -> dict[str, str]:
    """Path -> text of every file in an archive."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in archive.read_text().split("\n"):
        match = _FILE.match(line)
        if match:
            name = match.group(1)
            found[name] = []
        elif name:
            found[name].append(line)
    return {name: "\n".join(lines).rstrip("\n") + "\n" for name, lines in found.items()}


def pack(files: dict[str, str]) -> str:
    """The text of an archive."""
    return "".join(f"-- {name} --\n{text}" for name, text in files.items())
