# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl audit`: everything that carries our label, against the database; and an end to what nobody owns."""

from __future__ import annotations

import getpass
from collections import Counter
from typing import Annotated, Any

import typer

from fuelctl._shared._blueprint.durations import parse_duration
from fuelctl._shared._errors import UsageError
from fuelctl.cli import _ask, _ending, _places
from fuelctl.cli._context import AsJson, Yes, connect, take_up_credentials
from fuelctl.cli._ending import Ending
from fuelctl.cli._output import clean, duration, emit, note, paint, say, table
from fuelctl.cli._places import ProviderOption, RegionOption
from fuelctl.client import Client

app = typer.Typer()

_HEADERS = ("STATE", "PROVIDER", "REGION", "OWNER", "ID", "NAME", "AGE", "WHAT THERE IS")
_COLOURS = {"owned": "green", "expired": "yellow", "unowned": "red"}
_NAMED = 2
_AT_ONCE = 500
#: Seconds after which the server sweeps by itself what a command that was killed had begun with.
_ABANDONED = 300


@app.command()
def audit(
    *,
    all_regions: Annotated[bool, typer.Option("--all-regions", help="Every region that the account can use.")] = False,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="End what is unowned and older than --grace, after one question.")
    ] = False,
    grace: Annotated[
        str, typer.Option("--grace", metavar="DURATION", help="What is younger may be in the making: 0s, 10m, 1h.")
    ] = "1h",
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="NAME", help="Look at what belongs to NAME only.")
    ] = None,
    all_owners: Annotated[
        bool, typer.Option("--all-owners", help="With --sweep on your own server: what belongs to others too.")
    ] = False,
    provider: ProviderOption = None,
    region: RegionOption = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Show everything that carries fuelctl's label, and who owns it.

    Owned is what the server's database knows to live, expired what it knows and whose time is over, unowned all else:
    left by a lost database, by another server, or made without one. Exit code 1 when something is unowned, or when a
    place could not be asked.
    """
    youngest = _grace(grace)
    if owner and all_owners:
        raise UsageError("--owner and --all-owners exclude each other", hint="give one of them")
    if region and all_regions:
        raise UsageError("--region and --all-regions exclude each other", hint="give one of them")
    client = connect()
    places = _places.settle(client, provider or [], region, all_regions=all_regions)
    found = client.audit(**places)
    if owner:
        found["environments"] = [each for each in found["environments"] if each["owner"] == owner]
    if not as_json:
        _show(found)
    endings: list[Ending] = []
    left = [each for each in found["environments"] if each["state"] == "unowned"]
    if sweep:
        whose = owner or (getpass.getuser() if client.embedded and not all_owners else None)
        due = [each for each in left if not _why_not(each, whose, youngest)]
        _tell_what_stays(left, whose, youngest)
        endings, dark = _sweep(client, due, places, yes=yes, as_json=as_json)
        stays = {ending.environment["id"] for ending in endings if ending.failed} | dark
        swept = {each["id"] for each in due} - stays
        left = [each for each in left if each["id"] not in swept]
    if as_json:
        emit({**found, "swept": [_ending.document(ending) for ending in endings] if sweep else None})
    if left or found["problems"]:
        raise typer.Exit(1)


def _grace(text: str) -> int:
    try:
        return int(parse_duration(text))
    except UsageError as error:
        raise UsageError(error.message, hint=error.hint, where="--grace") from error


def _show(found: dict[str, Any]) -> None:
    entries: list[dict[str, Any]] = found["environments"]
    if entries:
        for line in table(_HEADERS, [_row(each) for each in entries]):
            say(line)
    else:
        say("Nothing carries fuelctl's label.")
    counts = Counter(each["state"] for each in entries)
    asked = ", ".join(found["providers"]) or "no provider"
    if entries:
        told = ", ".join(f"{counts[state]} {state}" for state in _COLOURS)
        say(f"{told}. Asked: {asked}.")
    else:
        note(f"Asked: {asked}.")
    for problem in found["problems"]:
        where = " ".join(str(problem[key]) for key in ("provider", "region") if problem.get(key))
        note(f"error: {clean(where)} could not be asked: {clean(problem['message'])}")
        if problem.get("hint"):
            note(f"  hint: {clean(problem['hint'])}")
    if counts["unowned"]:
        note("End what is unowned: fuelctl audit --sweep; or one of it: fuelctl down --tagged ID")


def _row(each: dict[str, Any]) -> list[str]:
    state = str(each["state"])
    return [
        paint(state, _COLOURS[state]),
        clean(each["provider"]),
        clean(each["region"] or "-"),
        clean(each["owner"] or "-"),
        clean(each["id"] or "-"),
        clean(each["name"] or "-"),
        duration(each["age_seconds"]),
        clean(_what(each["resources"])),
    ]


def _what(resources: list[dict[str, Any]]) -> str:
    """A few things by name, many by number."""
    if len(resources) <= _NAMED:
        return ", ".join(f"{each['kind']} {each['name']}" for each in resources)
    counts = Counter(str(each["kind"]) for each in resources)
    return ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items())


def _why_not(each: dict[str, Any], whose: str | None, youngest: int) -> str:
    """Why it is not swept; empty when it is."""
    if not each["id"]:
        return "its label holds no id of ours"
    if whose is not None and each["owner"] != whose:
        return f"it belongs to {clean(each['owner'] or 'nobody')}: --owner or --all-owners includes it"
    if youngest and each["age_seconds"] is None:
        return "its age is not known: --grace 0s includes it"
    if youngest and each["age_seconds"] < youngest:
        return f"it is only {duration(each['age_seconds'])} old: a shorter --grace includes it"
    return ""


def _tell_what_stays(left: list[dict[str, Any]], whose: str | None, youngest: int) -> None:
    for each in left:
        why = _why_not(each, whose, youngest)
        if why:
            note(f"{clean(each['id'] or each['name'])} stays: {why}")


def _sweep(
    client: Client, due: list[dict[str, Any]], places: _places.Places, *, yes: bool, as_json: bool
) -> tuple[list[Ending], set[str]]:
    """End them, like any other environment: with retries, and a receipt each; and ids that were not found again.

    What was not found while every place could be asked has gone meanwhile, and is not among them.
    """
    if not due:
        note("Nothing is to be swept.")
        return [], set()
    if not yes:
        for line in table(_HEADERS, [_row(each) for each in due]):
            note(line)
        count = "this" if len(due) == 1 else f"these {len(due)}"
        _ask.confirm(f"End {count} and remove everything owned, with all work that is in it?")
    adopted: list[dict[str, Any]] = []
    dark: set[str] = set()
    for start in range(0, len(due), _AT_ONCE):
        refs = [each["id"] for each in due[start : start + _AT_ONCE]]
        taken = client.adopt(refs, **places, lease_seconds=_ABANDONED, skip_missing=True)
        adopted += taken["environments"]
        dark |= set() if taken["complete"] else set(taken["missing"])
    for environment_id in sorted(dark):
        note(f"{clean(environment_id)} stays: its place could not be asked again: repeat the sweep")
    endings = [Ending(item) for item in {item["id"]: item for item in adopted}.values()]
    take_up_credentials(adopted)
    _ending.begin(client, endings, discard=True)
    for ending in endings:
        _ending.see_off(client, ending, as_json=as_json)
    return endings, dark
