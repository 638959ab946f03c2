# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl user`: who may use a team's server."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from fuelctl.cli._context import AsJson, connect
from fuelctl.cli._output import clean, emit, note, say, table
from fuelctl.cli.token import show_once

app = typer.Typer(help="Add, list and disable a team server's users.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user.")]


class Role(StrEnum):
    """What a user is."""

    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and . _ @ -")],
    *,
    role: Annotated[
        Role, typer.Option("--role", help="viewer: sees; member: makes environments and ends their own; admin: all.")
    ] = Role.MEMBER,
    days: Annotated[float, typer.Option("--days", min=0.001, max=366, help="Their token is good for so long.")] = 90,
    as_json: AsJson = False,
) -> None:
    """Add a user, and show their first token once."""
    made = connect().add_user(name=name, role=role.value, days=days)
    if as_json:
        emit(made)
        return
    note(f"{clean(made['name'])} is {'an' if made['role'] == 'admin' else 'a'} {clean(made['role'])}.")
    show_once(made["token"])


@app.command("ls")
def listing(as_json: AsJson = False) -> None:
    """List users."""
    found = connect().users()
    if as_json:
        emit(found)
        return
    if not found["users"]:
        say("No users.")
        return
    for line in table(("NAME", "ROLE", "STATE", "SINCE"), [_row(each) for each in found["users"]]):
        say(line)


def _row(each: dict[str, Any]) -> list[str]:
    state = "disabled" if each["disabled_at"] else "active"
    return [clean(each["name"]), clean(each["role"]), state, clean(each["created_at"])[:10]]


@app.command()
def disable(name: Name, as_json: AsJson = False) -> None:
    """Let a user in no more, at once, with any token. Their environments stay until they end."""
    _tell(connect().change_user(name, disabled=True), as_json=as_json)


@app.command()
def enable(name: Name, as_json: AsJson = False) -> None:
    """Let a disabled user in again, with the tokens that are still good."""
    _tell(connect().change_user(name, disabled=False), as_json=as_json)


@app.command()
def role(
    name: Name,
    role: Annotated[Role, typer.Argument(metavar="ROLE", help="admin, member or viewer.")],
    as_json: AsJson = False,
) -> None:
    """Give a user another role; it holds at once."""
    _tell(connect().change_user(name, role=role.value), as_json=as_json)


def _tell(user: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit(user)
        return
    state = "disabled" if user["disabled_at"] else "active"
    say(f"{clean(user['name'])}: {clean(user['role'])}, {state}.")
