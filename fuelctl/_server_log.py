# SPDX-License-Identifier: GPL-3.0-or-later
"""server.log of a server that runs for months: rotated by its worker, followed by its parent process.

Both are begun with their standard error on that file, so that whatever is said before logging is set up is in it too. A
server whose standard error is anything else (a terminal, a supervisor's pipe) is left alone.
"""

from __future__ import annotations

import logging
import os
import sys
from logging.handlers import RotatingFileHandler, WatchedFileHandler

from fuelctl import paths

_OLDER_ONES = 3
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
#: gunicorn's own logger passes nothing on to the root.
_LOGGERS = ("", "gunicorn.error")


class _Rotating(RotatingFileHandler):
    """Takes the standard streams along: tracebacks of dying threads belong into the new file, not into an old one."""

    def doRollover(self) -> None:  # noqa: N802 - the name is the library's
        super().doRollover()
        _point_streams_at(self)


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


def _use(handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter(_FORMAT))
    for name in _LOGGERS:
        logging.getLogger(name).handlers[:] = [handler]


def _point_streams_at(handler: logging.FileHandler) -> None:
    if handler.stream is not None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(handler.stream.fileno(), stream.fileno())
