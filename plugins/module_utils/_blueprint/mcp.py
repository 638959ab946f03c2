# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What is wrong with the MCP servers of a blueprint: a shape that no agent takes, or a secret that would be seen. Pure.

A blueprint is in the repository and in a database, arguments are in the list of processes: of a secret either holds the
name alone, and the variable's value is the session's.
"""

from __future__ import annotations

import re
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Tuple

from .._coding_agent._config import holds_secret
from .document import Position

#: As the agent takes them.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_URL = re.compile(r"https?://[!-~]{1,2000}")
#: Whatever is called so is one, whatever it looks like.
_NAMED_SECRET = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY)$|^AUTHORIZATION$", re.I)
#: `${NAME}`, or `${NAME:-instead}`.
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")
_TEXTS = ("env", "headers")

Complaint = Tuple[Position, str, str]


def complaints(servers: Any, secrets: Iterable[str]) -> Iterator[Complaint]:
    """(position within `mcp_servers`, message, hint) of each thing that is wrong; `secrets`: the blueprint's names."""
    names = frozenset(name for name in secrets if isinstance(name, str))
    for name, server in servers.items() if isinstance(servers, dict) else ():
        at: Position = (str(name),)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield at, "is no name of an MCP server", "write letters, digits, - and _"
        elif not isinstance(server, dict):
            yield at, "must be a mapping", "write `command:` with `args:`, or `type: http` with `url:`"
        else:
            found = list(_shape(at, server))
            yield from found or _seen(at, server, names)


def _shape(at: Position, server: Dict[Any, Any]) -> Iterator[Complaint]:
    command, url = server.get("command"), server.get("url")
    if (command is None) == (url is None):
        yield at, "has to have either a command or a url", "a command is run inside, a url is connected to from inside"
    elif command is not None and not _is_line(command):
        yield (*at, "command"), "is no program", "one program; its arguments go into `args`"
    elif url is not None and not (isinstance(url, str) and _URL.fullmatch(url)):
        yield (*at, "url"), "is no http(s) address", "for example https://mcp.example.com/mcp"
    arguments = server.get("args", [])
    if not isinstance(arguments, (list, tuple)) or not all(_is_text(each) for each in arguments):
        yield (*at, "args"), "must be a list of texts", 'write each after `- `, numbers in quotes: "1"'
    for field in _TEXTS:
        given = server.get(field, {})
        if not isinstance(given, dict) or not all(isinstance(key, str) and _is_text(given[key]) for key in given):
            yield (*at, field), "must be texts by name", 'write `NAME: value` lines, numbers in quotes: "1"'
        elif field == "env" and not all(_VARIABLE.fullmatch(key) for key in given):
            yield (*at, field), "has a name that no variable can have", "write letters, digits and _"


def _seen(at: Position, server: Dict[str, Any], secrets: FrozenSet[str]) -> Iterator[Complaint]:
    by_name = "add the name to `secrets` of the blueprint, and write ${NAME} here"
    for field in _TEXTS:
        for key, text in server.get(field, {}).items():
            if holds_secret(text) or (_NAMED_SECRET.search(key.replace("-", "_")) and not _REFERENCE.search(text)):
                yield (*at, field, key), "is a credential itself", by_name
    shown: List[Tuple[Position, str]] = [((*at, field), str(server.get(field) or "")) for field in ("command", "url")]
    shown += [((*at, "args", index), text) for index, text in enumerate(server.get("args", []))]
    for position, text in shown:
        if holds_secret(text):
            yield position, "holds a credential", by_name.replace("here", "in `env` or `headers`")
        elif secrets.intersection(_REFERENCE.findall(text)):
            yield position, "would show a secret to every process", "give it in `env` or `headers`, as ${NAME}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_line(value: Any) -> bool:
    return _is_text(value) and bool(value.strip()) and not re.search(r"[\r\n]", value)
