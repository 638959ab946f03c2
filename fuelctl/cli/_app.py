# SPDX-License-Identifier: GPL-3.0-or-later
"""The command tree. Only the module of the command that is used is imported, so that `fuelctl ls` starts fast."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer
import typer.main
from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

#: command -> (module in fuelctl.cli, first line of its help). A test holds the help against the commands' own.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("up", "Take a repository to a running environment."),
    "ssh": ("ssh", "Enter an environment, or run a command in it through a shell."),
    "exec": ("exec", "Run one program in an environment, its arguments passed on exactly."),
    "pull": ("pull", "Bring an environment's branches home, into refs/fuel/NAME."),
    "ls": ("ls", "List environments."),
    "status": ("status", "Show everything about one environment."),
    "logs": ("logs", "Show what happened in an environment, and follow it with -f."),
    "why": ("why", "Show why an environment is kept or was ended, and what would end it when."),
    "extend": ("extend", "Give an environment more time to live."),
    "stop": ("stop", "Stop an environment's machine, and keep what is on its volume."),
    "start": ("start", "Start an environment's machine that was stopped."),
    "volume": ("volume", "Show, extend and snapshot the disk that outlives a machine."),
    "down": ("down", "End environments and prove that nothing of them is left."),
    "rescue": ("rescue", "List, show and fetch work that was saved before its environment ended."),
    "reap": ("reap", "Show who would end and when, or have one round of it now."),
    "audit": ("audit", "Show everything that carries fuelctl's label, and who owns it."),
    "blueprint": ("blueprint", "Detect, show and validate what an environment is made of."),
    "recommend": ("recommend", "Say where to host a repository, with scores, reasons and trade-offs."),
    "fly": ("fly", "Make, check and plan what deploys to Fly.io."),
    "login": ("login", "Use a team's server from now on."),
    "logout": ("logout", "Forget a team's server, and use your own again."),
    "whoami": ("whoami", "Show whom the server takes you for."),
    "token": ("token", "Make, list and revoke personal tokens."),
    "user": ("user", "Add, list and disable a team server's users."),
    "audit-log": ("audit_log", "Show who changed what on the server, and who was refused."),
    "webhook": ("webhook", "List a server's webhooks, and try them out."),
    "server": ("server", "Start, stop and inspect the control plane."),
    "worker": ("worker", "Do the work of a team's server, on any machine."),
    "prices": ("prices", "Show what machines cost, and refresh it from AWS."),
    "doctor": ("doctor", "Check everything that fuelctl needs on this machine."),
    "version": ("version", "Show the version."),
}


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is used, not before."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - the signature is Typer's
        """Names in the order of the job, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002 - the signature is Typer's
        """Import and build the command."""
        if cmd_name not in COMMANDS:
            return None
        return load(cmd_name)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Guess what a mistyped command was meant to be; Typer guesses among imported commands only."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS)
            guess = f" Did you mean {', '.join(repr(name) for name in near)}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{guess}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002 - the signature is Typer's
        """The list of commands from the table alone: help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_module, text) in COMMANDS.items()])


def load(name: str) -> Command:
    """The command `name`: a module's Typer app, which is one command or a group of them."""
    app: typer.Typer = importlib.import_module(f"fuelctl.cli.{COMMANDS[name][0]}").app
    # Sub-apps are ordinary Typer apps; what belongs to the root alone is taken from them here.
    app._add_completion = False
    app.rich_markup_mode = None
    command = typer.main.get_command(app)
    command.name = name
    return command


app = typer.Typer(
    cls=LazyGroup,
    name="fuelctl",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every ENV is an id, a unique prefix of one, or a name. Exit codes: 0 done, 1 failed, 2 wrong usage.",
)


def _version(value: bool) -> None:
    if value:
        from fuelctl import __version__
        from fuelctl.cli._output import say

        say(f"fuelctl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """One command from a repository to a disposable environment with a coding agent in it."""
