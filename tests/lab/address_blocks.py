# SPDX-License-Identifier: GPL-3.0-or-later
"""Loopback addresses that a lab has for itself, however many labs there are: 127.0.<block>.*."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable


def take_block(blocks: Iterable[int], port: int) -> tuple[int, socket.socket]:
    """The first of these blocks that is free, and a socket that listens at 127.0.<block>.1, which makes it taken."""
    tried = []
    for block in blocks:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((f"127.0.{block}.1", port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
            tried.append(block)
        else:
            return block, listener
    raise SystemExit(f"lab: {tried[0] if len(tried) == 1 else 'every address block'} is taken by another lab")
