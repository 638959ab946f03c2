# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything the CLI prints goes through here: results to stdout, everything else to stderr, nothing hostile to either.

Names, output lines and messages come from repositories and machines that we do not trust, so `clean` takes terminal
control out of every one of them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from fuelctl._shared._errors import FuelError

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links, clipboard
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, erase
    r"|\x1b[ -/]*[0-~]?"  # the rest of the two-character sequences
)
# C0 and C1 controls, bidirectional overrides (text that reads otherwise than it is), lone surrogates.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: object) -> str:
    """One line of `text` without anything that a terminal obeys; line breaks become spaces, tabs stay."""
    joined = _ESCAPES.sub("", str(text)).replace("\r\n", " ").replace("\n", " ")
    return _CONTROLS.sub("", joined)


def clean_lines(text: object) -> list[str]:
    """The lines of `text`, each cleaned; of a line redrawn by carriage returns, its last state."""
    return [clean(line.rstrip("\r").rpartition("\r")[2]) for line in str(text).split("\n")]


def clean_document(value: Any) -> Any:
    """A JSON value that can always be encoded: lone surrogates, which came from undecodable bytes, become `?`."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {clean_document(key): clean_document(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_document(item) for item in value]
    return value


def say(text: str = "") -> None:
    """A line of the command's result, on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str = "") -> None:
    """A line about the command's work, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def emit(document: Any) -> None:
    """The one JSON document of a `--json` command."""
    say(json.dumps(clean_document(document), indent=2))


def error_lines(error: FuelError) -> list[str]:
    """An error for people: what and where, then what to do. A blueprint's problems come one by one."""
    problems = error.details.get("problems")
    if isinstance(problems, list) and problems:
        return [line for problem in problems[:_MOST_PROBLEMS] for line in _problem_lines(problem)]
    message = clean(error.message).rstrip(".")
    where = clean(error.where or "")
    # Some messages name the file themselves; `.` and the like are in many a sentence by chance.
    where = f"{where}: " if where and not (where.startswith("/") and where in message) else ""
    return [f"error: {where}{message}"] + ([f"  hint: {clean(error.hint)}"] if error.hint else [])


def _problem_lines(problem: dict[str, Any]) -> list[str]:
    place = ":".join(str(problem[key]) for key in ("file", "line") if problem.get(key))
    words = ": ".join(clean(word) for word in (place, problem.get("path"), problem.get("message")) if word)
    return [f"error: {words}"] + ([f"  hint: {clean(problem['hint'])}"] if problem.get("hint") else [])


def is_terminal(stream: TextIO) -> bool:
    """Whether a person sees this stream as it is written (a dumb terminal cannot be redrawn)."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def can_ask() -> bool:
    """Whether there is a person to ask: questions go to stderr and are answered on stdin."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


_MOST_PROBLEMS = 20
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in a style, when `stream` (stdout) is a terminal and NO_COLOR is not set."""
    if os.environ.get("NO_COLOR") or not is_terminal(stream or sys.stdout):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def mark(good: bool | None, stream: TextIO | None = None) -> str:
    """A tick, a cross, or (None) a question mark."""
    if good is None:
        return paint("?", "yellow", stream)
    tick, cross = ("\N{CHECK MARK}", "\N{BALLOT X}") if _draws("\N{CHECK MARK}\N{BALLOT X}", stream) else ("+", "x")
    return paint(tick, "green", stream) if good else paint(cross, "red", stream)


def _draws(characters: str, stream: TextIO | None) -> bool:
    """Whether the stream's encoding has these: replaced by question marks, they would say something else."""
    try:
        characters.encode(getattr(stream or sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def width(text: str) -> int:
    """Columns that `text` takes on a terminal, its styles not counted."""
    plain = _ESCAPES.sub("", text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in plain
    )


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a plain table: columns as wide as their widest cell, two spaces between, none at the end."""
    cells = [list(headers), *(list(row) for row in rows)]
    columns = [max(width(row[index]) for row in cells) for index in range(len(headers))]
    return [
        "  ".join(cell + " " * (columns[index] - width(cell)) for index, cell in enumerate(row)).rstrip()
        for row in cells
    ]


def fit(line: str, *, indent: int = 0) -> str:
    """A plain line cut to the terminal's width; whole where there is no terminal to wrap it."""
    if not is_terminal(sys.stdout):
        return line
    columns = shutil.get_terminal_size().columns - indent
    if width(line) <= columns:
        return line
    more = "\N{HORIZONTAL ELLIPSIS}" if _draws("\N{HORIZONTAL ELLIPSIS}", None) else "..."
    return line[: max(0, columns - len(more))] + more


def duration(seconds: float | None) -> str:
    """Two largest units at most: `4.2s`, `3m 07s`, `8h`, `7h 59m`, `2d 3h`; `-` for None."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{max(0.0, seconds):.1f}s" if seconds < 10 else f"{int(seconds)}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minutes:02d}m" if minutes else f"{hours}h"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h" if hours else f"{days}d"


def size(count: float) -> str:
    """Bytes for people: `812 B`, `4.1 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")
