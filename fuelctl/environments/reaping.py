# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the reaper by those in other processes: when it last went round, and that it is asked to do so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fuelctl.environments.core import Core
from fuelctl.store.models import SettingRow
from fuelctl.store.notices import Channel, tell

_SETTING = "reaper"
_ASKED = "reaper_asked"
#: So many periods without a cycle are worth a word, and so many seconds at least: one may take a while.
LATE_PERIODS = 3
LATE_SECONDS = 30.0


def ask(core: Core) -> int:
    """Have the reaper go round now, in whatever process it is; the number to look for in what it reports."""
    with core.write() as session:
        row = session.get(SettingRow, _ASKED, with_for_update=True)
        number = int(row.value["number"]) + 1 if row is not None else 1
        session.merge(SettingRow(name=_ASKED, value={"number": number}))
        tell(session, Channel.REAPER)
    return number


def asked(core: Core) -> int:
    """How often it was asked to; what a cycle reports is the number that it began with."""
    with core.database.read() as session:
        row = session.get(SettingRow, _ASKED)
        return int(row.value["number"]) if row is not None else 0


def last(core: Core) -> dict[str, Any]:
    """What the last cycle reported."""
    with core.database.read() as session:
        row = session.get(SettingRow, _SETTING)
        return dict(row.value) if row is not None else {}


def report(core: Core, at: str | None, seconds: float, number: int, counts: Mapping[str, int]) -> None:
    """Write down a cycle: `counts` are `{checked, ended, failed}`, of which sums are kept as well."""
    with core.database.write(durable=False) as session:
        row = session.get(SettingRow, _SETTING) or SettingRow(name=_SETTING, value={})
        before = row.value.get("totals") or {}
        totals = {name: int(before.get(name, 0)) + count for name, count in {**counts, "cycles": 1}.items()}
        row.value = {"last_cycle_at": at, **counts, "seconds": round(seconds, 6), "asked": number, "totals": totals}
        session.add(row)


def shown(value: Mapping[str, Any], now: float, period: float) -> dict[str, Any]:
    """`{last_cycle_at, age_seconds, period_seconds, late, checked, ended, failed}`; late also when it never ran."""
    at = value.get("last_cycle_at")
    age = max(0.0, now - datetime.fromisoformat(at).timestamp()) if at else None
    late = age is None or age > max(LATE_PERIODS * period, LATE_SECONDS)
    counts = {name: value.get(name) for name in ("checked", "ended", "failed")}
    return {"last_cycle_at": at, "age_seconds": age, "period_seconds": period, "late": late, **counts}
