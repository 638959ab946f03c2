# SPDX-License-Identifier: GPL-3.0-or-later
"""The team servers that this user is logged in to: a token each, and which one the commands talk to.

One file, 0600: `{"current": url or null, "servers": {url: {"token", "name"}}}`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from typing import Any

from fuelctl import paths
from fuelctl._shared._errors import FuelError


def normal(url: str) -> str:
    """An address as it is remembered: without slashes at its end."""
    return url.rstrip("/")


def current() -> str | None:
    """The server that commands talk to, unless the settings name one."""
    url = _read().get("current")
    return url if isinstance(url, str) else None


def token(url: str) -> str | None:
    """The token for this server."""
    known = _servers(_read()).get(normal(url))
    return str(known["token"]) if isinstance(known, dict) and known.get("token") else None


def tokens(url: str | None) -> dict[str, str]:
    """The tokens, by server: of one, or of all of them."""
    known = _servers(_read())
    return {
        each: str(facts["token"])
        for each, facts in known.items()
        if url in (None, each) or each == normal(url or "")
        if isinstance(facts, dict) and facts.get("token")
    }


def put(url: str, secret: str, name: str) -> None:
    """Remember the token, and talk to this server from now on."""

    def change(document: dict[str, Any]) -> None:
        document["servers"] = {**_servers(document), normal(url): {"token": secret, "name": name}}
        document["current"] = normal(url)

    _change(change)


def remove(url: str | None) -> list[str]:
    """Forget one server, or all of them; which they were."""
    gone: list[str] = []

    def change(document: dict[str, Any]) -> None:
        servers = _servers(document)
        gone.extend(each for each in servers if url is None or each == normal(url))
        document["servers"] = {each: servers[each] for each in servers if each not in gone}
        if document.get("current") in gone:
            document["current"] = None

    _change(change)
    return gone


def _change(change: Callable[[dict[str, Any]], None]) -> None:
    paths.private_folder(paths.state_folder())
    lock = paths.logins_file().with_suffix(".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise paths.storage_error(error, lock) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        document = _read()
        change(document)
        paths.private_file(paths.logins_file(), json.dumps(document, indent=2).encode("utf-8") + b"\n")
    finally:
        os.close(descriptor)


def _read() -> dict[str, Any]:
    file = paths.logins_file()
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise FuelError(f"Cannot read who you are: {error.strerror}", hint="correct that", where=str(file)) from error
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise FuelError(
            "It is damaged, or something else was written there",
            hint="move it away, then log in again",
            where=str(file),
        )
    return document


def _servers(document: dict[str, Any]) -> dict[str, Any]:
    servers = document.get("servers")
    return servers if isinstance(servers, dict) else {}
