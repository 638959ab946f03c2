# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl version`."""

from __future__ import annotations

import typer

from fuelctl import __version__
from fuelctl.cli._context import AsJson
from fuelctl.cli._output import emit, say

app = typer.Typer()


@app.command()
def version(as_json: AsJson = False) -> None:
    """Show the version."""
    if as_json:
        emit({"version": __version__})
    else:
        say(f"fuelctl {__version__}")
