# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine as team servers know it: an id that it gave itself, once, and a few words about it."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import socket
import time

from fuelctl import __version__, paths
from fuelctl._shared._errors import FuelError
from fuelctl.client import Client

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Characters of a ULID that are its time, and bytes of its random part.
_TIME = 10
_RANDOM_BYTES = 10
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def register(client: Client, user: str) -> bool:
    """Make this machine known to a server; False where it does not take it, which keeps nobody from working."""
    try:
        client.register_device(
            id=_own_id(client.endpoint.rstrip("/"), user),
            name=_printable(socket.gethostname()) or "laptop",
            platform=f"{platform.system()}/{platform.machine()}".lower(),
            version=__version__,
        )
    except (FuelError, OSError):
        return False
    return True


def _own_id(server: str, user: str) -> str:
    """The id of this machine to this server and user: always the same, and none that others could compare."""
    first = _first_id()
    mixed = hashlib.sha256("\n".join((first, server, user)).encode("utf-8", "surrogateescape")).digest()
    return first[:_TIME] + _text(int.from_bytes(mixed[:_RANDOM_BYTES], "big"), len(first) - _TIME)


def _first_id() -> str:
    """A ULID, made the first time that it is needed."""
    file = paths.device_file()
    try:
        known = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        known = ""
    if not _ULID.fullmatch(known):
        random = _text(int.from_bytes(os.urandom(_RANDOM_BYTES), "big"), 16)
        known = _text(int(time.time() * 1000) & ((1 << 48) - 1), _TIME) + random
        paths.private_folder(paths.state_folder())
        paths.private_file(file, known.encode("ascii"))
    return known


def _text(number: int, length: int) -> str:
    return "".join(_CROCKFORD[(number >> (5 * place)) & 31] for place in range(length - 1, -1, -1))


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:100]
