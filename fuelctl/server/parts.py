# SPDX-License-Identifier: GPL-3.0-or-later
"""What the views work with, and how they come by it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

from flask import current_app, g

from fuelctl.config import Settings
from fuelctl.environments.access import Authorize, LetIn
from fuelctl.environments.admission import Admit, nobody_admits
from fuelctl.environments.audit import Look, Seen
from fuelctl.environments.core import Core, MoveDeadline, Start
from fuelctl.environments.heartbeats import Heartbeats
from fuelctl.environments.own_token import OwnTokens
from fuelctl.environments.power import Power, nobody_can
from fuelctl.environments.volume import AskVolume, nobody_asks
from fuelctl.server.hand_over import Follow
from fuelctl.server.held import Held
from fuelctl.server.rates import Rates
from fuelctl.store.audit_log import Actor

EXTENSION = "fuelctl"
#: Refused tokens of one address: so many at once, and one in so many seconds after that.
FAILURES = 10.0
FAILURES_PER_SECOND = 0.2


@dataclass(frozen=True)
class Parts:
    """What the views work with.

    `engine`: which Docker engine provider `local` means here.
    `audit`: what a provider shows that carries our label. `auditable`: those that can be asked, given those in use.
    `authorize`: have an environment's machine let an address in.
    `admit`: have a public key open an environment. `power`: have its machine stopped or started.
    `ask_volume`: have the disk that outlives its machine shown, extended or snapshotted.
    `reap`: one round of the reaper; `{checked, ended, failed}`.
    `webhooks`: who is told what happens. `try_webhooks`: send a test to the one of this name, or to all.
    `follow`: who serves followers; None for this process itself.
    `look`: have the machines asked soon, because somebody wants to know.
    `embedded`: on a Unix socket whose file mode is the guard; otherwise everybody brings a token of their own.
    `heartbeats`: what machines tell by themselves. `own_tokens`: whose an environment's token is.
    `held`: room for requests that wait for events.
    `began`: when this process did, on the monotonic clock.
    `rates`: how much an environment may say. `failures`: how often an address may come with a token that is none.
    """

    core: Core
    start: Start
    settings: Settings
    move_deadline: MoveDeadline = lambda _row, _expires_at: None
    authorize: Authorize = lambda _row, _address: LetIn([], [])
    admit: Admit = nobody_admits
    power: Power = nobody_can
    ask_volume: AskVolume = nobody_asks
    embedded: bool = True
    stop: Callable[[float], list[str]] = lambda _wait: []
    stopping: Callable[[], bool] = lambda: False
    engine: str = ""
    draining: Callable[[], bool] = lambda: False
    operations: Callable[[], list[str]] = list
    look: Callable[[], None] = lambda: None
    audit: Look = lambda _place: Seen([], [])
    auditable: Callable[[set[str]], list[str]] = sorted
    reap: Callable[[], dict[str, int]] = dict
    webhooks: Callable[[], list[dict[str, Any]]] = list
    try_webhooks: Callable[[str | None], list[dict[str, Any]]] = lambda _name: []
    follow: Follow | None = None
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    held: Held = field(default_factory=Held)
    own_tokens: OwnTokens = field(default_factory=OwnTokens)
    began: float = field(default_factory=time.monotonic)
    rates: Rates = field(default_factory=Rates)
    failures: Rates = field(default_factory=lambda: Rates(burst=FAILURES, per_second=FAILURES_PER_SECOND))


def parts() -> Parts:
    """The parts of the app that serves this request; what is written by them is written on behalf of who sent it."""
    own = g.get(EXTENSION)
    return cast("Parts", current_app.extensions[EXTENSION] if own is None else own)


def act_for(actor: Actor) -> None:
    """From here on in this request, `parts` work on behalf of `actor`."""
    given = parts()
    setattr(g, EXTENSION, replace(given, core=replace(given.core, actor=actor)))
