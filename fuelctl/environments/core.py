# SPDX-License-Identifier: GPL-3.0-or-later
"""What everything in the control plane works on, handed over explicitly: database, safe, bell, clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from fuelctl._shared._errors import FuelError
from fuelctl.environments.clock import Clock, system_now
from fuelctl.store import audit_log, events
from fuelctl.store.audit_log import Actor
from fuelctl.store.bucket import Bucket
from fuelctl.store.database import Database
from fuelctl.store.events import Bell, NewEvent
from fuelctl.store.files import Files
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.secrets import Safe
from fuelctl.store.ulids import new_ulid

#: `start(operation, environment_id, operation_id)`: idempotent, returns at once.
Start = Callable[[str, str, str], None]
#: `move(row, expires_at)`: the environment's own watchdog waits until then; MachineError when it could not be told.
MoveDeadline = Callable[[EnvironmentRow, float], None]


class MachineError(FuelError):
    """The environment's machine could not be asked or told; nothing was changed."""


@dataclass(frozen=True)
class Core:
    """The control plane's parts below server and workflows."""

    database: Database
    safe: Safe
    #: Where rescues are put; None for where all files are.
    bucket: Bucket | None = None
    bell: Bell = field(default_factory=Bell)
    clock: Clock = system_now
    #: This server process: tells its own claims from a dead one's.
    instance: str = field(default_factory=new_ulid)
    #: Idempotency keys of requests that failed here and could not be let go of in the database: its disk was full.
    dropped: set[str] = field(default_factory=set)
    #: On whose behalf: who sent the request that is being answered, or the control plane itself.
    actor: Actor = field(default_factory=Actor)

    @property
    def files(self) -> Files:
        """What every process of this control plane can reach."""
        return Files(self.database, self.safe, bucket=self.bucket)

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Session]:
        """A transaction; readers of the event log are woken when it has been committed."""
        with self.database.write(durable=durable) as session:
            # Before any row: of two transactions that take row and log in two orders, one would be broken off.
            events.in_order(session)
            yield session
        self.bell.ring()

    def event(self, type_: str, data: dict[str, Any] | None = None, *, at: float | None = None) -> NewEvent:
        """An event of now (or `at` epoch seconds)."""
        return NewEvent(type_, data or {}, self.clock().wall if at is None else at)

    def audit(
        self,
        session: Session,
        action: str,
        subject: str,
        *,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
        outcome: str = audit_log.DONE,
    ) -> None:
        """A row of the audit log, in the transaction of the change. No secrets in `before` and `after`."""
        entry = audit_log.Entry(self.actor, action, subject, outcome, before, after)
        audit_log.append(session, entry, self.clock().wall)
