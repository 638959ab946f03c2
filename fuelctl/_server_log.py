# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a server: lines for people or JSON for machines, and the file of one that runs for months.

Who logs just uses `logging`, with `extra={"environment": id}` where it is about one. What a line is said in the course
of (a request, an environment's work) is known here, from `saying`. server.log is rotated by the worker and followed by
its parent process. A server whose standard error is anything else (a terminal, a supervisor's pipe) rotates nothing.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from typing import Any

from fuelctl import paths

FORMATS = ("json", "text")
_OLDER_ONES = 3
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
#: gunicorn's own logger passes nothing on to the root.
_LOGGERS = ("", "gunicorn.error")
#: What every record has; anything else was given with `extra`.
_ORDINARY = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
#: No line of ours has a token in it. A library's may, of a header that it did not understand.
_SECRET = re.compile(r"(?i)\b(bearer\s+|fctl_)[A-Za-z0-9._~+/=-]{8,}")

_facts: ContextVar[dict[str, Any] | None] = ContextVar("fuelctl_log_facts", default=None)
_formatter: logging.Formatter | None = None


@contextmanager
def saying(**facts: Any) -> Iterator[None]:
    """Whatever is logged inside has these: `request`, `environment`, `instance` ..."""
    token = _facts.set({**(_facts.get() or {}), **facts})
    try:
        yield
    finally:
        _facts.reset(token)


def push(**facts: Any) -> object:
    """As `saying`, for a beginning and an end in two places: what is returned is for `pop`."""
    return _facts.set({**(_facts.get() or {}), **facts})


def pop(token: Any) -> None:
    """What was said since `push` is over."""
    _facts.reset(token)


class Json(logging.Formatter):
    """One JSON object a line: time, level, logger, message, process, and whatever is known of what it is about."""

    def __init__(self, **always: Any) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _SECRET.sub(r"\1…", record.getMessage()),
            "process": record.process,
            **self._always,
            **(_facts.get() or {}),
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _ORDINARY}
        if record.exc_info:
            line["exception"] = _SECRET.sub(r"\1…", self.formatException(record.exc_info))
        return json.dumps(line, default=str, ensure_ascii=False)


class Text(logging.Formatter):
    """A line for people, with the facts at its end."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def format(self, record: logging.LogRecord) -> str:
        known = {**(_facts.get() or {})}
        known |= {name: value for name, value in record.__dict__.items() if name not in _ORDINARY}
        known.pop("instance", None)
        told = " ".join(f"{name}={value}" for name, value in known.items() if value not in (None, ""))
        line = super().format(record)
        return _SECRET.sub(r"\1…", f"{line} [{told}]" if told else line)


def begin(kind: str, **always: Any) -> None:
    """Log to standard error as `kind` ("json" or "text"); `always` is in every JSON line of this process."""
    global _formatter  # noqa: PLW0603 - of this process there is one log
    _formatter = Json(**always) if kind == "json" else Text()
    logging.getLogger().setLevel(logging.INFO)
    for noisy in ("apscheduler", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    _use(logging.StreamHandler())


def take_over() -> None:
    """gunicorn's own lines as ours: it makes a handler for them when it begins."""
    own = logging.getLogger().handlers
    for name in _LOGGERS[1:]:
        logging.getLogger(name).handlers[:] = own


def follow() -> bool:
    """In the parent process: write to whatever file is server.log now. Whether standard error is that file at all."""
    file = paths.server_log()
    try:
        if not os.path.samestat(os.fstat(sys.stderr.fileno()), file.stat()):
            return False
    except (OSError, ValueError):
        return False
    _use(WatchedFileHandler(file, encoding="utf-8", errors="replace"))
    return True


def rotate(size: int) -> None:
    """In the one process that writes much: a new server.log after `size` bytes, three older ones kept."""
    handler = _Rotating(paths.server_log(), maxBytes=size, backupCount=_OLDER_ONES, encoding="utf-8", errors="replace")
    # What the parent process was begun with may have been rotated away since.
    _point_streams_at(handler)
    _use(handler)


class _Rotating(RotatingFileHandler):
    """Takes the standard streams along: tracebacks of dying threads belong into the new file, not into an old one."""

    def doRollover(self) -> None:  # noqa: N802 - the name is the library's
        super().doRollover()
        _point_streams_at(self)


def _use(handler: logging.Handler) -> None:
    handler.setFormatter(_formatter or Text())
    for name in _LOGGERS:
        logging.getLogger(name).handlers[:] = [handler]


def _point_streams_at(handler: logging.FileHandler) -> None:
    if handler.stream is not None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(handler.stream.fileno(), stream.fileno())
