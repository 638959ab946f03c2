# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings before an end: one event each, whether or not the machine could be told."""

from __future__ import annotations

from collections.abc import Iterable

from fuelctl.environments import idle_work
from fuelctl.environments.clock import Now
from fuelctl.environments.core import Core
from fuelctl.environments.registry import lease_of
from fuelctl.store import events
from fuelctl.store.events import NewEvent
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.ulids import ulid_of

#: Environment id -> the line for its terminals, and what is to be remembered once it was written there.
Notices = dict[str, tuple[str, dict[str, float]]]


def due(rows: Iterable[EnvironmentRow], now: Now, period: float) -> Notices:
    """Where an end is near. `period`: seconds until they are asked about again."""
    found = {row.id: idle_work.notice(row, now, lease_of(row).seconds_left(now), period) for row in rows}
    return {one_id: notice for one_id, notice in found.items() if notice is not None}


def tell(core: Core, notices: Notices) -> None:
    """Log `remote.warning` `{by: ttl|idle, message}` for each, once for each end however often it is asked for."""
    if not notices:
        return
    with core.write(durable=False) as session:
        for one_id, (line, about) in notices.items():
            by, moment = next(iter(about.items()))
            told = NewEvent(
                "remote.warning",
                {"by": by, "message": line.removeprefix("[fuelctl] ")},
                core.clock().wall,
                # The same end is warned of under the same id.
                ulid_of(max(0.0, moment), "warning", one_id, by, moment),
            )
            events.append(session, one_id, [told])
