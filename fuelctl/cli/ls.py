# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl ls`: the environments, one line each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli import _access
from fuelctl.cli._context import AsJson, connect
from fuelctl.cli._environment import (
    ENDED,
    LIVE,
    address,
    idle,
    idle_end,
    idle_stop,
    now,
    status_words,
    ttl_left,
    uptime,
)
from fuelctl.cli._output import clean, duration, emit, note, paint, say, table
from fuelctl.cli._prices import spent
from fuelctl.cli._reaper import warn_of_reaper, warn_of_workers

app = typer.Typer()

_HEADERS = (
    "ID", "NAME", "WORKSPACE", "STATUS", "PROVIDER", "TYPE", "ADDRESS", "REGION", "UPTIME", "TTL LEFT", "IDLE", "COST",
)  # fmt: skip
_STATUSES = (*LIVE, "terminating", *ENDED)
#: An end that is so near is worth a word.
_SOON_SECONDS = 600
_COLOURS = {"ready": "green", "active": "green", "idle": "cyan", "provisioning": "yellow", "terminating": "yellow"}


@app.command()
def ls(
    all_: Annotated[bool, typer.Option("--all", "-a", help="Ended and failed ones too.")] = False,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help=f"Only those: {', '.join(_STATUSES)}.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="USER", help="Only this user's; a team's server lists everybody's.")
    ] = None,
    workspace: Annotated[
        str | None,
        typer.Option("--workspace", metavar="WORKSPACE", help="Only those of this repository: its name or address."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List environments."""
    if status is not None and status not in _STATUSES:
        raise UsageError(f"{status!r} is no status", hint=f"known: {', '.join(_STATUSES)}")
    client = connect()
    reply = client.environments(
        terminated=all_ or status in ENDED, status=status, owner=owner, workspace=workspace, observe=True
    )
    found: list[dict[str, Any]] = reply["environments"]
    if status is None and owner is None and workspace is None:
        # Only the whole list of live environments can say which of our ssh entries are stale.
        _access.repair(client, [item for item in found if item["status"] not in ENDED])
    if as_json:
        emit(reply)
        return
    if not found:
        say("No environments." if all_ else f"No {status} environments." if status else "No active environments.")
    else:
        at = now()
        rows = [row(item, at) for item in found]
        if client.embedded:
            lines = table(_HEADERS, rows)
        else:
            owned = [[*cells[:2], clean(item["owner"]), *cells[2:]] for cells, item in zip(rows, found, strict=True)]
            lines = table((*_HEADERS[:2], "OWNER", *_HEADERS[2:]), owned)
        for line in lines:
            say(line)
        for item in found:
            warn_of_end(item, at)
    warn_of_reaper(reply.get("reaper"))
    warn_of_workers(reply.get("workers"))


def row(item: dict[str, Any], at: datetime) -> list[str]:
    """The cells of one environment."""
    provider = item.get("provider") or {}
    words = status_words(item)
    return [
        clean(item["id"]),
        clean(item["name"]),
        clean((item.get("repository") or {}).get("name") or "-"),
        paint(words, _COLOURS.get(item["status"], "red")) if words != "terminated" else words,
        clean(provider.get("name") or "-"),
        clean(provider.get("type") or "-"),
        address(item),
        clean(provider.get("region") or "-"),
        duration(uptime(item, at)),
        duration(ttl_left(item, at)),
        _idle(item, at),
        spent(item),
    ]


def _idle(item: dict[str, Any], at: datetime) -> str:
    """Since when nothing happened in it; where silence ends it before its TTL, of how much."""
    since = idle(item, at)
    if since is None or (idle_end(item, at) is None and idle_stop(item, at) is None):
        return duration(since)
    return f"{duration(since)} of {duration(item['lease']['idle_seconds'])}"


def warn_of_end(item: dict[str, Any], at: datetime) -> None:
    """Say which one ends within minutes, and how to keep it."""
    name, silent, left = clean(item["name"]), idle_end(item, at), ttl_left(item, at)
    if silent is not None and silent < _SOON_SECONDS:
        note(f"{name} ends in {duration(silent)}: nothing happens in it. Keep it: fuelctl extend {name} 2h")
    elif left is not None and left < _SOON_SECONDS:
        note(f"{name} ends in {duration(left)}: its time to live is over. Keep it: fuelctl extend {name} 2h")
