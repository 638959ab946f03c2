# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Ports that commands and sources state in so many words."""

from __future__ import annotations

import re
from typing import List, Optional, Pattern, Sequence, Tuple

_FLAGS = (
    # `-p 3000` is a port for servers, but not for mkdir: callers hand over start commands only.
    re.compile(
        r"(?:--(?:http-)?port|--listen-port|--server[.-]port|--server-port)(?:\s+|=)[\"']?(?:\$\{?PORT:-)?(\d{2,5})\b"
    ),
    re.compile(r"(?:^|\s)-p(?:\s+|=)?(?:\$\{?PORT:-)?(\d{2,5})(?=\s|$)"),
    re.compile(
        r"(?:--bind|-b|--host|--hostname|--listen|-l|--http|--address|--addr|--tcp)(?:\s+|=)[\"']?(?:tcp://)?[\w.*\[\]:-]*?:(?:\$\{?PORT:-)?(\d{2,5})\b"
    ),
    re.compile(r"(?:--listen|-l)(?:\s+|=)(\d{2,5})\b"),
    re.compile(r"\brunserver\s+(?:[\d.]+:|\[::\]:)?(\d{2,5})\b"),
    re.compile(r"(?:^|\s|;)(?:export\s+)?(?:PORT|APP_PORT|HTTP_PORT|SERVER_PORT|[A-Z]+_PORT)[=:]\s*[\"']?(\d{2,5})\b"),
    re.compile(r"-S\s+[\w.\[\]:]+:(\d{2,5})\b"),
    re.compile(r"-Dserver\.port=(\d{2,5})\b"),
    re.compile(r"\bhttp\.server\s+(\d{2,5})\b"),
    re.compile(r"\b(?:tcp|http)://(?:0\.0\.0\.0|localhost|127\.0\.0\.1|\[::\]|\*|\+):(\d{2,5})\b"),
    re.compile(r"\$\{PORT:-(\d{2,5})\}"),
)


def in_command(command: str) -> Optional[int]:
    """The port that a start command states, or None."""
    # Nobody writes longer ones by hand, and the patterns are not meant for them.
    command = command[:2000]
    for pattern in _FLAGS:
        match = pattern.search(command)
        if match:
            return valid(match.group(1))
    return None


def valid(text: str) -> Optional[int]:
    """A port number, or None."""
    number = int(text) if text.isdigit() and len(text) < 6 else 0
    return number if 0 < number < 65536 else None


def unique(numbers: List[int]) -> List[int]:
    """Each number once, in the order of its first place."""
    return list(dict.fromkeys(numbers))


#: Ports of databases and the like: where a source names one, it is a client's.
CLIENT_PORTS = frozenset((1433, 1521, 2181, 3306, 5432, 5672, 6379, 9042, 9092, 9200, 11211, 27017))


def in_source(text: str, patterns: Sequence[Pattern[str]]) -> Optional[Tuple[int, int]]:
    """(port, position) of the first pattern that finds one that is no client's."""
    for pattern in patterns:
        for match in pattern.finditer(text):
            group = next((index for index, value in enumerate(match.groups(), 1) if value), 0)
            port = valid(match.group(group)) if group else None
            if port and port not in CLIENT_PORTS:
                return port, match.start(group)
    return None
