# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl logout`: forget a team's server."""

from __future__ import annotations

from typing import Annotated

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli import _logins
from fuelctl.cli._context import AsJson
from fuelctl.cli._output import clean, emit, say

app = typer.Typer()


@app.command()
def logout(
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="Which one; default: the one in use.")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget a team's server, and use your own again.

    The token is removed from this machine. It stays good elsewhere: `fuelctl token revoke`, before, ends it.
    """
    if url and all_:
        raise UsageError("--all and an address exclude each other", hint="give one of them")
    meant = None if all_ else url or _logins.current()
    gone = _logins.remove(meant) if all_ or meant else []
    if as_json:
        emit({"forgotten": gone})
    elif gone:
        say(f"Forgotten: {', '.join(clean(each) for each in gone)}.")
    else:
        say(f"You are not logged in to {clean(url)}." if url else "You are not logged in to a server.")
