# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a control plane says of its environments: one GET, over a Unix socket or HTTP(S)."""

from __future__ import annotations

import http.client
import json
from typing import Any, Dict, List, Optional
from urllib.parse import urlencode, urlsplit

from .._errors import FuelError, UsageError
from .._unix_socket import connect
from ._record import Machine, Record

_PATH = "/api/remote"
#: Environments in one answer.
_PAGE = 500
_MOST_BYTES = 64 * 1024 * 1024
#: What of an environment object becomes variables, under these names.
_FACTS = ("created_at", "ready_at", "conditions", "lease", "repository", "agent", "cost", "blueprint_sha256")


class NoServerError(FuelError):
    """Nobody listens there."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = connect(self._path, self.timeout)


def ask(
    *, socket_path: Optional[str] = None, url: Optional[str] = None, token: Optional[str] = None, timeout: float = 30.0
) -> List[Record]:
    """The live environments, page after page, not checked yet.

    :param socket_path: of an embedded server; or `url` of a team's, with its bearer `token`.
    :raises NoServerError: nobody listens; FuelError for an answer that is none.
    """
    where = url or f"unix:{socket_path}"
    headers = {"Accept": "application/json", "Connection": "close"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    found: List[Any] = []
    query: Dict[str, Any] = {"limit": _PAGE}
    while True:
        status, content = _get(socket_path, url, timeout, f"{_PATH}?{urlencode(query)}", headers)
        page, cursor = _environments(status, content, where)
        found += page
        if not cursor or cursor == query.get("cursor"):
            return [_record(item) for item in found if isinstance(item, dict)]
        query["cursor"] = cursor


def _get(
    socket_path: Optional[str], url: Optional[str], timeout: float, target: str, headers: Dict[str, str]
) -> "tuple[int, bytes]":
    where = url or f"unix:{socket_path}"
    connection, prefix = _connection(socket_path, url, timeout)
    try:
        connection.request("GET", prefix + target, headers=headers)
        answer = connection.getresponse()
        content = answer.read(_MOST_BYTES)
        if answer.length:
            raise http.client.IncompleteRead(content, answer.length)
        return answer.status, content
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoServerError("no fuelctl server listens there", where=where, hint="fuelctl server start") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FuelError(
            f"the fuelctl server does not answer: {str(error) or type(error).__name__}",
            where=where,
            hint="look at it: fuelctl server status",
            code="server_unreachable",
        ) from error
    finally:
        connection.close()


def _connection(
    socket_path: Optional[str], url: Optional[str], timeout: float
) -> "tuple[http.client.HTTPConnection, str]":
    if url is None:
        return _UnixConnection(socket_path or "", timeout), ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{url[:80]!r} is no http(s) address", where="server_url")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(host, port, timeout=timeout), parts.path.rstrip("/")


def _environments(status: int, content: bytes, where: str) -> "tuple[List[Any], Optional[str]]":
    """One page, and the cursor of the next."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if status == http.client.OK and isinstance(document, dict) and isinstance(document.get("environments"), list):
        cursor = document.get("cursor")
        return list(document["environments"]), cursor if isinstance(cursor, str) else None
    said = document.get("detail") if isinstance(document, dict) else None
    raise FuelError(
        f"the server answered {status}: {str(said)[:200] if said else 'not a list of environments'}",
        where=where,
        hint="is this a fuelctl server, and is the token (FUELCTL_SERVER_TOKEN, token_file) the right one?",
        code="bad_answer",
    )


def _record(item: Dict[str, Any]) -> Record:
    provider, connection, lease = (_dict(item.get(key)) for key in ("provider", "connection", "lease"))
    facts = {key: item.get(key) for key in _FACTS}
    facts["expires_at"] = lease.get("expires_at")
    facts["ports"] = connection.get("ports") or []
    facts["type"], facts["region"] = provider.get("type"), provider.get("region")
    machine = _machine(_dict(connection.get("machine")), provider.get("address"))
    return Record(
        id=str(item.get("id") or ""),
        name=str(item.get("name") or ""),
        owner=str(item.get("owner") or ""),
        status=str(item.get("status") or ""),
        provider=str(provider.get("name") or ""),
        container=str(connection.get("container") or ""),
        user=str(connection.get("user") or ""),
        workspace=str(connection.get("workspace") or ""),
        machine=machine,
        # Entered, and not by a container's name: it is the machine.
        is_machine=machine is not None and bool(connection.get("user")) and not connection.get("container"),
        facts=facts,
    )


def _machine(reached: Dict[str, Any], address: Any) -> Optional[Machine]:
    found = reached.get("address") or address
    if not found:
        return None
    return Machine(str(found), reached.get("port") or 22, str(reached.get("user") or ""))


def _dict(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}
