# SPDX-License-Identifier: GPL-3.0-or-later
"""The durable execution engine (DBOS): workflows started once by id, resumed after a crash at the step they were in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from datetime import UTC, datetime

from dbos import DBOS, DBOSConfig, SetWorkflowID

from fuelctl import _crashpoints
from fuelctl.environments.registry import renew_operation
from fuelctl.environments.states import Operation
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.provision import provision
from fuelctl.workflows.run import Plant
from fuelctl.workflows.terminate import terminate

_logger = logging.getLogger(__name__)
#: Fixed: a newer fuelctl takes up what an older one began. Raised only with a migration of work in flight.
WORKFLOW_VERSION = "1"
_EXECUTOR = "embedded"
_BATCH = 500
#: DBOS will do nothing more with a workflow in one of these.
_OVER = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})


class Engine:
    """Starts and resumes operations. One per process: DBOS is a singleton."""

    def __init__(self, plant: Plant, database_url: str) -> None:
        self.plant = plant
        self._running: set[str] = set()
        #: Those that an exception ended here: the engine's record may still say that they run, when it was that record
        #: that could not be written.
        self._fallen: set[str] = set()
        self._lock = threading.Lock()
        logging.getLogger("dbos").setLevel(logging.WARNING)
        config: DBOSConfig = {
            "name": "fuelctl",
            "system_database_url": database_url,
            "application_version": WORKFLOW_VERSION,
            "executor_id": _EXECUTOR,
            "log_level": "WARNING",
            "enable_otlp": False,
            "scheduler_polling_interval_sec": 3600.0,
        }
        DBOS(config=config)
        bodies = {Operation.PROVISION: provision, Operation.TERMINATE: terminate}
        self._workflows = {operation: self._registered(operation, body) for operation, body in bodies.items()}

    def launch(self) -> None:
        """Begin; what was in flight when the last process ended goes on by itself."""
        DBOS.launch()

    def close(self) -> None:
        """Let go of the engine's database; work in flight must have been parked or waited for."""
        DBOS.destroy(destroy_registry=True)

    def start(self, operation: str, environment_id: str, operation_id: str) -> None:
        """Start the workflow with this id; nothing happens when it was started before."""
        _crashpoints.reach(f"{operation}.committed")
        with SetWorkflowID(operation_id):
            DBOS.start_workflow(self._workflows[Operation(operation)], environment_id, operation_id)

    def resume(self, row: EnvironmentRow) -> None:
        """Make sure that the row's operation runs: start it, or a new one in its place when it ended without a word."""
        if row.operation is None or row.operation_id is None:
            return
        operation_id: str | None = row.operation_id
        status = DBOS.get_workflow_status(row.operation_id)
        fallen = row.operation_id in self._fallen
        if fallen or (status is not None and status.status in _OVER):
            ended = "broken off" if status is None or fallen else status.status
            _logger.warning("%s of %s ended as %s; starting it anew", row.operation, row.id, ended)
            operation_id = renew_operation(self.plant.core, row.id, row.operation_id)
            self._fallen.discard(row.operation_id)
        if operation_id is not None:
            self.start(row.operation, row.id, operation_id)

    def forget(self, before: float, keep: Set[str]) -> int:
        """Remove the records of workflows that began before `before` (epoch seconds) and are over; how many."""
        end_time = datetime.fromtimestamp(before, UTC).isoformat()
        count = 0
        while True:
            found = DBOS.list_workflows(
                status=sorted(_OVER), end_time=end_time, limit=_BATCH + len(keep), load_input=False, load_output=False
            )
            over = [one.workflow_id for one in found if one.workflow_id not in keep]
            if not over:
                return count
            DBOS.delete_workflows(over)
            count += len(over)

    def running(self) -> list[str]:
        """Ids of the operations under way in this process."""
        with self._lock:
            return sorted(self._running)

    def _registered(self, operation: str, body: Callable[[Plant, str, str], str]) -> Callable[[str, str], str]:
        def workflow(environment_id: str, operation_id: str) -> str:
            with self._counted(operation_id):
                return body(self.plant, environment_id, operation_id)

        workflow.__qualname__ = workflow.__name__ = str(operation)
        return DBOS.workflow(name=str(operation))(workflow)

    @contextmanager
    def _counted(self, operation_id: str) -> Iterator[None]:
        with self._lock:
            self._running.add(operation_id)
        try:
            yield
        except BaseException:
            self._fallen.add(operation_id)
            raise
        finally:
            with self._lock:
                self._running.discard(operation_id)
