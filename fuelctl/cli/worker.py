# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl worker`: does a team's work."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

app = typer.Typer(help="Do the work of a team's server, on any machine.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Do the work of a team's server, on any machine."""


@app.command()
def run(
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The team's Postgres (postgresql+psycopg://USER@HOST/NAME). Others on this machine can read a password"
            " here: give FUELCTL_DATABASE, a service or a passfile.",
        ),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=1000, metavar="N", help="Playbooks at a time.  [default: 8]")
    ] = None,
) -> None:
    """Play the playbooks that the team's servers ask for, until told to end.

    Any number of them, on any machines that share the team's Postgres and its secret key. SIGTERM or Ctrl-C finishes
    what is under way, for `drain_seconds`; a second one parks it, and other workers take it up.
    """
    worker: Any = importlib.import_module("fuelctl.worker")
    worker.run(database, concurrency)
