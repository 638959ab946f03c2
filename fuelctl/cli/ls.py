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
    moment,
    now,
    status_words,
    ttl_left,
    uptime,
)
from fuelctl.cli._output import clean, duration, emit, note, paint, say, table
from fuelctl.cli._prices import spent

app = typer.Typer()

_HEADERS = (
    "ID", "NAME", "WORKSPACE", "STATUS", "PROVIDER", "TYPE", "ADDRESS", "REGION", "UPTIME", "TTL LEFT", "IDLE", "COST",
)  # fmt: skip
_STATUSES = (*LIVE, "terminating", *ENDED)
#: The reaper works every minute; twice missed is worth a word.
_STALE_SECONDS = 180
_COLOURS = {"ready": "green", "active": "green", "idle": "cyan", "provisioning": "yellow", "terminating": "yellow"}


@app.command()
def ls(
    all_: Annotated[bool, typer.Option("--all", "-a", help="Ended and failed ones too.")] = False,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help=f"Only those: {', '.join(_STATUSES)}.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List environments."""
    if status is not None and status not in _STATUSES:
        raise UsageError(f"{status!r} is no status", hint=f"known: {', '.join(_STATUSES)}")
    client = connect()
    reply = client.environments(terminated=all_ or status in ENDED, status=status, observe=True)
    found: list[dict[str, Any]] = reply["environments"]
    if status is None:
        # Only the whole list of live environments can say which of our ssh entries are stale.
        _access.repair(client, [item for item in found if item["status"] not in ENDED])
    if as_json:
        emit(reply)
        return
    if not found:
        say("No environments." if all_ else f"No {status} environments." if status else "No active environments.")
    else:
        at = now()
        for line in table(_HEADERS, [row(item, at) for item in found]):
            say(line)
    warn_of_reaper(reply.get("reaper") or {}, now())


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
        duration(idle(item, at)),
        spent(item),
    ]


def warn_of_reaper(reaper: dict[str, Any], at: datetime) -> None:
    """Say when nothing has looked after leases for a while."""
    last = moment(reaper.get("last_cycle_at"))
    if last is not None and (at - last).total_seconds() > _STALE_SECONDS:
        ago = duration((at - last).total_seconds())
        note(f"The reaper last ran {ago} ago: leases are not being watched. See `fuelctl server status`.")
