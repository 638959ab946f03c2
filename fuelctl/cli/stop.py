# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl stop`: keep what is on the volume, and pay for no machine."""

from __future__ import annotations

import typer

from fuelctl.cli import _power
from fuelctl.cli._context import AsJson, Ref

app = typer.Typer()


@app.command()
def stop(env: Ref, as_json: AsJson = False) -> None:
    """Stop an environment's machine, and keep what is on its volume."""
    _power.ask(
        env,
        "stopped",
        "{name} is stopped. Its volume is kept, costs on and ends at its time: fuelctl start {name}",
        as_json=as_json,
    )
