# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl audit-log`: who changed what on the server, and who was refused."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from fuelctl.cli._context import AsJson, connect
from fuelctl.cli._output import clean, emit, note, say, table

app = typer.Typer()

_HEADERS = ("SEQ", "AT", "ACTOR", "TOKEN", "ADDRESS", "ACTION", "OBJECT", "OUTCOME", "CHANGE")


@app.command()
def audit_log(
    actor: Annotated[str | None, typer.Option("--actor", metavar="USER", help="Only what this user did.")] = None,
    *,
    action: Annotated[
        str | None, typer.Option("--action", metavar="ACTION", help="Only this: environment.create, token.revoke ...")
    ] = None,
    object_: Annotated[
        str | None, typer.Option("--object", metavar="OBJECT", help="Only what was done to it: an id, a user's name.")
    ] = None,
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    before: Annotated[int | None, typer.Option("--before", min=1, metavar="SEQ", help="Older than this one.")] = None,
    after: Annotated[
        int | None, typer.Option("--after", min=0, metavar="SEQ", help="From this one on, the oldest first.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show who changed what on the server, and who was refused.

    For admins. The newest first; with --after, the oldest first, for whoever keeps a copy elsewhere.
    """
    found = connect().audit_log(
        actor=actor,
        action=action,
        object=object_,
        outcome="refused" if refused else None,
        limit=str(limit),
        before=None if before is None else str(before),
        after=None if after is None else str(after),
    )
    if as_json:
        emit(found)
        return
    if not found["entries"]:
        say("No entries.")
        return
    for line in table(_HEADERS, [_row(each) for each in found["entries"]]):
        say(line)
    if found["cursor"] is not None and after is None:
        note(f"Older ones: --before {found['cursor']}")


def _row(each: dict[str, Any]) -> list[str]:
    return [
        str(each["seq"]),
        clean(each["at"]),
        clean(each["actor"]),
        clean(each["token_id"] or "-"),
        clean(each["address"] or "-"),
        clean(each["action"]),
        clean(each["object"]),
        clean(each["outcome"]),
        clean(_change(each["before"], each["after"])),
    ]


def _change(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    """What is another than before, in few words."""
    was = before or {}
    told = [
        f"{key}={json.dumps(was[key])}->{json.dumps(value)}" if key in was else f"{key}={json.dumps(value)}"
        for key, value in (after or {}).items()
        if value is not None and was.get(key) != value
    ]
    return " ".join(told) or "-"
