# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of an `up` whose source is a rescue: what its environment was made of, with what is asked for today."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fuelctl._shared import _blueprint
from fuelctl._shared._errors import UsageError
from fuelctl._shared._identity import check_environment_name
from fuelctl.cli import _plan, _provider, _rescue, _secrets
from fuelctl.client import Client


class Options(Protocol):
    """Of what was asked for, what counts here."""

    @property
    def from_rescue(self) -> str | None: ...
    @property
    def location(self) -> str: ...
    @property
    def branch(self) -> str | None: ...
    @property
    def clean(self) -> bool: ...
    @property
    def name(self) -> str | None: ...
    @property
    def blueprint(self) -> Path | None: ...
    @property
    def provider(self) -> _provider.Asked: ...
    @property
    def ttl(self) -> str | None: ...
    @property
    def idle(self) -> str | None: ...
    @property
    def when_idle(self) -> str | None: ...
    @property
    def idle_discard(self) -> bool: ...
    @property
    def rescue(self) -> bool | None: ...
    @property
    def max_price_hour(self) -> float | None: ...
    @property
    def secrets(self) -> Sequence[str]: ...
    @property
    def secret_files(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Place:
    """Where in a repository work begins; empty for its top."""

    folder: str


@dataclass
class Saved:
    """The repository of a rescue, as a plan shows one."""

    name: str
    url: str | None
    branch: str | None
    commit: str
    changed: list[str]
    notes: list[str]
    described: Place


def make_plan(client: Client, options: Options) -> _plan.Plan:
    """Ask the server what was saved, change nothing."""
    if options.location != "." or options.branch is not None or options.clean:
        raise UsageError("--from-rescue is the source", hint="leave out path, --branch and --clean")
    if options.name is not None:
        check_environment_name(options.name)
    found = client.rescue(str(options.from_rescue))
    if options.blueprint is not None:
        asked, origin = _blueprint.load(options.blueprint), str(options.blueprint)
    else:
        asked, origin = _blueprint.from_dict(_of(found), "rescue"), f"that of {found['name']}"
    ttl_seconds, idle_seconds = _plan.lease(asked, options.ttl, options.idle)
    blueprint = _blueprint.to_dict(asked)
    _plan.check_provider(options.provider.name or blueprint["provider"]["name"])
    _provider.settle(blueprint, options.provider, foreign=False)
    _plan.when_idle(blueprint, options.when_idle)
    wish = options.name or str(found["name"])
    return _plan.Plan(
        name=wish,
        base_name=wish,
        named=options.name is not None,
        repository=_saved(found),
        blueprint=blueprint,
        origin=origin,
        ttl_seconds=ttl_seconds,
        idle_seconds=idle_seconds,
        idle_discard=options.idle_discard,
        rescue=blueprint["rescue"] if options.rescue is None else options.rescue,
        from_rescue=found["id"],
        offer=_plan.offer(blueprint, options.max_price_hour),
        max_price_hour=options.max_price_hour,
        secrets=_secrets.gather(list(options.secrets), list(options.secret_files), blueprint["secrets"], os.environ),
    )


def _of(found: dict[str, Any]) -> dict[str, Any]:
    """Its environment's blueprint, with the provider's options that were used."""
    blueprint, provider = dict(found["blueprint"]), found.get("provider") or {}
    if provider.get("name") == blueprint["provider"]["name"]:
        blueprint["provider"] = {**blueprint["provider"], "options": dict(provider.get("options") or {})}
    return blueprint


def _saved(found: dict[str, Any]) -> Saved:
    repository = found.get("repository") or {}
    return Saved(
        name=str(repository.get("name") or found["name"]),
        url=repository.get("url"),
        branch=found.get("branch"),
        commit=str(found.get("commit") or ""),
        changed=[""] * int((found.get("counts") or {}).get("files") or 0),
        described=Place(str(repository.get("folder") or "")),
        notes=[
            f"put back from rescue {found['id']}: {_rescue.content_words(found.get('counts'))}",
            *(line.strip() for line in _rescue.missing_lines(found.get("left_out"))),
        ],
    )
