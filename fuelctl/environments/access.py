# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may connect to an environment's machine, where its provider keeps everybody else out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fuelctl._shared._ec2._caller import check_address
from fuelctl.environments.core import Core
from fuelctl.environments.registry import ConflictError
from fuelctl.environments.states import ENTERABLE
from fuelctl.store import environments, events, resources
from fuelctl.store.models import EnvironmentRow


@dataclass(frozen=True)
class LetIn:
    """What the provider let in for an environment: networks, and the rules as a receipt is going to name them."""

    networks: list[str]
    resources: list[dict[str, str]]


#: `authorize(row, address)`: port 22 of its machine is open to it; MachineError when its provider could not be told.
Authorize = Callable[[EnvironmentRow, str], LetIn]

_guard = threading.Lock()
_busy: dict[str, tuple[threading.Lock, int]] = {}


def let_in(core: Core, row: EnvironmentRow, address: str, authorize: Authorize) -> EnvironmentRow:
    """Open the machine's door to this address, and journal it. ConflictError where it has none, or nobody may enter.

    Whoever dies before the journal is written leaves a rule that the machine's own tags tell of: its end closes it.
    """
    network = check_address(address)
    before = _door(row)
    with one_at_a_time(row.id):
        with core.database.read() as session:
            current = session.get_one(EnvironmentRow, row.id)
        if network in _networks(current) - before:
            # Another command of the same person asked for the same a moment ago.
            return current
        _door(current)
        made = authorize(current, network.partition("/")[0])
        with core.write() as session:
            current = session.get_one(EnvironmentRow, row.id, with_for_update=True)
            resources.record(session, row.id, current.attempt, made.resources, core.clock().wall)
            known = current.provider.get("let_in") or {}
            provider = {**current.provider, "let_in": {**known, "networks": made.networks}}
            environments.change(session, row.id, provider=provider)
            before_it, after_it = {"networks": sorted(_networks(current))}, {"networks": made.networks}
            core.audit(session, "environment.authorize_ip", row.id, before=before_it, after=after_it)
            events.append(session, row.id, [core.event("remote.update", {"let_in": made.networks})])
        with core.database.read() as session:
            return session.get_one(EnvironmentRow, row.id)


def check_enterable(row: EnvironmentRow) -> None:
    """ConflictError where nobody can be let in: it is not there yet, or not for long any more."""
    if row.status not in ENTERABLE or row.operation is not None:
        raise ConflictError(
            f"{row.name} is {row.status}" if row.status not in ENTERABLE else f"{row.name} is being ended",
            hint=f"see fuelctl status {row.name}",
            code="not_enterable",
            where=row.name,
        )


def _door(row: EnvironmentRow) -> set[str]:
    """The networks that are let in; ConflictError where nobody can be."""
    check_enterable(row)
    if not row.provider.get("let_in"):
        raise ConflictError(
            f"{row.name} has no rule that lets in single addresses",
            hint="its provider keeps nobody out, or who may connect was named when it was made",
            code="no_ingress_rule",
            where=row.name,
        )
    return _networks(row)


def _networks(row: EnvironmentRow) -> set[str]:
    known: dict[str, Any] = row.provider.get("let_in") or {}
    return set(known.get("networks") or [])


@contextmanager
def one_at_a_time(environment_id: str) -> Iterator[None]:
    """For one environment: several commands that find the door closed ask at once, and one opening is enough."""
    with _guard:
        lock, waiting = _busy.get(environment_id, (threading.Lock(), 0))
        _busy[environment_id] = lock, waiting + 1
    try:
        with lock:
            yield
    finally:
        with _guard:
            lock, waiting = _busy.pop(environment_id)
            if waiting > 1:
                _busy[environment_id] = lock, waiting - 1
