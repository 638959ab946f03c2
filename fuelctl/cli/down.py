# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl down`: end environments, and prove it by the receipt."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli import _ending, _ingress, _places
from fuelctl.cli._context import AsJson, Refs, Yes, connect, find, me, take_up_credentials
from fuelctl.cli._ending import Ending
from fuelctl.cli._output import can_ask, emit, note, say
from fuelctl.cli._places import ProviderOption, RegionOption
from fuelctl.client import Client

app = typer.Typer()


@app.command()
def down(
    env: Refs = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Every live environment of yours, after one question.")] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="End it even if uncommitted or unpushed work in it is lost.")
    ] = False,
    rescue: Annotated[
        bool, typer.Option("--rescue", help="Save the work in it first: all of it saved, nothing is lost.")
    ] = False,
    tagged: Annotated[
        bool,
        typer.Option(
            "--tagged", help="Find it by its label at its provider, in every region: the server's database was lost."
        ),
    ] = False,
    provider: ProviderOption = None,
    region: RegionOption = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End environments and prove that nothing of them is left.

    Work in the workspace that is in no commit, on no remote and was not pulled stops it, with a list of what would be
    lost; on a terminal you are asked whether to have it saved. The receipt names every resource and whether it is gone,
    asked for again after its removal.
    """
    if bool(env) == all_:
        raise UsageError("Name environments, or give --all", hint="fuelctl down ENV..., or fuelctl down --all")
    if not tagged and (provider or region):
        raise UsageError("--provider and --region say where --tagged looks", hint="give --tagged, or leave them out")
    if tagged and all_:
        raise UsageError("--tagged wants to know which", hint="fuelctl audit --all-regions shows them")
    if rescue and discard:
        raise UsageError("--rescue saves what --discard throws away", hint="give one of the two")
    client = connect()
    if tagged:
        found = _tagged(client, env or [], provider or [], region)
    else:
        # Of a team's, everybody sees all, and nobody ends them all by mistake.
        whose = None if client.embedded else me(client)
        found = client.environments(owner=whose)["environments"] if all_ else [find(client, ref) for ref in env or []]
    endings = [Ending(item) for item in {item["id"]: item for item in found}.values()]
    if not endings:
        emit({"environments": []}) if as_json else say("No active environments.")
        return
    live = [ending for ending in endings if not _ending.has_ended(ending.environment)]
    if live and not yes:
        _ending.ask_about(live, all_=all_)
    take_up_credentials(ending.environment for ending in live)
    if not discard:
        # Somebody is going to look for work in them.
        _ingress.open_servers_doors(client, [ending.environment for ending in live])
    _ending.begin(client, live, discard=discard, rescue=rescue)
    ask = not yes and not as_json and can_ask()
    for ending in endings:
        _ending.see_off(client, ending, as_json=as_json, ask=ask)
    if as_json:
        emit({"environments": [_ending.document(ending) for ending in endings]})
    if any(ending.failed for ending in endings):
        raise typer.Exit(1)


def _tagged(client: Client, refs: list[str], providers: list[str], region: str | None) -> list[dict[str, Any]]:
    """The environments as their labels say them; the server knows them from here on."""
    places = _places.settle(client, providers, region, all_regions=region is None)
    note(f"Looking for {', '.join(refs)} by its label.")
    found: list[dict[str, Any]] = client.adopt(refs, **places)["environments"]
    return found
