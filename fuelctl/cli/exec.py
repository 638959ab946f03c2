# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl exec`: one program in an environment, its arguments exactly as given."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli import _access, _ingress
from fuelctl.cli._context import Ref, connect, find

app = typer.Typer()


@app.command(name="exec", context_settings={"allow_interspersed_args": False})
def exec_(
    env: Ref,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD [ARG]...", help="The program and its arguments.")],
) -> None:
    """Run one program in an environment, its arguments passed on exactly.

    It runs in the workspace, with the environment's variables. Standard input goes through, and so does the exit code.
    """
    words = _access.own_words(command)
    if not words:
        raise UsageError("No program is given", hint="fuelctl exec ENV -- CMD [ARG]...")
    client = connect()
    environment = find(client, env)
    entry = _access.let_in(client, environment)
    _ingress.open_door(client, environment)
    # ssh hands one string to a shell: quoted so that the shell gives back the very same arguments.
    line = _access.in_workspace(environment, shlex.join(words))
    both = sys.stdin.isatty() and sys.stdout.isatty()
    _access.become_ssh([*_access.ssh_arguments(entry, terminal=both), line])
