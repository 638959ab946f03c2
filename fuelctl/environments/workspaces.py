# SPDX-License-Identifier: GPL-3.0-or-later
"""A workspace: a repository, however its address is written, and the folder in it where work begins."""

from __future__ import annotations

import posixpath
import re
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from fuelctl._shared._errors import UsageError
from fuelctl.environments.core import Core
from fuelctl.store import workspaces
from fuelctl.store.models import WorkspaceRow
from fuelctl.store.ulids import new_ulid

#: `[user@]host:path`, as ssh and git write it.
_SCP = re.compile(r"(?:[^@/\s]+@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):(?P<path>(?!//)[^\s]+)")
_USUAL_PORTS = {"https": 443, "http": 80, "ssh": 22, "git": 9418, "git+ssh": 22, "ssh+git": 22}
_LONGEST = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def normal(url: str) -> str | None:
    """`host[:port]/path` of a repository's address, without who asks and how; None of one that is no address of a host.

    `git@github.com:acme/shop.git`, `ssh://git@github.com/acme/shop` and `https://TOKEN@github.com/acme/shop/` are one.
    """
    text = url.strip()
    if not text or len(text) > 4 * _LONGEST or _CONTROL.search(text):
        return None
    if "://" in text:
        try:
            parts = urlsplit(text)
            scheme, host, port, path = parts.scheme.lower(), parts.hostname, parts.port, parts.path
        except ValueError:
            return None
        if scheme not in _USUAL_PORTS or not host:
            return None
        shown = f"[{host}]" if ":" in host else host
        place = shown if port in (None, _USUAL_PORTS[scheme]) else f"{shown}:{port}"
    else:
        found = _SCP.fullmatch(text)
        if found is None:
            return None
        place, path = found["host"].lower(), found["path"]
    path = posixpath.normpath("/" + path.lstrip("/")).lstrip("/").removesuffix(".git").rstrip("/")
    whole = f"{place.lower()}/{path}"
    return whole if path and not path.startswith("..") and len(whole) <= _LONGEST else None


def normal_folder(folder: str) -> str:
    """A folder in a repository, relative; empty for all of it. UsageError for one that leads out."""
    if _CONTROL.search(folder) or len(folder) > _LONGEST:
        raise UsageError("that is no folder of a repository", hint="give its path, relative to the repository")
    path = posixpath.normpath(folder.strip("/")) if folder.strip("/") else ""
    if path == ".." or path.startswith("../"):
        raise UsageError(f"{folder[:80]!r} leads out of the repository", hint="give a path in it", where="folder")
    return "" if path == "." else path


def of_repository(core: Core, session: Session, repository: dict[str, Any]) -> str | None:
    """The id of the workspace of an environment's repository; None of one that has no address for others."""
    url = normal(str(repository.get("url") or ""))
    if url is None:
        return None
    row, _new = put(core, session, url, normal_folder(str(repository.get("folder") or "")))
    return row.id


def put(core: Core, session: Session, url: str, folder: str) -> tuple[WorkspaceRow, bool]:
    """The workspace of this normalised place, and whether it is new."""
    now = core.clock().wall
    name = f"{url.rpartition('/')[2]}/{folder}" if folder else url.rpartition("/")[2]
    row = WorkspaceRow(id=new_ulid(now), url=url, folder=folder, name=name[:200], created_at=now)
    return workspaces.put(session, row)
