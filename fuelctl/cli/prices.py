# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl prices`: what machines cost, where that is from, and how to ask AWS anew."""

from __future__ import annotations

from typing import Annotated

import typer

from fuelctl import prices
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl._shared._prices import _aws_list
from fuelctl.cli._context import AsJson
from fuelctl.cli._output import clean, emit, note, say, table

app = typer.Typer(help="Show what machines cost, and refresh it from AWS.", no_args_is_help=True)


@app.command()
def show(
    types: Annotated[
        list[str] | None, typer.Argument(metavar="[TYPE]...", help="Machine types; default: all.", show_default=False)
    ] = None,
    *,
    region: Annotated[str, typer.Option("--region", metavar="REGION", help="Region.")] = "us-east-1",
    as_json: AsJson = False,
) -> None:
    """Show the prices of a region, and where they are from."""
    loaded = prices.load()
    _tell(loaded.trouble)
    book = loaded.book
    found = book.regions.get(region)
    if found is None:
        raise UsageError(
            f"There are no prices of region {region[:40]!r}",
            hint=f"known: {', '.join(sorted(book.regions))}",
            where="--region",
        )
    wanted = types or sorted(found.instances, key=lambda name: (name.split(".")[0], found.instances[name]))
    unknown = [name for name in wanted if name not in found.instances]
    if unknown:
        raise FuelError(
            f"There is no price of {unknown[0][:40]!r} in {region}", hint=f"fuelctl prices show --region {region}"
        )
    if as_json:
        document = found.as_dict() | {"region": region, "currency": book.currency, "ipv4_hour": book.ipv4_hour}
        emit(document | {"instances": {name: found.instances[name] for name in wanted}})
        return
    rows = [[clean(name), f"{found.instances[name]:.4f}"] for name in wanted]
    for line in table(("TYPE", f"{book.currency}/HOUR"), rows):
        say(line)
    disk = f"gp3 {found.gp3_gb_month:.4f} per GB and month, " if found.gp3_gb_month is not None else ""
    say(f"Besides: {disk}a public IPv4 address {book.ipv4_hour:.4f} per hour.")
    say(f"Source: {clean(found.source)} ({clean(found.published)})")
    if not found.verified:
        note(f"These are estimates. AWS's own prices of {region}: fuelctl prices refresh --region {region}")


@app.command()
def refresh(
    region: Annotated[
        list[str] | None, typer.Option("--region", metavar="REGION", help="Region to ask for. Repeatable.")
    ] = None,
    *,
    all_regions: Annotated[bool, typer.Option("--all-regions", help="All of them: some gigabytes.")] = False,
    base: Annotated[
        str, typer.Option("--from", metavar="URL", help="Address of the price lists: AWS's, or that of a copy.")
    ] = _aws_list.ADDRESS,
    as_json: AsJson = False,
) -> None:
    """Read AWS's own price list, and use it from now on.

    It needs no account. One region's list has some 300 MB, a tenth of that on the wire, and is not kept itself.
    """
    if all_regions == bool(region):
        raise UsageError("Name a region, or give --all-regions", hint="fuelctl prices refresh --region eu-central-1")
    found = prices.refresh(region or [], base, lambda name: note(f"Reading the prices of {name} ..."))
    if as_json:
        emit({"regions": {name: {**one.as_dict(), "instances": len(one.instances)} for name, one in found.items()}})
        return
    for name, one in found.items():
        say(f"{clean(name)}: {len(one.instances)} machine types, published {clean(one.published)}")


@app.command()
def reset() -> None:
    """Forget what was refreshed, and use the prices that came with fuelctl."""
    say("The refreshed prices are forgotten." if prices.reset() else "There are no refreshed prices.")


def _tell(trouble: FuelError | None) -> None:
    if trouble is not None:
        note(f"warning: {clean(trouble.message)} ({clean(trouble.where or '')}). {clean(trouble.hint or '')}")
