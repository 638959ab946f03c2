# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl start`: the machine again, with its volume."""

from __future__ import annotations

import typer

from fuelctl.cli import _power
from fuelctl.cli._context import AsJson, Ref

app = typer.Typer()


@app.command()
def start(env: Ref, as_json: AsJson = False) -> None:
    """Start an environment's machine that was stopped."""
    _power.ask(env, "started", "{name} runs again: fuelctl ssh {name}", as_json=as_json)
