# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl pull`: an environment's branches, brought home over SSH."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fuelctl import paths
from fuelctl.cli import _access, _ingress
from fuelctl.cli._context import AsJson, Ref, connect, find
from fuelctl.cli._output import clean, emit, note, say
from fuelctl.cli._view import make_view

app = typer.Typer()


@app.command()
def pull(
    env: Ref,
    into: Annotated[
        Path, typer.Option("--into", metavar="PATH", help="Repository to bring them to.", show_default=False)
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Bring an environment's branches home, into refs/fuel/NAME.

    Nothing of yours is changed: no branch of the repository here, no file of the work tree. What is not committed over
    there stays there; `fuelctl down` says so.
    """
    from fuelctl import git

    client = connect()
    environment = find(client, env)
    entry = _access.let_in(client, environment)
    _ingress.open_door(client, environment)
    ssh = ("ssh", "-F", str(paths.ssh_config_file()))
    workspace = str(environment["connection"]["workspace"])
    with make_view(sys.stderr) as view:
        pulled = git.pull(entry.host, workspace, str(into), entry.name, ssh=ssh, report=view.show_bar)
    if as_json:
        emit({"id": entry.id, "name": entry.name, "refs": pulled.refs, "updated": pulled.updated})
        return
    for ref, commit in sorted(pulled.refs.items()):
        say(f"{commit[:12]}  {clean(ref)}")
    say(
        f"{pulled.updated} of {len(pulled.refs)} are new here. Look at one: git log {_example(pulled.refs, entry.name)}"
    )
    if not pulled.marked:
        note(f"warning: {entry.name} could not be told, so `fuelctl down` may still call this work unsaved")


def _example(refs: dict[str, str], name: str) -> str:
    return clean(min(refs, default=f"refs/fuel/{name}/main"))
