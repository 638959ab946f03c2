# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Whether an SSH server answers."""

from __future__ import annotations

import socket


def ssh_answers(address: str, port: int, seconds: float = 1.0) -> bool:
    """True when `address:port` greets as an SSH server does. A connection alone proves nothing: proxies accept too."""
    try:
        with socket.create_connection((address, port), timeout=seconds) as connection:
            connection.settimeout(seconds)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
