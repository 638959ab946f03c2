# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl logout`: forget a team's server."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import typer

from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.cli import _logins
from fuelctl.cli._context import AsJson
from fuelctl.cli._output import clean, emit, note, say
from fuelctl.client import ApiError, Client

app = typer.Typer()

#: Seconds for a server to answer.
_PATIENCE = 10.0


@app.command()
def logout(
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="Which one; default: the one in use.")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    keep_token: Annotated[
        bool, typer.Option("--keep-token", help="Leave the token good: it is used elsewhere too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Forget a team's server, and use your own again.

    The token is removed from this machine, and revoked: it opens nothing from now on, wherever a copy of it is.
    """
    if url and all_:
        raise UsageError("--all and an address exclude each other", hint="give one of them")
    meant = None if all_ else url or _logins.current()
    known = _logins.tokens(meant) if all_ or meant else {}
    revoked = [] if keep_token else [each for each, token in known.items() if _revoke(each, token)]
    gone = _logins.remove(meant) if all_ or meant else []
    if as_json:
        emit({"forgotten": gone, "revoked": revoked})
    elif gone:
        say(f"Forgotten: {', '.join(clean(each) for each in gone)}.")
    else:
        say(f"You are not logged in to {clean(url)}." if url else "You are not logged in to a server.")


def _revoke(url: str, token: str) -> bool:
    """Have the server take it no more. What it cannot be told is said: whoever leaves wants to leave."""
    try:
        Client(url=url, token=token, timeout=_PATIENCE).forget_token()
    except ApiError as error:
        if error.status == HTTPStatus.UNAUTHORIZED:
            return True
        reason = error.message
    except FuelError as error:
        reason = error.message
    else:
        return True
    note(f"warning: {clean(url)} was not told that the token is not used any more ({clean(reason)}): revoke it there")
    return False
