# SPDX-License-Identifier: GPL-3.0-or-later
"""What a workflow run writes about its environment: always under its fence, always with the event that tells of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from fuelctl import prices
from fuelctl.environments import about, cost, devices, idle_work, idleness
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core
from fuelctl.environments.decision import LOUD_AFTER, retry_delay
from fuelctl.environments.interruption import BY_ITSELF
from fuelctl.environments.lease import Lease
from fuelctl.environments.registry import lease_of
from fuelctl.environments.states import Status, may_become
from fuelctl.store import checks, environments, events, resources, secrets
from fuelctl.store import devices as known_devices
from fuelctl.store.checks import Check
from fuelctl.store.models import EnvironmentRow

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Journal:
    """The pen of one run of one operation. FencedOffError from any method: another run has taken over, stop."""

    core: Core
    environment_id: str
    operation_id: str
    fence: int

    @classmethod
    def open(cls, core: Core, environment_id: str, operation_id: str) -> Journal:
        """Take a new fence: whoever wrote before for this environment can write no more."""
        with core.write() as session:
            fence = environments.take_fence(session, environment_id, operation_id)
        return cls(core, environment_id, operation_id, fence)

    def still_mine(self) -> bool:
        """Whether no other operation or run has taken over."""
        with self.core.database.read() as session:
            row = environments.get(session, self.environment_id)
            return row is not None and row.operation_id == self.operation_id and row.fence == self.fence

    def row(self) -> EnvironmentRow:
        """The environment as it is."""
        with self.core.database.read() as session:
            return self._row(session)

    def check(self) -> Check:
        """When it is looked at next, and what was decided about it last."""
        with self.core.database.read() as session:
            return checks.get(session, self.environment_id)

    def lease(self) -> Lease:
        """The environment's lease."""
        return lease_of(self.row())

    def secrets(self) -> dict[str, str]:
        """The secrets of this run, decrypted."""
        with self.core.database.read() as session:
            return self.core.safe.take(session, self.environment_id)

    def log(self, items: list[events.NewEvent]) -> None:
        """Append what a playbook reports; a stage is also kept on the row, where `status` shows it.

        Who follows one type alone, `remote.update`, hears of each stage as well.
        """
        stages = [item for item in items if item.type == "remote.stage"]
        with self.core.write(durable=bool(stages)) as session:
            if stages:
                row = self._row(session)
                environments.change(
                    session, self.environment_id, fence=self.fence, stages=_with_stages(row.stages, stages)
                )
            events.append(session, self.environment_id, [each for item in items for each in _with_update(item)])

    def ready(self, results: dict[str, Any]) -> None:
        """It can be entered. `results`: connection, agent, resources, conditions, provider."""
        now = self.core.clock().wall
        with self.core.write() as session:
            row = self._row(session)
            conditions = [{**condition, "since": rfc3339(now)} for condition in results["conditions"]]
            self._become(
                session,
                row,
                Status.READY,
                ready_at=row.ready_at or now,
                connection=results["connection"],
                agent=results["agent"],
                provider={**row.provider, **results["provider"]},
                conditions=conditions,
                check_at=now,
                # Silence is counted anew: somebody has just asked for it.
                activity=idleness.touched(idleness.read(row.activity), "person", self.core.clock()).as_dict(),
                **_DONE,
            )
            devices.of_environment(self.core, session, row)
            resources.record(session, self.environment_id, row.attempt, results["resources"], now)
            secrets.drop(session, self.environment_id)
            told = [self.core.event("remote.condition", condition) for condition in conditions]
            told.append(
                self.core.event("remote.provision.ready", {"name": row.name, "connection": results["connection"]})
            )
            events.append(session, self.environment_id, told)

    def failed(self, error: dict[str, Any], receipt: dict[str, Any] | None, *, held: bool = False) -> None:
        """Provisioning failed: final with a complete receipt; held for a look; or else still to be undone."""
        now = self.core.clock().wall
        with self.core.write() as session:
            row = self._row(session)
            secrets.drop(session, self.environment_id)
            values: dict[str, Any] = {"error": error, "receipt": receipt, **_DONE}
            if receipt is not None:
                resources.settle(session, self.environment_id, receipt, now)
            if held or (receipt is not None and receipt.get("complete")):
                values |= {"check_at": now} if held else {"ended_at": now}
                values |= {} if held else {"provider": cost.ended(row.provider, now)}
                self._become(session, row, Status.ERROR, **values)
            else:
                values |= {"ends_as": Status.ERROR, "operation_options": {"discard": True}}
                values |= self._try_again(row, "cleanup_incomplete", "what had been made could not all be removed", {})
                self._become(session, row, Status.TERMINATING, **values)
            events.append(
                session,
                self.environment_id,
                [self.core.event("remote.provision.error", {"error": error, "receipt": receipt})],
            )

    def machines(self, seen: list[dict[str, Any]]) -> None:
        """What its provider has running for it: type, region and address to show, and times to count the cost from."""
        book = prices.load().book
        with self.core.write() as session:
            row = self._row(session)
            disk_gb = prices.disk_gb({**row.blueprint, "provider": row.provider})
            provider = cost.noted(row.provider, seen, disk_gb, book)
            environments.change(session, self.environment_id, fence=self.fence, provider=provider)

    def destroying(self) -> None:
        """The survey found nothing to lose (or nobody minds): from here on it is being removed."""
        with self.core.write() as session:
            row = self._row(session)
            if row.status != Status.TERMINATING:
                self._become(session, row, Status.TERMINATING)

    def refused(self, work: dict[str, Any]) -> None:
        """Work would be lost: the environment stays what it was."""
        with self.core.write() as session:
            row = self._row(session)
            told = [self.core.event("remote.terminate.refused", {"work": work})]
            values: dict[str, Any] = {}
            if row.ended_by == "idle":
                values, condition = idle_work.kept(row, work, self.core.clock())
                told += [self.core.event("remote.condition", condition)] if condition else []
            self._become(
                session,
                row,
                Status(row.resting_status or Status.READY),
                **values,
                ended_by=None,
                ends_as=None,
                stages=[stage for stage in row.stages if stage["stage"] not in _OF_AN_ENDING],
                **_DONE,
                check_at=self.core.clock().wall,
            )
            events.append(session, self.environment_id, told)

    def terminated(self, receipt: dict[str, Any]) -> None:
        """Everything is proven gone."""
        now = self.core.clock().wall
        with self.core.write() as session:
            row = self._row(session)
            final = Status(row.ends_as or Status.TERMINATED)
            secrets.drop(session, self.environment_id)
            resources.settle(session, self.environment_id, receipt, now)
            if row.status != Status.TERMINATING:
                self._become(session, row, Status.TERMINATING)
                row = self._row(session)
            self._become(
                session,
                row,
                final,
                receipt=receipt,
                terminated_at=now if final == Status.TERMINATED else None,
                ended_at=now,
                provider=cost.ended(row.provider, _machines_end(row, now)),
                conditions=[],
                connection=None,
                **_DONE,
            )
            told = [self.core.event("remote.terminate.done", {"receipt": receipt})]
            if final == Status.ERROR:
                told.insert(0, self.core.event("remote.provision.error", {"error": row.error, "receipt": receipt}))
            events.append(session, self.environment_id, told)

    def not_terminated(self, why: dict[str, Any], receipt: dict[str, Any] | None) -> None:
        """The ending failed or is incomplete: it stays `terminating`, says so, and is tried again."""
        with self.core.write() as session:
            row = self._row(session)
            values = self._try_again(row, "termination_incomplete", str(why.get("message")), why)
            values |= {"operation": None, "operation_id": None, "receipt": receipt or row.receipt}
            self._become(session, row, Status.TERMINATING, **values)
            told = {**values["conditions"][-1], "attempts": values["retries"]}
            events.append(session, self.environment_id, [self.core.event("remote.condition", told)])

    def _try_again(self, row: EnvironmentRow, type_: str, message: str, details: dict[str, Any]) -> dict[str, Any]:
        now = self.core.clock().wall
        older = [condition for condition in row.conditions if condition["type"] != type_]
        since = next((c["since"] for c in row.conditions if c["type"] == type_), rfc3339(now))
        retries = row.retries + 1
        if retries >= LOUD_AFTER:
            message = f"has failed {retries} times: {message}"
            _logger.error("%s (%s): its ending %s", row.id, row.name, message, extra=about.of(row))
        condition = {"type": type_, "message": message, "since": since, "details": details}
        return {
            "conditions": [*older, condition],
            "retries": retries,
            "check_at": now + retry_delay(row.retries),
        }

    def _become(self, session: Session, row: EnvironmentRow, status: Status, **values: Any) -> None:
        # Another operation may have been asked for, and not have taken its fence yet: it must not be lost by this.
        if row.operation_id != self.operation_id or not may_become(row.status, status):
            raise environments.FencedOffError(self.environment_id)
        environments.change(session, self.environment_id, fence=self.fence, status=status, **values)
        if values.get("ended_at") is not None:
            known_devices.terminate(session, self.environment_id, values["ended_at"])
        if row.status != status:
            events.append(session, self.environment_id, [self.core.event("remote.update", {"status": status})])

    def _row(self, session: Session) -> EnvironmentRow:
        row = environments.get(session, self.environment_id)
        if row is None:
            raise environments.FencedOffError(self.environment_id)
        return row


def _machines_end(row: EnvironmentRow, now: float) -> float:
    """When its machines stopped being billed: one that ended by itself while nobody looked did so at its time."""
    return min(now, row.expires_at) if row.ended_by in (*BY_ITSELF, "ttl") else now


_OF_AN_ENDING = ("survey", "destroy")
_DONE: dict[str, Any] = {"operation": None, "operation_id": None, "operation_options": {}}


def _with_update(item: events.NewEvent) -> list[events.NewEvent]:
    if item.type != "remote.stage":
        return [item]
    told = {name: item.data.get(name) for name in ("stage", "state", "seconds")}
    return [item, events.NewEvent("remote.update", told, item.at)]


def _with_stages(known: list[dict[str, Any]], told: list[events.NewEvent]) -> list[dict[str, Any]]:
    stages = {stage["stage"]: stage for stage in known}
    for item in told:
        data = item.data
        stages[data["stage"]] = {key: data.get(key) for key in ("stage", "state", "seconds")}
    return list(stages.values())
