# SPDX-License-Identifier: GPL-3.0-or-later
"""Money in a person's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fuelctl._shared._prices._offer import Offer, money
from fuelctl.cli._output import clean


def words(offered: Offer) -> str:
    """An offer in a person's words: `0.21 USD/h (m7i.xlarge in eu-central-1; estimate: not verified ...)`."""
    if offered.hourly is None:
        return f"not known: {clean(offered.reason)}"
    what = clean(f"{offered.type} in {offered.region}") if offered.type else "your own machine"
    estimate = f"; estimate: {clean(offered.reason)}" if offered.estimate else ""
    about = "about " if offered.estimate else ""
    most = ""
    if offered.ceiling is not None and offered.ceiling > offered.hourly:
        most = f", at most {money(offered.ceiling)}"
    return f"{about}{money(offered.hourly)} {offered.currency}/h{most} ({what}{estimate})"


def spent(environment: Mapping[str, Any]) -> str:
    """What it has cost so far: `0.00 USD`, with `~` before an estimate, `-` when unknown."""
    cost = environment.get("cost") or {}
    if cost.get("total") is None:
        return "-"
    about = "~" if cost.get("estimate") else ""
    return f"{about}{money(float(cost['total']))} {clean(cost.get('currency') or '')}".strip()


def spent_at_rate(environment: Mapping[str, Any]) -> str:
    """The same, and the rate while something is billed."""
    cost = environment.get("cost") or {}
    rate = cost.get("hourly")
    at_rate = f", {money(float(rate))} per hour now" if rate else ""
    estimate = " (an estimate: see fuelctl prices show)" if cost.get("estimate") else ""
    return f"{spent(environment)}{at_rate}{estimate}"
