# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl whoami`: whom the server takes you for."""

from __future__ import annotations

import typer

from fuelctl.cli._context import AsJson, connect
from fuelctl.cli._output import clean, emit, say

app = typer.Typer()


@app.command()
def whoami(as_json: AsJson = False) -> None:
    """Show whom the server takes you for."""
    client = connect()
    found = client.whoami()
    if as_json:
        emit({"server": client.endpoint, **found})
        return
    token = found.get("token")
    rows = [
        ("User", clean(found["name"])),
        ("Role", clean(found["role"])),
        ("Server", clean(client.endpoint) + ("" if token else ", your own on this machine")),
    ]
    if token:
        rows.append(("Token", f"{clean(token['id'])} ({clean(token['name'])}), scope {clean(token['scope'])}"))
        rows.append(("Expires", clean(token["expires_at"])))
    for label, value in rows:
        say(f"{label + ':':<9} {value}")
