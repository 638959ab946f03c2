# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API, the reaper and the observer know of the engine, wherever it runs; and its records."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Set
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dbos import DBOS, DBOSClient

from fuelctl.environments import about
from fuelctl.environments.core import Core
from fuelctl.environments.registry import renew_operation
from fuelctl.environments.states import Operation
from fuelctl.store.models import EnvironmentRow

if TYPE_CHECKING:
    from dbos import WorkflowStatus

_logger = logging.getLogger(__name__)
#: The newest version of workflows. Raised when the steps of one change: what was begun goes on by its old body, which
#: stays registered under its old name, and only workers that know the new one listen to the new one's queue.
VERSION = 1
#: DBOS's own idea of a version: always the same, so that a newer fuelctl takes up what an older one began.
APPLICATION_VERSION = "1"
_BATCH = 500
#: DBOS will do nothing more with a workflow in one of these.
OVER = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})


def queue(workflow: str, version: int = VERSION) -> str:
    """The queue of this workflow in this version, on a team's Postgres.

    What makes environments has one of its own: a worker takes no more of it than it has slots, and leaves the rest to
    others. Of what ends them it takes all that it finds, because ends that come together are one playbook.
    """
    return f"{'make' if workflow.partition('.')[0] == Operation.PROVISION else 'work'}.{version}"


class Work(ABC):
    """Operations of environments, started once by their id."""

    core: Core

    @abstractmethod
    def start(self, operation: str, environment_id: str, operation_id: str) -> None:
        """Have the operation done; nothing happens when it was started before. Returns at once."""

    @abstractmethod
    def running(self) -> list[str]:
        """Ids of the operations under way."""

    @abstractmethod
    def _records(self) -> type[DBOS] | DBOSClient:
        """Where the engine's records are read."""

    def resume(self, row: EnvironmentRow) -> None:
        """Make sure that the row's operation runs: start it, or a new one in its place when it ended without a word."""
        if row.operation is None or row.operation_id is None:
            return
        operation_id: str | None = row.operation_id
        ended = self._ended(row.operation_id)
        if ended is not None:
            words = "%s of %s ended as %s; starting it anew"
            _logger.warning(words, row.operation, row.id, ended, extra=about.of(row))
            operation_id = renew_operation(self.core, row.id, row.operation_id)
        if operation_id is not None:
            self.start(row.operation, row.id, operation_id)

    def forget(self, before: float, keep: Set[str]) -> int:
        """Remove the records of workflows that began before `before` (epoch seconds) and are over; how many."""
        end_time = datetime.fromtimestamp(before, UTC).isoformat()
        records = self._records()
        count = 0
        while True:
            found = records.list_workflows(
                status=sorted(OVER), end_time=end_time, limit=_BATCH + len(keep), load_input=False, load_output=False
            )
            over = [one.workflow_id for one in found if one.workflow_id not in keep]
            if not over:
                return count
            records.delete_workflows(over)
            count += len(over)

    def _ended(self, operation_id: str) -> str | None:
        """How its workflow ended, by the records; None when it has not, or was never begun."""
        status = self._status(operation_id)
        return status.status if status is not None and status.status in OVER else None

    def _status(self, operation_id: str) -> WorkflowStatus | None:
        found = self._records().list_workflows(workflow_ids=[operation_id], load_input=False, load_output=False)
        return found[0] if found else None
