# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl webhook`: who is told what happens, and whether it arrives."""

from __future__ import annotations

from typing import Annotated

import typer

from fuelctl.cli._context import AsJson, connect
from fuelctl.cli._output import clean, emit, say, table

app = typer.Typer(help="List a server's webhooks, and try them out.", no_args_is_help=True)


@app.command("ls")
def listing(as_json: AsJson = False) -> None:
    """List webhooks, with what waits for each."""
    found = connect().webhooks()
    if as_json:
        emit(found)
        return
    if not found["webhooks"]:
        say("No webhooks.")
        return
    rows = [
        [
            clean(each["name"]),
            clean(each["host"]),
            clean(" ".join(each["events"])),
            str(each["waiting"]),
            clean(each["problem"] or "-"),
        ]
        for each in found["webhooks"]
    ]
    for line in table(("NAME", "HOST", "EVENTS", "WAITING", "PROBLEM"), rows):
        say(line)


@app.command("test")
def try_out(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The webhook; all of them, without.")] = None,
    as_json: AsJson = False,
) -> None:
    """Have the server send a signed test message now, and show what came of it."""
    done = connect().test_webhooks(name)
    if as_json:
        emit(done)
    else:
        for each in done["deliveries"]:
            came = f"arrived ({each['status']}, {each['seconds']:.2f} s)" if each["arrived"] else clean(each["problem"])
            say(f"{clean(each['name'])}: {came}")
    if not all(each["arrived"] for each in done["deliveries"]):
        raise typer.Exit(1)
