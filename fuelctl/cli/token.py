# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl token`: personal tokens."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from fuelctl.cli._context import AsJson, connect
from fuelctl.cli._environment import moment, now
from fuelctl.cli._output import clean, duration, emit, note, say, table

app = typer.Typer(help="Make, list and revoke personal tokens.", no_args_is_help=True)

_HEADERS = ("ID", "NAME", "USER", "SCOPE", "STATE", "EXPIRES IN", "LAST USED", "MADE WITH")


class Scope(StrEnum):
    """What a token is for, within what its user's role allows."""

    READ = "read"
    ENVIRONMENTS = "environments"
    ALL = "all"


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, to know it by: laptop, ci.")],
    *,
    scope: Annotated[
        Scope, typer.Option("--scope", help="read; environments: make, enter and end them; all: all that you may do.")
    ] = Scope.ENVIRONMENTS,
    days: Annotated[float, typer.Option("--days", min=0.001, max=366, help="Good for so many days.")] = 90,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="For somebody else (admins).")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token; it is shown once.

    The token is the one line on stdout. It does not outlive the one that you make it with, unless you are an admin.
    """
    made = connect().create_token(name=name, scope=scope.value, days=days, **({"user": user} if user else {}))
    if as_json:
        emit(made)
        return
    show_once(made)


def show_once(made: dict[str, Any]) -> None:
    """A token that nobody can ask for again: it alone on stdout."""
    note(
        f"Token {clean(made['id'])} of {clean(made['user'])}, scope {clean(made['scope'])}, good until "
        f"{clean(made['expires_at'])}. It is not shown again:"
    )
    say(clean(made["token"]))


@app.command("ls")
def listing(
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="Somebody else's (admins).")] = None,
    *,
    everybody: Annotated[bool, typer.Option("--everybody", help="Of everybody (admins).")] = False,
    as_json: AsJson = False,
) -> None:
    """List tokens, without their secrets."""
    found = connect().tokens(user=user, everybody=everybody)
    if as_json:
        emit(found)
        return
    if not found["tokens"]:
        say("No tokens.")
        return
    for line in table(_HEADERS, [_row(each) for each in found["tokens"]]):
        say(line)


def _row(each: dict[str, Any]) -> list[str]:
    at = now()
    ends, used = moment(each["expires_at"]), moment(each["last_used_at"])
    left = (ends - at).total_seconds() if ends else None
    return [
        clean(each["id"]),
        clean(each["name"]),
        clean(each["user"]),
        clean(each["scope"]),
        "good" if each["good"] else _why_not(each, left),
        duration(left) if each["good"] else "-",
        f"{duration((at - used).total_seconds())} ago" if used else "never",
        clean(each["made_with"] or "-"),
    ]


def _why_not(each: dict[str, Any], left: float | None) -> str:
    if each["revoked_at"]:
        return "revoked"
    return "disabled" if (left or 0.0) > 0 else "expired"


@app.command()
def revoke(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids of tokens, as `token ls` shows them; or whole tokens.")
    ],
    as_json: AsJson = False,
) -> None:
    """Revoke tokens: they open nothing any more, at once. Twice is harmless."""
    client = connect()
    # Of a whole token its public part is sent: what is in an address is in many a log.
    public = [each.split("_")[1] if each.startswith("fctl_") else each for each in ids]
    revoked = [client.revoke_token(each) for each in public]
    if as_json:
        emit({"tokens": revoked})
        return
    for each in revoked:
        say(f"Revoked: {clean(each['id'])} ({clean(each['name'])} of {clean(each['user'])}).")
