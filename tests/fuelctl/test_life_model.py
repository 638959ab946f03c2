# SPDX-License-Identifier: GPL-3.0-or-later
"""Any order of up, down, extend, runs that end well or badly or too late, and reaper: one linear history each.

No playbook is played: the runs are pens (`Journal`) in hypothesis's hand, which it takes, keeps, and uses when others
have taken over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from fuelctl.environments import registry
from fuelctl.environments.activity import take_in
from fuelctl.environments.core import Core
from fuelctl.environments.journal import Journal
from fuelctl.environments.registry import ConflictError
from fuelctl.environments.states import ENTERABLE, Operation, Status, may_become
from fuelctl.store import audit_log, events
from fuelctl.store.audit_log import Filter
from fuelctl.store.database import Database
from fuelctl.store.environments import FencedOffError
from fuelctl.store.events import NewEvent
from fuelctl.store.models import EnvironmentRow, ResourceRow
from fuelctl.workflows.reaper import Reaper
from tests.fuelctl.control import HandClock, check_of, wanted
from tests.fuelctl.databases import KINDS, of_kind
from tests.fuelctl.test_reaper import Recorder

_RESULTS = {"conditions": [], "connection": {}, "agent": None, "provider": {}, "resources": []}
_GONE: dict[str, Any] = {"complete": True, "resources": []}
_LEFT: dict[str, Any] = {"complete": False, "resources": []}
_ERROR = {"message": "it failed", "hint": "", "where": "here", "code": "failed", "stage": "machine", "tail": []}
#: What a run may write at last, by its operation.
_VERDICTS = {
    Operation.PROVISION: ("ready", "failed", "failed_and_left", "held"),
    Operation.TERMINATE: ("refused", "terminated", "not_terminated"),
}


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from of_kind(request)


def _write(run: Journal, verdict: str) -> None:
    if verdict == "ready":
        run.ready(_RESULTS)
    elif verdict == "terminated":
        run.terminated(_GONE)
    elif verdict == "not_terminated":
        run.not_terminated({"message": "not yet"}, _LEFT)
    elif verdict == "refused":
        run.refused({"counts": {"files": 1}})
    else:
        run.failed(_ERROR, _LEFT if verdict == "failed_and_left" else _GONE, held=verdict == "held")


class Life(RuleBasedStateMachine):
    """One environment, and everybody who has a say in it."""

    core: Core
    clock: HandClock

    def __init__(self) -> None:
        super().__init__()
        self.engine = Recorder()
        self.reaper = Reaper(self.core, cast("Any", self.engine), 60)
        self.runs: list[tuple[Operation, Journal]] = []
        #: What was answered with success, by what it was.
        self.done: Counter[str] = Counter()
        self.last: EnvironmentRow | None = None

    @initialize(ttl=st.sampled_from([600, 3600]), idle=st.none() | st.just(900))
    def up(self, ttl: int, idle: int | None) -> None:
        self.id = registry.create(self.core, wanted(ttl_seconds=ttl, idle_seconds=idle)).id

    def row(self) -> EnvironmentRow:
        with self.core.database.read() as session:
            return session.get_one(EnvironmentRow, self.id)

    @rule()
    def begin(self) -> None:
        """The request that made it, once more: whatever it is by now, nothing begins twice."""
        before = self.row()
        operation_id = registry.begin_provisioning(self.core, self.id)
        waiting = before.status == Status.PROVISIONING and before.operation in (None, Operation.PROVISION)
        assert (operation_id is not None) == waiting
        assert before.operation_id in (None, operation_id) or operation_id is None

    @rule(discard=st.booleans())
    def down(self, discard: bool) -> None:
        row, operation_id = registry.begin_termination(self.core, self.id, discard=discard, by="user")
        assert (operation_id is None) == (row.ended_at is not None)

    @rule(seconds=st.integers(60, 7200), meanwhile=st.sampled_from(["nothing", "down", "ready"]))
    def extend(self, seconds: int, meanwhile: str) -> None:
        """Its machine takes its time to be told; somebody else does not wait for it."""

        def move(_row: EnvironmentRow, _expires_at: float) -> None:
            if meanwhile == "down":
                self.down(discard=False)
            elif meanwhile == "ready":
                self.tell()

        before = self.row()
        try:
            registry.extend_lease(self.core, self.id, seconds, move)
        except ConflictError:
            assert before.operation or before.ended_at or before.status == Status.TERMINATING or meanwhile == "down"
            return
        self.done["extended"] += 1
        assert self.row().expires_at >= before.expires_at

    @rule()
    def run(self) -> None:
        """A worker begins, or another begins anew, what is to be done."""
        row = self.row()
        if row.operation_id is not None:
            self.runs.append((Operation(str(row.operation)), Journal.open(self.core, self.id, row.operation_id)))

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """A run writes its last word; one that was overtaken writes nothing."""
        if not self.runs:
            return
        operation, run = data.draw(st.sampled_from(self.runs))
        self._settle(operation, run, data.draw(st.sampled_from(_VERDICTS[operation])))

    def _settle(self, operation: Operation, run: Journal, verdict: str) -> None:
        before = self.row()
        if verdict == "refused" and before.operation_options.get("discard"):
            verdict = "terminated"
        is_its_own = (before.operation_id, before.fence) == (run.operation_id, run.fence)
        try:
            _write(run, verdict)
        except FencedOffError:
            assert not is_its_own, f"{verdict} was refused to the one run there is"
            assert self.row().version == before.version
            return
        assert is_its_own, f"{verdict} of a run of {operation} that was overtaken"
        self.done[verdict] += 1
        assert self.row().operation is None

    @rule(data=st.data())
    def destroy(self, data: st.DataObject) -> None:
        """An ending passes its point of no return."""
        endings = [run for operation, run in self.runs if operation == Operation.TERMINATE]
        if not endings:
            return
        run, before = data.draw(st.sampled_from(endings)), self.row()
        try:
            run.destroying()
        except FencedOffError:
            assert (before.operation_id, before.fence) != (run.operation_id, run.fence)
        else:
            is_its_own = (before.operation_id, before.fence) == (run.operation_id, run.fence)
            assert is_its_own or self.row().version == before.version

    @rule()
    def tell(self) -> None:
        """Somebody is at work in it."""
        at = self.clock().wall
        with self.core.write() as session:
            take_in(self.core, session, self.id, [NewEvent("tool.start", {}, at)])

    @rule(seconds=st.sampled_from([30.0, 300.0, 1200.0]))
    def reap(self, seconds: float) -> None:
        """Time passes, and the reaper goes round."""
        self.clock.pass_(seconds)
        assert self.reaper.cycle().failed == 0

    @rule(data=st.data())
    def at_once(self, data: st.DataObject) -> None:
        """Really at once, in threads: each is answered, or refused as a whole."""

        def extend() -> None:
            registry.extend_lease(self.core, self.id, 3600, lambda _row, _expires_at: None)

        def down() -> None:
            registry.begin_termination(self.core, self.id, discard=True, by="user")

        crowd = [("extended", extend), ("down", down), ("extended", extend), ("told", self.tell)]
        if self.runs:
            operation, run = data.draw(st.sampled_from(self.runs))
            verdict = "ready" if operation == Operation.PROVISION else "terminated"
            crowd.insert(1, (verdict, lambda: _write(run, verdict)))

        def attempt(one: tuple[str, Any]) -> str:
            try:
                one[1]()
            except (ConflictError, FencedOffError):
                return "turned away"
            return one[0]

        with ThreadPoolExecutor(len(crowd)) as threads:
            self.done.update(threads.map(attempt, crowd))

    def teardown(self) -> None:
        """Whatever had happened: it can be ended, and then everything is settled."""
        if not hasattr(self, "id"):
            return
        for _attempt in range(2):
            self.down(discard=True)
            self.run()
            if self.row().operation_id is not None:
                self._settle(*self.runs[-1], "terminated")
        row = self.row()
        assert row.status in (Status.TERMINATED, Status.ERROR)
        assert (row.operation, row.operation_id, check_of(self.core, self.id).check_at) == (None, None, None)
        assert row.ended_at is not None
        assert self.row().receipt is not None
        with self.core.database.read() as session:
            states = select(ResourceRow.state).where(ResourceRow.environment_id == self.id)
            assert set(session.scalars(states)) == {"gone"}
        self.one_history()

    @invariant()
    def one_history(self) -> None:
        """What it is, what the event log tells and what the audit log tells agree, in one order."""
        if not hasattr(self, "id"):
            return
        with self.core.database.read() as session:
            row = session.get_one(EnvironmentRow, self.id)
            told = events.after(session, 0, environment_id=self.id, limit=10_000)
            audited = audit_log.page(session, Filter(object=self.id), after=0, limit=1000)
        self._went_on(row)
        statuses = [event.data["status"] for event in told if "status" in event.data and event.type == "remote.update"]
        assert (statuses[0], statuses[-1]) == (Status.PROVISIONING, row.status)
        assert [pair for pair in pairwise(statuses) if pair[0] == pair[1]] == []
        assert [pair for pair in pairwise(statuses) if not may_become(*pair)] == []
        types, actions = Counter(event.type for event in told), Counter(entry.action for entry in audited)
        assert actions["environment.create"] == 1
        assert types["remote.provision.start"] == actions["environment.provision"] <= 1
        assert types["remote.provision.ready"] == self.done["ready"] <= 1
        assert types["remote.terminate.refused"] == self.done["refused"]
        assert types["remote.terminate.done"] == self.done["terminated"] <= 1
        assert types["remote.terminate.start"] <= actions["environment.terminate"]
        assert actions["environment.extend"] == self.done["extended"]
        ends = [(entry.before, entry.after) for entry in audited if entry.action == "environment.extend"]
        assert all(after == following for (_before, after), (following, _after) in pairwise(ends))
        assert not ends or ends[-1][1] == {"expires_at": row.expires_at}

    def _went_on(self, row: EnvironmentRow) -> None:
        """Against what it was after the last step."""
        last, self.last = self.last, row
        assert row.status != Status.TERMINATED or row.ended_at is not None
        assert row.ended_at is None or (row.status in (Status.TERMINATED, Status.ERROR) and row.operation is None)
        assert row.operation is None or row.status not in ENTERABLE or row.operation == Operation.TERMINATE
        if last is None:
            return
        assert row.fence >= last.fence
        assert row.version >= last.version
        assert row.expires_at >= last.expires_at
        if last.ended_at is not None:
            assert (row.status, row.version, row.ended_at, row.receipt) == (
                last.status, last.version, last.ended_at, last.receipt,
            )  # fmt: skip


def test_every_order_of_things_is_one_history(core: Core, clock: HandClock) -> None:
    kind = type("Life", (Life,), {"core": core, "clock": clock})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            deadline=None,
            database=None,
            # A smaller example of a failure is not worth the minutes that each takes on a real database.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("verdict", ["ready", "failed", "failed_and_left", "held"])
def test_a_run_ends_after_somebody_has_asked_for_its_end_and_before_that_begins(core: Core, verdict: str) -> None:
    row = registry.create(core, wanted())
    operation_id = registry.begin_provisioning(core, row.id)
    assert operation_id is not None
    run = Journal.open(core, row.id, operation_id)
    _row, ending = registry.begin_termination(core, row.id, discard=False, by="user")
    assert ending is not None
    with pytest.raises(FencedOffError):
        _write(run, verdict)
    Journal.open(core, row.id, ending).terminated(_GONE)
    with core.database.read() as session:
        assert session.get_one(EnvironmentRow, row.id).status == Status.TERMINATED
