# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl ssh`: enter an environment with plain OpenSSH."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from fuelctl._shared._errors import FuelError
from fuelctl.cli import _access, _environment, _ingress
from fuelctl.cli._context import Ref, connect, find
from fuelctl.cli._output import clean, duration, note
from fuelctl.client import Client

app = typer.Typer()


@app.command(context_settings={"allow_interspersed_args": False})
def ssh(
    env: Ref,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- CMD]...", help="Given to the shell of the environment as one line."),
    ] = None,
) -> None:
    """Enter an environment, or run a command in it through a shell.

    Without a command, you land in the workspace, in a login shell. With one, its words are joined by spaces and run by
    the shell there, as ssh does it; `fuelctl exec` passes arguments exactly instead. The exit code is the command's.

    Plain `ssh fuel-NAME`, scp, rsync, port forwarding (-L) and VS Code Remote-SSH work as well.
    """
    words = _access.own_words(command)
    client = connect()
    environment = find(client, env)
    if words:
        entry = _access.let_in(client, environment)
        _ingress.open_door(client, environment)
        both = sys.stdin.isatty() and sys.stdout.isatty()
        line = _access.in_workspace(environment, " ".join(words))
        _access.become_ssh([*_access.ssh_arguments(entry, terminal=both), line])
    raise typer.Exit(interactive(client, environment))


def interactive(client: Client, environment: dict[str, Any]) -> int:
    """A shell in the workspace; after it, one line says whether the environment goes on. Returns ssh's exit code."""
    entry = _access.let_in(client, environment)
    _ingress.open_door(client, environment)
    shell = _access.in_workspace(environment, 'exec "${SHELL:-/bin/sh}" -l')
    terminal = True if sys.stdin.isatty() and sys.stdout.isatty() else None
    code = _access.run_ssh([*_access.ssh_arguments(entry, terminal=terminal), shell])
    note(afterwards(client, str(environment["id"])))
    return code


def afterwards(client: Client, environment_id: str) -> str:
    """What became of the environment, in one line."""
    try:
        environment = client.environment(environment_id)
    except FuelError as error:
        return f"The server cannot say whether the environment goes on: {clean(error.message)}"
    name = clean(environment["name"])
    reason = _environment.not_enterable(environment)
    if reason:
        return f"{reason[0]}."
    left = _environment.ttl_left(environment, _environment.now())
    return f"{name} keeps running for {duration(left)} more. End it: fuelctl down {name}"
