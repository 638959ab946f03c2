# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Strategies of a deployment, and which one an environment gets where nobody says. Only data.

Conditions are as in `data_plan`. Source (2026-11-21):
https://fly.io/docs/reference/configuration/#picking-a-deployment-strategy
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple


class Needs(NamedTuple):
    """What a strategy cannot do without, and why."""

    when: str
    reason: str


class Strategy(NamedTuple):
    """A strategy of `fly deploy --strategy`: what it does, what it needs, its own flags, what it costs."""

    what: str
    trade_off: str
    needs: Tuple[Needs, ...] = ()
    flags: Tuple[str, ...] = ()


NO_VOLUMES = (
    "a volume is attached to one Machine only: the new Machine that this strategy starts beside the old one would have"
    " no data, so flyctl refuses it for Machines with volumes"
)

STRATEGIES: Dict[str, Strategy] = {
    "bluegreen": Strategy(
        "A new Machine starts beside every old one; traffic moves when all of them pass their checks; then the old go.",
        "No request meets half a release, and a failed one changes nothing. Twice the Machines run meanwhile.",
        (
            Needs("!volumes", NO_VOLUMES),
            Needs("checks", "it moves traffic when health checks pass, and there is none in the configuration"),
        ),
    ),
    "canary": Strategy(
        "One new Machine starts and must be healthy; then the others are replaced as in a rolling deployment.",
        "A release that cannot start hurts nobody. Afterwards old and new serve side by side for a while.",
        (Needs("!volumes", NO_VOLUMES),),
    ),
    "rolling": Strategy(
        "Machines are replaced in turn, the next when the last one is healthy.",
        "Needs no more Machines and works with volumes. A single Machine is away while it is replaced; several serve"
        " old"
        " and new side by side.",
        flags=("--max-unavailable", "1"),
    ),
    "immediate": Strategy(
        "All Machines are replaced at once; health checks are not waited for.",
        "The fastest, and the way back in an emergency. A bad release is everywhere at once.",
    ),
}

#: Which strategy an environment gets where nobody says: the first whose condition holds and that is possible.
PREFERENCES: Tuple[Tuple[str, str, str], ...] = (
    ("dev", "immediate", "in dev nobody is served, so speed counts"),
    ("volumes", "rolling", "the app has volumes, so bluegreen and canary are not possible"),
    ("machine_checks", "canary", "machine_checks try the first new Machine before any other is touched"),
    ("checks", "bluegreen", "there are health checks, so a release is taken whole or not at all"),
    ("", "rolling", "it needs nothing, and is flyctl's own default"),
)
