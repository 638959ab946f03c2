# SPDX-License-Identifier: GPL-3.0-or-later
"""The durable execution engine (DBOS): workflows started once by id, resumed after a crash at the step they were in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from dbos import DBOS, DBOSConfig, SetWorkflowID

from fuelctl import _crashpoints
from fuelctl.environments.states import Operation
from fuelctl.store import workers
from fuelctl.store.database import IDLE_TRANSACTION
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows import asks
from fuelctl.workflows.provision import provision
from fuelctl.workflows.run import Plant
from fuelctl.workflows.terminate import terminate
from fuelctl.workflows.work import APPLICATION_VERSION, VERSION, Work, queue

_EXECUTOR = "embedded"
#: So many ends are begun by one worker; how many playbooks it plays at a time is another number.
_AT_ONCE = 100
_POLL_SECONDS = 0.25

Body = Callable[[Plant, str, str], str]
#: Workflow name -> body. A body whose steps change keeps its old name for what was begun with it, and the new one gets
#: a name of its own (`provision.2`), together with a higher VERSION.
BODIES: Mapping[str, Body] = {Operation.PROVISION: provision, Operation.TERMINATE: terminate}


class Engine(Work):
    """Does operations, in this process. One per process: DBOS is a singleton.

    Embedded, it starts them as well. As a worker (`executor`: the worker's id) it takes them from the team's queues;
    `Enqueuer` starts them there.
    """

    def __init__(
        self,
        plant: Plant,
        database_url: str,
        *,
        executor: str | None = None,
        bodies: Mapping[str, Body] | None = None,
        version: int = VERSION,
    ) -> None:
        self._embedded = executor is None
        #: Here everything is in order by itself.
        self.plant = plant if self._embedded else replace(plant, being_made=self._being_made)
        self.core = plant.core
        self._makings = [queue(Operation.PROVISION, each) for each in range(1, version + 1)]
        self._endings = [queue(Operation.TERMINATE, each) for each in range(1, version + 1)]
        self._running: set[str] = set()
        #: Those that an exception ended here: the engine's record may still say that they run, when it was that record
        #: that could not be written.
        self._fallen: set[str] = set()
        self._lock = threading.Lock()
        #: What this worker can be asked for, besides what every one can: verb -> `answer(plant, **arguments)`.
        self.answers: dict[str, asks.Answer] = {}
        logging.getLogger("dbos").setLevel(logging.WARNING)
        config: DBOSConfig = {
            "name": "fuelctl",
            "system_database_url": database_url,
            "application_version": APPLICATION_VERSION,
            "executor_id": executor or _EXECUTOR,
            "log_level": "WARNING",
            "enable_otlp": False,
            "sys_db_idle_transaction_timeout_sec": IDLE_TRANSACTION,
            "scheduler_polling_interval_sec": 3600.0,
        }
        DBOS(config=config)
        self._workflows = {name: self._registered(str(name), body) for name, body in (bodies or BODIES).items()}
        self._registered_asks()

    def launch(self) -> None:
        """Begin; what was in flight when the last process ended goes on by itself."""
        if self._embedded:
            DBOS.listen_queues([])
            DBOS.launch()
            return
        DBOS.listen_queues([*self._makings, *self._endings])
        DBOS.launch()
        with self.core.database.read() as session:
            # A queue has one number for all workers: one with fewer slots than another holds some of what it takes.
            slots = max((one.concurrency for one in workers.alive(session)), default=_AT_ONCE)
        for name, at_once in [*((one, slots) for one in self._makings), *((one, _AT_ONCE) for one in self._endings)]:
            # A partition is an environment: what is to be done with it is done in order, and never beside each other.
            DBOS.register_queue(
                name,
                partition_concurrency=1,
                worker_concurrency=at_once,
                polling_interval_sec=_POLL_SECONDS,
                on_conflict="always_update",
            )

    def take_up(self, living: Callable[[], Sequence[str]]) -> None:
        """Put back into its queue what is in the hands of no worker that lives."""
        found = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        # In this order: a worker is there before it has anything in its hands.
        dead = {str(one.executor_id) for one in found if one.executor_id} - set(living())
        if dead:
            DBOS._recover_pending_workflows(sorted(dead))

    def drain(self, seconds: float) -> None:
        """Take nothing more, and return when all is done, or after so long."""
        DBOS.destroy(workflow_completion_timeout_sec=max(1, round(seconds)))

    def close(self) -> None:
        """Let go of the engine's database; work in flight must have been parked or waited for."""
        DBOS.destroy(destroy_registry=True)

    def start(self, operation: str, environment_id: str, operation_id: str) -> None:
        """Start the workflow with this id; nothing happens when it was started before."""
        _crashpoints.reach(f"{operation}.committed")
        with SetWorkflowID(operation_id):
            DBOS.start_workflow(self._workflows[Operation(operation)], environment_id, operation_id)

    def resume(self, row: EnvironmentRow) -> None:
        """See Work."""
        super().resume(row)
        if row.operation_id is not None:
            self._fallen.discard(row.operation_id)

    def running(self) -> list[str]:
        """Ids of the operations under way in this process."""
        with self._lock:
            return sorted(self._running)

    def _being_made(self, environment_id: str) -> bool:
        found = DBOS.list_workflows(status="PENDING", queue_name=self._makings, load_input=False, load_output=False)
        return any(one.queue_partition_key == environment_id for one in found)

    def _ended(self, operation_id: str) -> str | None:
        return "broken off" if operation_id in self._fallen else super()._ended(operation_id)

    def _records(self) -> type[DBOS]:
        return DBOS

    def _registered(self, name: str, body: Body) -> Callable[[str, str], str]:
        def workflow(environment_id: str, operation_id: str) -> str:
            with self._counted(operation_id):
                return body(self.plant, environment_id, operation_id)

        workflow.__qualname__ = workflow.__name__ = name
        return DBOS.workflow(name=name)(workflow)

    def _registered_asks(self) -> None:
        """What others ask of a worker and wait for."""

        def ask(verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return asks.answer(self.plant, verb, arguments, self.answers)

        ask.__qualname__ = ask.__name__ = asks.WORKFLOW
        DBOS.workflow(name=asks.WORKFLOW)(ask)

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
