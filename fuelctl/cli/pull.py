# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl pull`: an environment's branches, brought home over SSH."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fuelctl import paths
from fuelctl.cli import _access
from fuelctl.cli._context import AsJson, Ref, connect, find
from fuelctl.cli._output import clean, emit, say

app = typer.Typer()


@app.command()
def pull(
    env: Ref,
    into: Annotated[
        Path, typer.Option("--into", metavar="PATH", help="Repository to bring them to.", show_default=False)
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Bring an environment's branches home, into refs/fuel/NAME.

    Nothing of yours is changed: no branch of the repository here, no file of the work tree. What is not committed over
    there stays there; `fuelctl down` says so.
    """
    from fuelctl import source

    client = connect()
    environment = find(client, env)
    entry = _access.let_in(client, environment)
    pulled = source.pull(
        into, name=entry.name, host=entry.host, ssh_config=paths.ssh_config_file(), environment=environment
    )
    if as_json:
        emit({"id": entry.id, "name": entry.name, "refs": [item.as_dict() for item in pulled]})
        return
    for item in pulled:
        say(clean(str(item)))
