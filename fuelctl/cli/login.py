# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl login`: use a team's server from now on."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.cli import _device, _logins, _settings
from fuelctl.cli._context import AsJson
from fuelctl.cli._output import can_ask, clean, emit, note, say
from fuelctl.client import ApiError, Client

app = typer.Typer()

_LONGEST_TOKEN = 4096
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@app.command()
def login(
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of the server: https://fuel.example.org")],
    *,
    token_file: Annotated[
        str | None,
        typer.Option("--token-file", metavar="FILE", help="Read the token from there (-: from stdin); default: ask."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Send the token without encryption (http) to another machine.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Use a team's server from now on.

    Its admin gave you a token. It is asked for without being shown, tried, and kept in a file that only you can read.
    """
    client = Client(url=url, token=None)
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise UsageError(
            "A token does not belong into an address, which others can see", hint="leave it out; it is asked for"
        )
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK and not insecure:
        raise UsageError(
            "Whoever is on the way could read your token: this address is not encrypted",
            hint="use https; or, in a network that you trust, --insecure",
            where=url,
        )
    token = _token(token_file)
    client = Client(url=url, token=token)
    try:
        found = client.whoami()
    except ApiError as error:
        if error.status != 401:
            raise
        raise FuelError(  # pylint: disable=bad-exception-cause
            "The server does not take this token: it is not one of its own, or expired, revoked or incomplete",
            hint="copy it again; or ask the server's admin for a new one",
            where=client.endpoint,
            code="unauthorized",
        ) from error
    _logins.put(url, token, str(found["name"]))
    _device.register(client, str(found["name"]))
    if as_json:
        emit({"server": _logins.normal(url), **found})
    else:
        say(f"You are {clean(found['name'])}, {_role(found)}, at {clean(_logins.normal(url))}.")
    if os.environ.get("FUELCTL_SERVER_TOKEN"):
        note("FUELCTL_SERVER_TOKEN is set, and goes before this token.")
    meant = _settings.server().url
    if meant is not None and _logins.normal(meant) != _logins.normal(url):
        where = "FUELCTL_SERVER_URL" if os.environ.get("FUELCTL_SERVER_URL") else "config.toml"
        note(f"Commands still talk to {clean(meant)}: {where} names it, and goes before a login.")


def _role(found: dict[str, object]) -> str:
    role = str(found["role"])
    return f"{'an' if role == 'admin' else 'a'} {clean(role)}"


def _token(file: str | None) -> str:
    if file is None:
        if not can_ask():
            raise UsageError(
                "This needs a token, and there is no terminal to ask on", hint="give --token-file FILE, or - for stdin"
            )
        text = str(typer.prompt("Token", hide_input=True, err=True))
    elif file == "-":
        text = sys.stdin.read(_LONGEST_TOKEN + 1)
    else:
        try:
            with Path(file).expanduser().open(encoding="utf-8") as stream:
                text = stream.read(_LONGEST_TOKEN + 1)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"Cannot read the token: {error}", where="--token-file") from error
    text = text.strip()
    if not re.fullmatch(rf"[!-~]{{1,{_LONGEST_TOKEN}}}", text):
        raise UsageError("That is no token: it is one word, which begins with fctl_", where=file or "Token")
    return text
