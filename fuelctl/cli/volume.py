# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl volume`: the disk that outlives an environment's machine."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Any

import typer

from fuelctl._shared._errors import UsageError
from fuelctl._shared._prices._offer import money
from fuelctl.cli._context import AsJson, Ref, connect, find, take_up_credentials
from fuelctl.cli._output import clean, emit, note, say, size, table
from fuelctl.client import Client

app = typer.Typer(help="Show, extend and snapshot the disk that outlives a machine.", no_args_is_help=True)

_HEADERS = ("SNAPSHOT", "MADE", "STORES", "KEPT")
_SIZE = re.compile(r"([0-9]{1,6}) ?(?:gb?)?", re.IGNORECASE)


@app.command()
def show(env: Ref, as_json: AsJson = False) -> None:
    """Show an environment's volume, its snapshots and prices."""
    client, found = _meant(env)
    volume = client.volume(found["id"])
    if as_json:
        emit(volume)
        return
    for line in lines(found["name"], volume):
        say(line)


@app.command()
def extend(
    env: Ref,
    to: Annotated[str, typer.Argument(metavar="SIZE", help="How large it is to be: 20GB. It never becomes smaller.")],
    as_json: AsJson = False,
) -> None:
    """Extend an environment's volume."""
    size_gb = gigabytes(to)
    client, found = _meant(env)
    volume = client.extend_volume(found["id"], size_gb=size_gb)
    if as_json:
        emit(volume)
        return
    say(f"The volume of {clean(found['name'])} has {volume['size_gb']} GB{_monthly(volume)}.")
    if volume.get("needs_restart"):
        name = clean(found["name"])
        note(f"note: its machine sees that after a stop and a start: fuelctl stop {name} && fuelctl start {name}")


@app.command()
def snapshot(env: Ref, as_json: AsJson = False) -> None:
    """Make a snapshot of an environment's volume."""
    client, found = _meant(env)
    volume = client.snapshot_volume(found["id"], key=secrets.token_hex(16))
    if as_json:
        emit(volume)
        return
    days = next((each["days"] for each in volume["snapshots"] if each["id"] == volume["snapshot"]), 0)
    kept = f", kept for {_days(days)} by its provider, also when {clean(found['name'])} has ended" if days else ""
    say(f"Snapshot {clean(volume['snapshot'])} of {clean(found['name'])} is made{kept}.")
    for line in _snapshot_price(volume):
        say(line)


def gigabytes(text: str) -> int:
    """`20GB`, `20 G` or `20`, as a number; UsageError for what is none."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise UsageError(f"{text[:40]!r} is no size", hint="whole GB, as 20GB: what it is to have, not what is added")
    return int(found[1])


def lines(name: str, volume: dict[str, Any]) -> list[str]:
    """A volume for people."""
    where = f" in {clean(volume['region'])}" if volume.get("region") else ""
    told = [f"{clean(name)}: {volume['size_gb']} GB{where} ({clean(volume['id'])}){_monthly(volume)}"]
    rows = [
        [
            clean(each["id"]),
            clean(each["created_at"]) or clean(each["state"]) or "-",
            size(each["stored_bytes"]) if each["stored_bytes"] else "-",
            _days(each["days"]) if each["days"] else "-",
        ]
        for each in volume["snapshots"]
    ]
    told += table(_HEADERS, rows) if rows else ["No snapshots."]
    return told + _snapshot_price(volume)


def _meant(env: str) -> tuple[Client, dict[str, Any]]:
    client = connect()
    found = find(client, env)
    take_up_credentials([found])
    return client, found


def _monthly(volume: dict[str, Any]) -> str:
    prices = volume.get("prices")
    if not prices:
        return ""
    whole = money(float(prices["gb_month"]) * volume["size_gb"])
    return f", {whole} {clean(prices['currency'])} a month, stopped or not, until it ends"


def _snapshot_price(volume: dict[str, Any]) -> list[str]:
    prices = volume.get("prices")
    if not prices:
        return []
    price = f"{money(float(prices['snapshot_gb_month']))} {clean(prices['currency'])}"
    free = f", beyond the first {prices['snapshot_free_gb']:g} GB of the account" if prices["snapshot_free_gb"] else ""
    stored = f"{price} per GB and month of what they store{free}"
    return [f"Snapshots cost {stored}; that is not in what `ls` and `status` count."]


def _days(count: int) -> str:
    return f"{count} day" if count == 1 else f"{count} days"
