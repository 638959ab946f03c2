# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments that end at about the same time at one place: one playbook for all of them.

Each keeps its own workflow, journal, fence and receipt. Whoever of them cannot be ended together with the others, for
whatever reason, is ended alone afterwards, and is told of nothing by this.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from fuelctl import _crashpoints, paths
from fuelctl._shared._receipt import receipt as receipt_of
from fuelctl.runner import RunResult
from fuelctl.store.environments import FencedOffError
from fuelctl.store.events import NewEvent
from fuelctl.workflows.run import Run, place_of, play, where

_logger = logging.getLogger(__name__)


def together(run: Run) -> dict[str, Any] | None:
    """`{end: terminated, receipt}` when it was ended together with others; None when it is to be ended alone.

    Only where nobody asks what would be lost: one environment's unsaved work must not keep the others.
    """
    row = run.journal.row()
    plant = run.plant
    if not row.operation_options.get("discard") or not plant.traits(row.provider["name"]).ends_several:
        return None
    # Of one owner: they share what lets people in.
    place = json.dumps([place_of(row), where(row), row.owner, row.attempt], sort_keys=True)
    return plant.batches.join(place, row.id, run, _end_all, run.should_stop)


def _end_all(members: dict[str, Run]) -> dict[str, dict[str, Any]]:
    """Environment id -> its outcome, of those that are proven gone."""
    first = next(iter(members.values()))
    row = first.journal.row()
    ids = sorted(members)

    def told(items: list[dict[str, Any]]) -> None:
        for run in members.values():
            try:
                run.journal.log([NewEvent(item["type"], item["data"], item["at"]) for item in items])
                if any(item["type"] == "remote.stage" and item["data"]["stage"] == "destroy" for item in items):
                    run.journal.destroying()
            except FencedOffError:
                # Another run has taken over one of them: that is no reason for the others to stop.
                if run is first:
                    raise
        for item in items:
            if item["type"] == "remote.stage":
                _crashpoints.reach(f"stage.{item['data']['stage']}.{item['data']['state']}")

    with first.turn(row) as mine:
        if not mine:
            return {}
        result = play(
            first.plant,
            "down",
            {
                **where(row),
                "remote_owner": row.owner,
                "remote_attempt": row.attempt,
                "remote_environment_ids": ids,
                "remote_discard": True,
            },
            of=ids,
            record=paths.run_folder(row.id, first.journal.operation_id),
            should_stop=first.should_stop,
            on_events=told,
        )
    if result.status != "ok":
        _logger.warning("%d environments could not be ended together: %s", len(ids), result.failure)
        return {}
    found = {one: _receipt(result, one, ids) for one in ids}
    return {one: {"end": "terminated", "receipt": each} for one, each in found.items() if each and each["complete"]}


def _receipt(result: RunResult, mine: str, ids: list[str]) -> dict[str, Any] | None:
    """Of the receipt for all, what is this environment's, and what it shared with the others."""
    whole = result.scrub(result.of("provider_receipt").get("receipt"))
    if not whole:
        return None
    owners: dict[tuple[str, str], str] = {}
    for results in result.results.values():
        for one in results:
            for owner, each in (one.get("receipts") or {}).items():
                owners |= {(line["kind"], line["name"]): owner for line in each.get("resources") or []}

    def is_mine(line: dict[str, str]) -> bool:
        named = [one for one in ids if one.lower() in line["name"].lower()]
        owner = owners.get((line["kind"], line["name"])) or (named[0] if len(named) == 1 else mine)
        return owner == mine

    made: dict[str, Any] = receipt_of([line for line in whole["resources"] if is_mine(line)])
    return {**made, "checked_at": whole["checked_at"]}
