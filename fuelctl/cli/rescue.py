# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl rescue`: work that was saved before its environment ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli import _ask, _rescue
from fuelctl.cli._context import AsJson, Yes, connect
from fuelctl.cli._environment import moment, now
from fuelctl.cli._output import clean, duration, emit, note, say, table

app = typer.Typer(help="List, show and fetch work that was saved before its environment ended.", no_args_is_help=True)

_HEADERS = ("ID", "NAME", "SAVED", "COMMIT", "HOLDS", "SIZE")
Rescue = Annotated[
    str, typer.Argument(metavar="RESCUE", help="Its id, a unique prefix of one, or its environment's id or name.")
]


@app.command()
def ls(
    everybody: Annotated[bool, typer.Option("--everybody", help="Of all users (admins).")] = False,
    as_json: AsJson = False,
) -> None:
    """List rescues, the newest first."""
    found = connect().rescues(everybody=everybody)["rescues"]
    if as_json:
        emit({"rescues": found})
        return
    if not found:
        say("No rescues.")
        return
    at = now()
    for line in table(_HEADERS, [_row(item, at) for item in found]):
        say(line)


@app.command()
def show(rescue: Rescue, as_json: AsJson = False) -> None:
    """Show what is in a rescue, and what is not."""
    found = connect().rescue(rescue)
    if as_json:
        emit(found)
        return
    facts = [
        ("ID", found["id"]),
        ("Of", f"{clean(found['name'])} ({found['environment_id']})"),
        ("Owner", clean(found["owner"])),
        ("Saved", clean(found["created_at"])),
        ("Commit", " ".join(clean(word) for word in (found.get("branch"), found.get("commit")) if word)),
        ("Holds", _rescue.content_words(found.get("counts"))),
        ("Unfinished", ", ".join(map(clean, found.get("unfinished") or []))),
        ("Size", _rescue.size_words(found["size"])),
    ]
    for label, value in facts:
        if value:
            say(f"{label:<11} {value}")
    for line in _rescue.missing_lines(found.get("left_out")):
        say(line)
    ignored = [one["path"] for one in (found.get("left_out") or {}).get("files") or [] if one["reason"] == "ignored"]
    if ignored:
        say(f"  ignored by .gitignore: {', '.join(map(clean, ignored[:10]))}{' ...' if len(ignored) > 10 else ''}")
    say(f"Take it up again: fuelctl up --from-rescue {found['id']}. Fetch it: fuelctl rescue get {found['id']}")


@app.command()
def get(
    rescue: Rescue,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="DIR", help="Write it there, as a new folder, instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a rescue into the repository here, as refs/fuel/NAME; or into a folder, with --into.

    Nothing of yours is changed. Uncommitted work is the commit refs/fuel/NAME.rescue/0/work.
    """
    if into is not None and into.exists():
        raise UsageError(f"{into} is there already", hint="name a new folder", where="--into")
    client = connect()
    found = client.rescue(rescue)
    with _rescue.fetched(client, found) as folder:
        if into is not None:
            shutil.copytree(folder, into)
            emit({"id": found["id"], "folder": str(into)}) if as_json else say(f"It is in {into}.")
            return
        refs = _rescue.into_repository(folder, Path(), str(found["name"]))
    if as_json:
        emit({"id": found["id"], "refs": refs})
        return
    for ref in refs:
        say(clean(ref))
    name = clean(found["name"])
    say(f"What was not committed: git diff refs/fuel/{name}.rescue/0/work^ refs/fuel/{name}.rescue/0/work")


@app.command()
def rm(rescue: Rescue, yes: Yes = False, as_json: AsJson = False) -> None:
    """Forget a rescue for good."""
    client = connect()
    found = client.rescue(rescue)
    if not yes:
        _ask.confirm(
            f"Forget the rescue of {clean(found['name'])} ({_rescue.content_words(found.get('counts'))}) for good?"
        )
    gone = client.forget_rescue(found["id"])
    emit(gone) if as_json else note(f"Forgotten: {gone['id']}")


def _row(item: dict[str, Any], at: Any) -> list[str]:
    then = moment(item["created_at"])
    return [
        clean(item["id"]),
        clean(item["name"]),
        f"{duration((at - then).total_seconds())} ago" if then else "-",
        " ".join(clean(word) for word in (item.get("branch"), (item.get("commit") or "")[:12]) if word),
        _rescue.content_words(item.get("counts")) + ("" if item["complete"] else " (not all)"),
        _rescue.size_words(item["size"]),
    ]
