# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of this machine for what a test starts later, or for nobody: none that somebody else gets meanwhile."""

from __future__ import annotations

import itertools
import os
import socket

#: Below what the system gives to whoever asks for any port, or connects to somewhere: from there a port that is free
#: now may be anybody's a moment later, also of who tries to connect to it.
_FIRST, _WORKERS, _EACH = 12_000, 16, 1_000
_numbers = itertools.count(os.getpid() % _EACH)


def free_port() -> int:
    """A port at which nobody listens, and none of those that were given before; xdist's workers have each their own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    for _try in range(_EACH):
        port = _FIRST + worker * _EACH + next(_numbers) % _EACH
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no port is free")
