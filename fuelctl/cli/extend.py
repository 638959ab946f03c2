# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl extend`: more time to live."""

from __future__ import annotations

from typing import Annotated

import typer

from fuelctl.cli import _ingress
from fuelctl.cli._context import AsJson, Ref, connect, find, take_up_credentials
from fuelctl.cli._durations import seconds
from fuelctl.cli._environment import now, ttl_left
from fuelctl.cli._output import clean, duration, emit, note, say

app = typer.Typer()


@app.command()
def extend(
    env: Ref,
    ttl: Annotated[str, typer.Argument(metavar="DURATION", help="At least this long from now: 2h, 1h30m, 1d.")],
    as_json: AsJson = False,
) -> None:
    """Give an environment more time to live."""
    wanted = seconds("DURATION", ttl)
    client = connect()
    found = find(client, env)
    take_up_credentials([found])
    _ingress.open_servers_doors(client, [found])
    environment = client.extend(found["id"], ttl_seconds=wanted)
    if as_json:
        emit(environment)
        return
    for warning in environment.get("warnings") or []:
        note(f"note: {clean(warning)}")
    say(f"{clean(environment['name'])} lives for {duration(ttl_left(environment, now()))} more.")
