# SPDX-License-Identifier: GPL-3.0-or-later
"""What the views work with, and how they come by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from flask import current_app

from fuelctl.config import Settings
from fuelctl.environments.access import Authorize, LetIn
from fuelctl.environments.audit import Look, Seen
from fuelctl.environments.core import Core, MoveDeadline, Start
from fuelctl.server.rates import Rates

EXTENSION = "fuelctl"


@dataclass(frozen=True)
class Parts:
    """What the views work with.

    `engine`: which Docker engine provider `local` means here.
    `audit`: what a provider shows that carries our label. `auditable`: those that can be asked, given those in use.
    `authorize`: have an environment's machine let an address in.
    `reap`: one round of the reaper; `{checked, ended, failed}`.
    `look`: have the machines asked soon, because somebody wants to know.
    `embedded`: on a Unix socket whose file mode is the guard; otherwise `token` is asked for.
    """

    core: Core
    start: Start
    settings: Settings
    move_deadline: MoveDeadline = lambda _row, _expires_at: None
    authorize: Authorize = lambda _row, _address: LetIn([], [])
    embedded: bool = True
    token: str | None = None
    stop: Callable[[float], list[str]] = lambda _wait: []
    stopping: Callable[[], bool] = lambda: False
    engine: str = ""
    draining: Callable[[], bool] = lambda: False
    operations: Callable[[], list[str]] = list
    look: Callable[[], None] = lambda: None
    audit: Look = lambda _place: Seen([], [])
    auditable: Callable[[set[str]], list[str]] = sorted
    reap: Callable[[], dict[str, int]] = dict
    rates: Rates = field(default_factory=Rates)


def parts() -> Parts:
    """The parts of the app that serves this request."""
    return cast("Parts", current_app.extensions[EXTENSION])
