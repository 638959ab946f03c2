# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments on their way out: asked about, followed to the receipt, and told of. What `down` and `audit` share."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import typer

from fuelctl import provider_traits
from fuelctl.cli import _ask, _prices, _progress, _receipt, _rescue
from fuelctl.cli._environment import ENDED, address, now, stalled, status_words, uptime
from fuelctl.cli._output import clean, duration, note, say, table
from fuelctl.client import Client

#: What can be done about work that would be lost; the last one is nothing.
_ANSWERS = ("rescue", "discard", "cancel")


@dataclass
class Ending:
    """One environment on its way out."""

    environment: dict[str, Any]
    after: int = 0
    refused: dict[str, Any] | None = None
    receipt: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return clean(self.environment["name"])

    @property
    def failed(self) -> bool:
        return self.refused is not None or not self.receipt.get("complete")


def has_ended(environment: dict[str, Any]) -> bool:
    """Whether there is nothing left to end; one in error that is held for a look (no receipt) can be ended."""
    return environment["status"] in ENDED and environment.get("receipt") is not None


def ask_about(live: list[Ending], *, all_: bool) -> None:
    """One question, after a table."""
    at = now()
    rows = [
        [
            item["id"],
            clean(item["name"]),
            clean(item["owner"]),
            status_words(item),
            address(item),
            duration(uptime(item, at)),
        ]
        for item in (ending.environment for ending in live)
    ]
    for line in table(("ID", "NAME", "OWNER", "STATUS", "ADDRESS", "UPTIME"), rows):
        note(line)
    disks = sum(provider_traits.of(str(ending.environment["provider"]["name"])).stops for ending in live)
    if len(live) == 1 and not all_:
        volume = ", destroy its volume with all that is on it," if disks else ""
        _ask.confirm(f"End {live[0].name}{volume} and remove everything it owns?")
    else:
        which = "this" if len(live) == 1 else f"these {len(live)}"
        volumes = f", destroy {disks} volume{'s' * (disks > 1)} with all that is on them," if disks else ""
        _ask.confirm(f"End {which}{volumes} and remove everything owned?")


def cursor(client: Client, environment_id: str) -> int:
    """The end of the event log as it stands, so that an earlier refusal is not taken for this one's."""
    after = 0
    while True:
        reply = client.events(environment_id, after=after)
        if not reply["events"]:
            return after
        after = int(reply["cursor"])


def begin(client: Client, endings: Iterable[Ending], *, discard: bool, rescue: bool = False) -> None:
    """Ask for the end of each; none is waited for."""
    for ending in endings:
        ending.after = cursor(client, ending.environment["id"])
        client.terminate(ending.environment["id"], discard=discard, rescue=rescue)


def see_off(client: Client, ending: Ending, *, as_json: bool, ask: bool = False) -> None:
    """Follow one environment to its end, or to its refusal; with `ask`, a person is asked what to do about that."""
    if not has_ended(ending.environment):
        _follow_to_its_end(client, ending, as_json=as_json, ask=ask)
    elif not as_json:
        note(f"{ending.name} had ended already.")
    if ending.refused is not None:
        if not as_json and not ask:
            for line in [*refusal_lines(ending.name, ending.refused), *_rescue.lines_of(ending.environment)]:
                note(line)
        return
    if stalled(ending.environment):
        # The way in is kept: until the rest is gone, somebody may have to look.
        ending.receipt = {**(ending.environment.get("receipt") or {"resources": []}), "complete": False}
        for line in stalled_lines(ending.environment):
            note(line)
    else:
        ending.receipt = _receipt.complete_receipt(ending.environment)
    if not as_json:
        say(f"{ending.name} ({ending.environment['id']}): {status_words(ending.environment)}")
        for line in _receipt.receipt_lines(ending.receipt):
            say(line)
        for line in _rescue.lines_of(ending.environment):
            say(line)
        say(f"Cost: {_prices.spent_at_rate(ending.environment)}.")


def _follow_to_its_end(client: Client, ending: Ending, *, as_json: bool, ask: bool) -> None:
    try:
        _follow(client, ending, as_json=as_json)
        while ask and ending.refused is not None and _begin_otherwise(client, ending):
            _follow(client, ending, as_json=as_json)
    except KeyboardInterrupt:
        note(f"\nDetached: {ending.name} is still being ended. See how it went: fuelctl status {ending.name}")
        raise typer.Exit(130) from None


def _begin_otherwise(client: Client, ending: Ending) -> bool:
    """Show what would be lost, and ask: whether its end was begun anew, with its work saved first or given up."""
    name = ending.name
    for line in [*lost_lines(name, ending.refused or {}), *_rescue.lines_of(ending.environment)]:
        note(line)
    answer = _ask.choose(
        f"Rescue it and end {name}, end it and discard that, or cancel?", _ANSWERS, default=_ANSWERS[-1]
    )
    if answer == _ANSWERS[-1]:
        note(ways_on(name, ending.refused or {}))
        return False
    ending.refused = None
    begin(client, [ending], discard=answer == "discard", rescue=answer == "rescue")
    return True


def _follow(client: Client, ending: Ending, *, as_json: bool) -> None:
    from fuelctl.cli._view import make_view

    if not as_json:
        note(f"Ending {ending.name}.")
    with make_view(sys.stderr) as view:

        def show(event: _progress.Event) -> None:
            if event["type"] == "remote.terminate.refused":
                ending.refused = dict(event.get("data") or {})
            view.event(event)

        ending.environment = _progress.follow(
            client,
            ending.environment["id"],
            show,
            lambda item: ending.refused is not None or has_ended(item) or stalled(item),
            after=ending.after,
        )


def refusal_lines(name: str, refused: dict[str, Any]) -> list[str]:
    """What would be lost, and the ways on."""
    return [*lost_lines(name, refused), ways_on(name, refused)]


def lost_lines(name: str, refused: dict[str, Any]) -> list[str]:
    """What would be lost."""
    lines = [f"{name} was not ended: work in it would be lost."]
    work = refused.get("work") or {}
    if work.get("unknown"):
        lines.append(f"  its work cannot be looked at: {clean(work['unknown'])}")
    titles = {"uncommitted": "not committed", "unpushed": "committed, but nowhere else", "stashes": "stashed"}
    for key, title in titles.items():
        items = work.get(key) or []
        if items:
            lines.append(f"  {title}:")
            lines += [f"    {_item(item)}" for item in items[:20]]
            if len(items) > 20:
                lines.append(f"    and {len(items) - 20} more")
    if not any(work.get(key) for key in titles) and refused.get("message"):
        lines.append(f"  {clean(refused['message'])}")
    return lines


def ways_on(name: str, refused: dict[str, Any]) -> str:
    """What can be done about it."""
    work = refused.get("work") or {}
    home = f"Bring it home: fuelctl pull {name}"
    if work.get("uncommitted") or work.get("stashes"):
        # `pull` brings commits only.
        home = f"Commit it inside (fuelctl ssh {name}), then bring it home: fuelctl pull {name}"
    return f"{home}. Or have it saved: fuelctl down {name} --rescue. Throw it away: fuelctl down {name} --discard"


def stalled_lines(environment: dict[str, Any]) -> list[str]:
    """Why an ending did not succeed yet; the reaper tries again by itself."""
    name = clean(environment["name"])
    lines = [f"error: {name} could not be ended completely yet; the server tries again by itself"]
    for condition in environment.get("conditions") or []:
        if condition.get("type") in ("termination_incomplete", "cleanup_incomplete"):
            lines.append(f"  {clean(condition.get('message') or '')}")
            hint = (condition.get("details") or {}).get("hint")
            lines += [f"  hint: {clean(hint)}"] if hint else []
    return [*lines, f"  see how it goes: fuelctl status {name}"]


def _item(item: Any) -> str:
    if isinstance(item, dict):
        return clean("  ".join(str(value) for value in item.values() if value not in (None, "")))
    return clean(item)


def document(ending: Ending) -> dict[str, Any]:
    """For `--json`."""
    if ending.refused is not None:
        return {**ending.environment, "refused": ending.refused}
    return {**ending.environment, "receipt": ending.receipt}
