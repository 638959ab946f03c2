# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits per owner: how many environments live at a time; and, per calendar month (UTC), what was spent, what live
leases may still cost, and what is asked for."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import func, or_, select, text
from sqlalchemy.orm import Session

from fuelctl._shared._errors import FuelError
from fuelctl._shared._prices import _count, _offer
from fuelctl.environments.cost import running
from fuelctl.store import events
from fuelctl.store.events import NewEvent
from fuelctl.store.models import EnvironmentRow, SettingRow

#: Of the limit of a month: from here on it is told of.
NEAR = 0.8
_OWNER_LOCK = 0x66_75_65_6F


class BudgetError(FuelError):
    """The owner's limit does not allow it."""


@dataclass(frozen=True)
class Month:
    """An owner's month: `spent` so far, `promised` to the leases of environments that live, `asked` for besides."""

    spent: float
    promised: float
    asked: float = 0.0

    @property
    def total(self) -> float:
        """What it may come to."""
        return self.spent + self.promised + self.asked


def month(rows: list[EnvironmentRow], now: float) -> Month:
    """The figures of one owner's rows. Pure."""
    window = _count.month_of(now)
    spent = promised = 0.0
    for row in rows:
        machines = running(row.provider)
        spent += _count.spent(machines, now, window).amount
        if row.ended_at is None:
            # Before its machine was seen, an environment may still get the dearest that it was offered.
            offered = (row.provider.get("offer") or {}).get("ceiling") or 0.0
            hourly = _count.rate(machines).amount if machines else offered
            promised += _count.committed(hourly, now, row.expires_at, window)
    return Month(spent, promised)


def check(
    session: Session, owner: str, offered: _offer.Offer, limit: float, *, now: float, lease: tuple[float, float]
) -> Month:
    """The owner's month, were it allowed.

    BudgetError when a machine at this price, for the time of `lease` (from, to), may exceed the limit.
    """
    if math.isinf(limit) or offered.ceiling == 0:
        return Month(0.0, 0.0)
    if offered.ceiling is None:
        raise BudgetError(
            f"the monthly limit of {limit:.2f} USD cannot be held: {offered.reason or 'its price is not known'}",
            hint="ask AWS for its prices: fuelctl prices refresh",
            code="price_unknown",
        )
    window = _count.month_of(now)
    lives = or_(EnvironmentRow.ended_at.is_(None), EnvironmentRow.ended_at >= window[0])
    rows = session.scalars(select(EnvironmentRow).where(EnvironmentRow.owner == owner, lives))
    so_far = month(list(rows), now)
    asked = _count.committed(offered.ceiling, *lease, window)
    planned = replace(so_far, asked=asked)
    if planned.total > limit:
        raise BudgetError(
            f"{owner} may cost {planned.total:.2f} USD this month, more than the limit of {limit:.2f}: "
            f"{so_far.spent:.2f} so far, {so_far.promised:.2f} for the leases of what lives, {asked:.2f} for this",
            hint="end what is not needed (fuelctl ls), ask for a shorter --ttl or a smaller machine, or have "
            "control_plane.month_limit_usd raised",
            code="month_limit",
            details={"limit": limit, **asdict(planned)},
        )
    return planned


def warn(session: Session, row: EnvironmentRow, planned: Month, limit: float, now: float) -> None:
    """Log `remote.budget` with `row` when its owner comes near the limit by it; once a month."""
    if planned.total < NEAR * limit or math.isinf(limit):
        return
    words = f"{row.owner} may cost {planned.total:.2f} USD this month, {planned.total / limit:.0%} of the limit"
    _tell(session, row, "near", {"message": words, "limit": limit, **asdict(planned)}, now)


def refused(session: Session, owner: str, error: BudgetError, now: float) -> None:
    """The same when the limit has not allowed something, with the newest environment of this owner; once a month."""
    if error.code != "month_limit":
        return
    newest = select(EnvironmentRow).where(EnvironmentRow.owner == owner).order_by(EnvironmentRow.id.desc()).limit(1)
    row = session.scalars(newest).one_or_none()
    # Who has none has not used the limit up: what was asked for is too much by itself.
    if row is not None:
        _tell(session, row, "reached", {"message": error.message, **error.details}, now)


def _tell(session: Session, row: EnvironmentRow, state: str, told: dict[str, Any], now: float) -> None:
    month_began = _count.month_of(now)[0]
    name = f"budget.{hashlib.sha256(row.owner.encode()).hexdigest()[:32]}.{state}"
    known = session.get(SettingRow, name)
    about = {"month": month_began, "limit": told["limit"]}
    if known is not None and known.value == about:
        return
    session.merge(SettingRow(name=name, value=about))
    events.append(session, row.id, [NewEvent("remote.budget", {"state": state, "owner": row.owner, **told}, now)])


def take_turn(session: Session, owner: str) -> None:
    """One request of an owner at a time: two that are counted at once would both find the last place free."""
    if session.get_bind().dialect.name == "postgresql":
        key = {"kind": _OWNER_LOCK, "owner": owner}
        session.execute(text("SELECT pg_advisory_xact_lock(:kind, hashtext(:owner))"), key)


def check_count(session: Session, owner: str, most: float) -> None:
    """BudgetError when the owner has as many live environments as one may have."""
    if math.isinf(most):
        return
    live = EnvironmentRow.owner == owner, EnvironmentRow.ended_at.is_(None)
    count = session.scalar(select(func.count()).select_from(EnvironmentRow).where(*live)) or 0
    if count >= most:
        raise BudgetError(
            f"{owner} has {count} of at most {most:.0f} live environments already",
            hint="end one that is not needed (fuelctl ls, fuelctl down), or have "
            "control_plane.max_environments_per_owner raised",
            code="too_many_environments",
            details={"limit": int(most), "live": count},
        )
