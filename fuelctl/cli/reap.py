# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl reap`: who would end and when, and one round of the reaper now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli._context import AsJson, connect
from fuelctl.cli._environment import moment, now
from fuelctl.cli._output import clean, duration, emit, note, say, table

app = typer.Typer()

_HEADERS = ("ID", "NAME", "STATUS", "NOW", "WHY", "ENDS IN", "BY")


@app.command()
def reap(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show who would end and when; end nobody.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Go round once, now, as it does every minute.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show who would end and when, or have one round of it now."""
    if dry_run == once:
        raise UsageError("say what is wanted", hint="give either --dry-run or --once")
    client = connect()
    if once:
        done = client.reap()
        if as_json:
            emit(done)
        else:
            say(f"{done['checked']} checked, {done['ended']} ended, {done['failed']} failed.")
        if done["failed"]:
            raise typer.Exit(1)
        return
    found = client.forecast()
    if as_json:
        emit(found)
        return
    for line in lines(found, now()):
        say(line)


def lines(found: Mapping[str, Any], at: datetime) -> list[str]:
    """Everybody alive, the soonest end first."""
    last = moment((found.get("reaper") or {}).get("last_cycle_at"))
    if last is not None:
        note(f"The reaper last ran {duration(max(0.0, (at - last).total_seconds()))} ago.")
    if not found["environments"]:
        return ["No active environments."]
    return table(_HEADERS, [_row(item) for item in found["environments"]])


def _row(item: Mapping[str, Any]) -> list[str]:
    end = item["ends"][0] if item["ends"] else None
    return [
        clean(item["id"]),
        clean(item["name"]),
        clean(item["status"]),
        clean(item["action"]),
        clean(item["reason"]),
        duration(end["in_seconds"]) if end else "-",
        clean(end["by"]) if end else "-",
    ]
