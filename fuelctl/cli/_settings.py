# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server the CLI talks to, and with which token: the environment, `config.toml`, or `fuelctl login`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fuelctl import paths
from fuelctl._shared._errors import UsageError


@dataclass(frozen=True)
class Server:
    """Where the control plane is; no url means the embedded server of this user."""

    url: str | None = None
    token: str | None = None


def server() -> Server:
    """FUELCTL_SERVER_URL and FUELCTL_SERVER_TOKEN; then `[server] url, token_file` of config.toml; then the login.

    A token goes to the server that it was given for and to no other: FUELCTL_SERVER_TOKEN to whichever is meant.
    """
    url = os.environ.get("FUELCTL_SERVER_URL")
    token = os.environ.get("FUELCTL_SERVER_TOKEN")
    path = paths.config_file()
    if path.exists():
        section = _read(path)
        own = section.get("url")
        url = url or own
        token_file = section.get("token_file")
        if url and not token and token_file and own in (None, url):
            token = _token(Path(token_file).expanduser(), path)
    # Looked for before the module is loaded: most people have their own server, and every command passes here.
    if not (url and token) and paths.logins_file().exists():
        from fuelctl.cli import _logins

        url = url or _logins.current()
        token = token or (_logins.token(url) if url else None)
    return Server(url=url or None, token=token or None)


def _read(path: Path) -> dict[str, str]:
    import tomllib

    try:
        section = tomllib.loads(path.read_text(encoding="utf-8")).get("server", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"Cannot read the settings: {error}", where=str(path)) from error
    if not isinstance(section, dict):
        raise UsageError("server must be a table", where=str(path), hint='write [server] and url = "https://..."')
    known = {"url", "token_file"}
    for key, value in section.items():
        if key not in known or not isinstance(value, str):
            raise UsageError(
                f"server.{key} is not a setting, or no text",
                where=str(path),
                hint="known: server.url, server.token_file",
            )
    return section


def _token(path: Path, config: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read server.token_file: {error}", where=str(config)) from error
