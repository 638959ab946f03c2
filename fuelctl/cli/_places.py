# SPDX-License-Identifier: GPL-3.0-or-later
"""Where to look for what carries our label: which providers, asked with which settings, in which regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

import typer

from fuelctl.cli import _context, _provider
from fuelctl.client import Client

#: Clouds, which are asked with what this shell says of them when no provider is named.
_CLOUDS = ("ec2", "fly")

ProviderOption = Annotated[
    list[str] | None,
    typer.Option("--provider", metavar="NAME", help="Look there only: local, ec2, fly. Repeat it for several."),
]
RegionOption = Annotated[
    str | None,
    typer.Option("--region", metavar="REGION", help="Look in this region, beside those with known environments."),
]


class Places(TypedDict):
    """As `Client.audit` and `Client.adopt` take it."""

    providers: list[str]
    options: dict[str, dict[str, Any]]
    all_regions: bool


def settle(client: Client, providers: Sequence[str], region: str | None, *, all_regions: bool) -> Places:
    """What to ask, from options, settings and the environment; the server can ask it with this shell's credentials.

    FuelError when it cannot: another Docker engine, or a library that is missing.
    """
    named = list(dict.fromkeys(providers))
    if client.embedded:
        for name in named or ["local"]:
            _context.check_engine(name)
        if not named:
            _context.take_up_credentials({"provider": {"name": name}} for name in _CLOUDS)
    options = {name: _provider.usual(name, region) for name in named or ["local", *_CLOUDS]}
    return {
        "providers": named,
        "options": {name: given for name, given in options.items() if given},
        "all_regions": all_regions,
    }
