# SPDX-License-Identifier: GPL-3.0-or-later
"""Work for a team's workers: what a server only enqueues, and what it has them do while somebody waits."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import asdict
from typing import Any

from dbos import DBOS, DBOSClient
from sqlalchemy.exc import SQLAlchemyError

from fuelctl import _crashpoints
from fuelctl.environments.access import LetIn
from fuelctl.environments.audit import Place, Seen
from fuelctl.environments.core import Core, MachineError
from fuelctl.store import workers
from fuelctl.store.database import IDLE_TRANSACTION
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.ulids import new_ulid
from fuelctl.workflows import asks
from fuelctl.workflows.access import check_stops
from fuelctl.workflows.volume import check_has_volume
from fuelctl.workflows.work import APPLICATION_VERSION, OVER, VERSION, Work, queue

_logger = logging.getLogger(__name__)
#: For how long somebody waits for a worker's answer; a provider that is asked in all its regions takes longest.
PATIENCE = {
    **dict.fromkeys(("extend", "authorize", "admit"), 90.0),
    "power": 360.0,
    "volume": 180.0,
    "audit": 300.0,
    "observe": 600.0,
}
_ASK_EVERY = 0.1
_UNDER_WAY = ("ENQUEUED", "PENDING", "DELAYED")


def prepare(database_url: str) -> None:
    """Have the engine's tables there, before any worker came. Under the lock of the migrations."""
    logging.getLogger("dbos").setLevel(logging.WARNING)
    DBOS.migrate(database_url)


class Enqueuer(Work):
    """Starts operations in the team's queue; workers do them. Nothing runs in this process."""

    def __init__(self, core: Core, database_url: str, *, version: int = VERSION) -> None:
        """`prepare` must have been called, by whatever process."""
        self.core = core
        self._version = version
        self._client = DBOSClient(
            system_database_url=database_url,
            application_name="fuelctl",
            lazy=True,
            # Whoever asks is told that the database is away; what was committed is started by the reaper.
            retry_connection_errors=False,
            sys_db_idle_transaction_timeout_sec=IDLE_TRANSACTION,
        )
        self._looking = threading.Lock()

    def close(self) -> None:
        """Give the connections back."""
        self._client.destroy()

    def start(self, operation: str, environment_id: str, operation_id: str) -> None:
        """Enqueue the workflow with this id; nothing happens when it was before."""
        _crashpoints.reach(f"{operation}.committed")
        try:
            self._client.enqueue(
                {
                    "workflow_name": str(operation),
                    "queue_name": queue(operation, self._version),
                    "workflow_id": operation_id,
                    "queue_partition_key": environment_id,
                    "app_version": APPLICATION_VERSION,
                },
                environment_id,
                operation_id,
            )
        except SQLAlchemyError as error:
            # The intent is in the database: the reaper's next cycle finds it.
            _logger.warning("%s of %s could not be enqueued: %s", operation, environment_id, error)

    def running(self) -> list[str]:
        """Ids of the operations that are waited for or under way, at whatever worker."""
        found = self._client.list_workflows(status=list(_UNDER_WAY), load_input=False, load_output=False)
        return sorted(one.workflow_id for one in found if one.name != asks.WORKFLOW)

    def move_deadline(self, row: EnvironmentRow, expires_at: float) -> None:
        """See workflows.extend."""
        self._ask("extend", row.id, environment_id=row.id, expires_at=expires_at)

    def authorize(self, row: EnvironmentRow, address: str) -> LetIn:
        """See workflows.access."""
        return LetIn(**self._ask("authorize", row.id, environment_id=row.id, address=address))

    def admit(self, row: EnvironmentRow, public_key: str) -> None:
        """See workflows.access."""
        self._ask("admit", row.id, environment_id=row.id, public_key=public_key)

    def power(self, row: EnvironmentRow, state: str) -> None:
        """See workflows.access."""
        check_stops(row)
        self._ask("power", row.id, environment_id=row.id, state=state)

    def ask_volume(self, row: EnvironmentRow, wanted: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """See workflows.volume."""
        check_has_volume(row)
        return dict(self._ask("volume", row.id, environment_id=row.id, wanted=wanted, arguments=arguments))

    def audit(self, place: Place) -> Seen:
        """See workflows.audit."""
        return asks.seen_of(self._ask("audit", f"audit-{place.provider}", place=asdict(place)))

    def observe(self) -> int:
        """Have every provider asked once about its environments; how many were observed."""
        return int(self._ask("observe", "observe"))

    def _ask(self, verb: str, partition: str, **arguments: Any) -> Any:
        """What a worker answers; MachineError when none is there, or none did in time."""
        with self.core.database.read() as session:
            if not workers.alive(session, self._version):
                raise _no_worker()
        ask_id = new_ulid(self.core.clock().wall)
        self._client.enqueue(
            {
                "workflow_name": asks.WORKFLOW,
                "queue_name": queue(asks.WORKFLOW, self._version),
                "workflow_id": ask_id,
                "queue_partition_key": partition,
                "app_version": APPLICATION_VERSION,
                "workflow_timeout": PATIENCE[verb],
            },
            verb,
            arguments,
        )
        end = time.monotonic() + PATIENCE[verb]
        while time.monotonic() < end:
            status = self._status(ask_id)
            if status is not None and status.status in OVER:
                break
            time.sleep(_ASK_EVERY)
        else:
            # Nobody waits any more: what has not begun shall not.
            self._client.cancel_workflow(ask_id)
            raise MachineError("no worker answered in time", hint="repeat it; see fuelctl worker", code="no_worker")
        if status.status != "SUCCESS":
            raise MachineError("the worker that was asked did not end well", hint="repeat it", code="worker_failed")
        return asks.value_of(self._client.retrieve_workflow(ask_id).get_result())

    def _records(self) -> DBOSClient:
        return self._client


def _no_worker() -> MachineError:
    return MachineError(
        "no worker is there to do it", hint="start one on any machine of the team: fuelctl worker run", code="no_worker"
    )
