# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.fuelctl.lab_worker`: a real worker process, whose playbooks make files.

`FUELCTL_LAB_REGIONS`: its provider ends several at once, and has an API with limits. `FUELCTL_LAB_VERSION=2`: one of a
newer fuelctl, in which provisioning has a step more. `FUELCTL_LAB_STOPS=1`: it stops itself (SIGSTOP) in the middle of
a transaction that takes work from the queue, when there is a file `stop` in its home. `FUELCTL_LAB_TIMES`: seconds of
silence until a worker stops, its playbooks end, and others take it for dead. `FUELCTL_LAB_WINDOW`: seconds for which an
end waits for others.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dbos import DBOS
from sqlalchemy import Engine, event

from fuelctl import provider_traits, worker
from fuelctl.provider_traits import Traits
from fuelctl.store import workers
from fuelctl.workflows import batches, engine, life, run
from fuelctl.workflows.provision import provision
from tests.fuelctl.control import PLAYBOOKS


def in_regions(_provider: str) -> Traits:
    """A cloud."""
    return Traits(ends_several=True, has_regions=True)


def provision_2(plant: run.Plant, environment_id: str, operation_id: str) -> str:
    """The newer body; the older one stays for what was begun with it."""
    DBOS.run_step({"name": "greet"}, lambda: logging.getLogger("lab").info("greeted %s", environment_id))
    return provision(plant, environment_id, operation_id)


class NewerEngine(engine.Engine):
    """The engine of a newer fuelctl."""

    def __init__(self, plant: run.Plant, url: str, *, executor: str) -> None:
        super().__init__(plant, url, executor=executor, bodies={**engine.BODIES, "provision.2": provision_2}, version=2)


def with_times(times: list[float]) -> None:
    """A test has its own for all of them, and more patience with a machine that is busy."""
    for name, seconds in zip(("LOST_AFTER", "PULSE", "DEAD_AFTER"), times, strict=True):
        setattr(workers, name, seconds)
    # Nothing is lost for one statement that took long.
    given = round(times[0] * 1000)
    life._OPTIONS = f"-c statement_timeout={given} -c lock_timeout={given}"
    life._CONNECT_SECONDS = round(times[0])


def stops_in_a_transaction(home: Path) -> None:
    """Locks are held for as long as it sleeps."""

    def after(_connection: Any, cursor: Any, statement: str, *_more: Any) -> None:
        takes = "FOR UPDATE" in statement and "workflow_status" in statement and cursor.rowcount > 0
        if takes and (home / "stop").exists():
            (home / "stop").rename(home / "stopped")
            os.kill(os.getpid(), signal.SIGSTOP)

    event.listen(Engine, "after_cursor_execute", after)


if __name__ == "__main__":
    for verb in ("up", "down", "observe", "extend"):
        run._PLAYBOOKS[verb] = str(PLAYBOOKS / f"{verb}.yml")
    if os.environ.get("FUELCTL_LAB_REGIONS"):
        patch.object(provider_traits, "of", in_regions).start()
    if os.environ.get("FUELCTL_LAB_TIMES"):
        with_times([float(each) for each in os.environ["FUELCTL_LAB_TIMES"].split()])
    if os.environ.get("FUELCTL_LAB_WINDOW"):
        given = (float(os.environ["FUELCTL_LAB_WINDOW"]), 50)
        patch.object(batches.Batches.__init__, "__defaults__", given).start()
    if os.environ.get("FUELCTL_LAB_STOPS"):
        stops_in_a_transaction(Path(os.environ["FUELCTL_HOME"]))
    if os.environ.get("FUELCTL_LAB_VERSION"):
        patch.object(worker, "Engine", NewerEngine).start()
        patch.object(worker, "VERSION", 2).start()
    sys.exit(worker.run())
