# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl doctor`: whether this machine can do the job, and what to do when it cannot."""

from __future__ import annotations

from dataclasses import asdict

import typer

from fuelctl.cli._checks import checks
from fuelctl.cli._context import AsJson
from fuelctl.cli._output import clean, emit, mark, say

app = typer.Typer()


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check everything that fuelctl needs on this machine.

    Exits with 1 when something is missing without which no environment can be made.
    """
    found = []
    for check in checks():
        found.append(check)
        if not as_json:
            say(f"{mark(check.good)} {check.name:<14} {clean(check.found)}")
            if not check.good:
                say(f"  fix: {clean(check.fix)}")
    broken = [check for check in found if not check.good and check.required]
    if as_json:
        emit({"ok": not broken, "checks": [asdict(check) for check in found]})
    if broken:
        raise typer.Exit(1)
