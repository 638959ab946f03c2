# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of one operation: its fence, its steps, and the playbooks that it calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbos import DBOS

from fuelctl import _crashpoints, paths, provider_traits
from fuelctl._docker_engine import way_back, words
from fuelctl._lifelines import Lifelines
from fuelctl.environments.core import Core
from fuelctl.environments.journal import Journal
from fuelctl.provider_traits import Traits
from fuelctl.runner import FileOf, RunResult, run_playbook
from fuelctl.store.events import NewEvent
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows import limits
from fuelctl.workflows.batches import Batches
from fuelctl.workflows.key_folder import at_hand

_ASK_EVERY = 0.25
_LOOK_EVERY = 0.5
_UNBOUNDED = 1 << 30
_PLAYBOOKS = {
    "up": "fuel_code.remote.remote_up",
    "down": "fuel_code.remote.remote_down",
    "observe": "fuel_code.remote.remote_observe",
    "extend": "fuel_code.remote.remote_extend",
    "access": "fuel_code.remote.remote_access",
    "admit": "fuel_code.remote.remote_admit",
    "power": "fuel_code.remote.remote_power",
    "volume": "fuel_code.remote.remote_volume",
    "audit": "fuel_code.remote.remote_audit",
    "rescue": "fuel_code.remote.remote_rescue",
}


@dataclass(frozen=True)
class Plant:
    """What every run needs.

    `engine`: which Docker engine provider `local` means to this process, as far as variables say; empty for the usual.
    `parking`: set when the server goes down; work stops where it is, to be resumed.
    """

    core: Core
    callback_url: str = ""
    max_source_bytes: int = 4 * 1024**3
    engine: str = ""
    playbooks: dict[str, str] = field(default_factory=lambda: dict(_PLAYBOOKS))
    parking: threading.Event = field(default_factory=threading.Event)
    #: Of a worker: by whose beat its playbooks live.
    lifelines: Lifelines | None = None
    #: How many playbooks make and end environments at a time.
    slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_UNBOUNDED))
    #: Runs that may begin in one region of a cloud: for long, and at once.
    starts_per_minute: float = 60.0
    starts_at_once: int = 10
    traits: Callable[[str], Traits] = field(default_factory=lambda: provider_traits.of)
    batches: Batches[Any, dict[str, Any]] = field(default_factory=Batches)
    #: Whether some worker has the making of this environment in its hands, at this moment.
    being_made: Callable[[str], bool] = lambda _environment_id: False
    #: Seconds after its TTL for which a rescue may keep an environment.
    rescue_grace: float = 120.0

    def is_over(self) -> bool:
        """Whether this process is about to end: what becomes of its work now is not what became of the work."""
        return self.parking.is_set() or (self.lifelines is not None and self.lifelines.silent)

    def out_of_reach(self, row: EnvironmentRow) -> dict[str, Any] | None:
        """Why nothing can be said of this environment: it is on another Docker engine than ours; None when it is not.

        Asked all the same, our engine would say that it is gone, and be believed.
        """
        its = row.provider.get("engine", self.engine)
        if row.provider["name"] != "local" or its == self.engine:
            return None
        return {
            "message": f"it is on {words(its)}, and the control plane works with {words(self.engine)}",
            "hint": f"fuelctl server stop, then repeat it with {way_back(its)} before it",
            "where": row.name,
            "code": "other_engine",
            "stage": None,
            "tail": [],
        }


def play(
    plant: Plant,
    verb: str,
    variables: dict[str, Any],
    *,
    of: Collection[str],
    record: Path,
    lock: str | None = None,
    should_stop: Callable[[], bool] | None = None,
    **more: Any,
) -> RunResult:
    """Play a verb's playbook about the environments `of`, with their keys at hand. `more`: as `run_playbook` has it.

    `lock`: held in the place of the environments' own, by what changes none of them.
    """
    stop = should_stop or plant.parking.is_set
    locks = [paths.environment_lock(name) for name in ([lock] if lock else sorted(of))]
    with at_hand(plant.core.files, of) as keys:

        def asked_to_stop() -> bool:
            keys.keep()
            return stop()

        return run_playbook(
            plant.playbooks[verb],
            variables={**variables, "remote_keys_path": str(keys.path)},
            record=record,
            locks=locks,
            should_stop=asked_to_stop,
            verb=verb,
            lifelines=plant.lifelines,
            **{"secrets": {}, "on_events": lambda _events: None, **more},
        )


class Run:
    """The hands of one workflow run; its journal is the pen."""

    def __init__(self, plant: Plant, operation: str, environment_id: str, operation_id: str) -> None:
        self.plant = plant
        self._operation = operation
        self.journal = Journal.open(plant.core, environment_id, operation_id)
        self._asked = 0.0
        #: When the playbook under way is cut off, by `time.monotonic()`.
        self._until: float | None = None
        _crashpoints.reach(f"{operation}.fenced")

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        """Do `work` unless an earlier run did, and remember its result (plain data without secrets)."""
        point = f"{self._operation}.{name}"
        if name not in _crashpoints.STEPS[self._operation]:
            raise ValueError(f"{point} is not a step that tests know")

        def watched() -> Any:
            _crashpoints.reach(f"{point}.before")
            try:
                result = work()
            finally:
                if self.plant.is_over():
                    # Nothing may be recorded any more, no error either: this process is about to end, and the next
                    # one does it again.
                    threading.Event().wait()
            _crashpoints.reach(f"{point}.done")
            return result

        result = DBOS.run_step({"name": name}, watched)
        _crashpoints.reach(f"{point}.recorded")
        return result

    def play(
        self,
        verb: str,
        variables: dict[str, Any],
        secrets: dict[str, str] | None = None,
        files: dict[str, str] | None = None,
        on_stage: Callable[[str, str], None] = lambda _stage, _state: None,
        *,
        until: float | None = None,
    ) -> RunResult:
        """Call the verb's playbook and log what it tells. At `until` (`time.monotonic()`) it is `stopped`."""
        row = self.journal.row()
        elsewhere = self.plant.out_of_reach(row)
        if elsewhere is not None:
            return RunResult("failed", 1, failure=elsewhere)

        def told(items: list[dict[str, Any]]) -> None:
            self.journal.log([NewEvent(item["type"], item["data"], item["at"]) for item in items])
            for item in items:
                if item["type"] == "remote.stage":
                    stage, state = item["data"]["stage"], item["data"]["state"]
                    on_stage(stage, state)
                    # What an earlier life has done already ends the stage all the same.
                    _crashpoints.reach(f"stage.{stage}.{'ok' if state == 'reused' else state}")

        self._until = until
        try:
            with self.turn(row) as mine:
                if not mine:
                    return RunResult("stopped", 0)
                result = play(
                    self.plant,
                    verb,
                    {**common(row), **variables},
                    of=[row.id],
                    record=paths.run_folder(row.id, self.journal.operation_id),
                    should_stop=self.should_stop,
                    secrets=secrets or {},
                    files=files,
                    on_events=told,
                )
        finally:
            self._until = None
        machines = result.scrub(result.machines())
        if machines:
            # Also of a run that failed: what ran is billed.
            self.journal.machines(machines)
        return result

    def after_its_making(self) -> bool:
        """Whether nobody is making it any more; False when this run was asked to stop meanwhile.

        Whoever makes it hears within a second that it is to end, and stops. Whoever begins to from now on is refused by
        its fence.
        """
        while self.plant.being_made(self.journal.environment_id):
            if not limits.wait(_LOOK_EVERY, self.should_stop):
                return False
        return True

    def down(self, *, discard: bool, on_stage: Callable[[str, str], None] = lambda _stage, _state: None) -> RunResult:
        """Call remote_down."""
        # Of what an earlier run has begun to take away, the rest can be looked through no more.
        begun = any(stage["stage"] == "destroy" for stage in self.journal.row().stages)
        return self.play("down", {"remote_discard": discard, "remote_begun": begun}, on_stage=on_stage)

    @contextmanager
    def turn(self, row: EnvironmentRow) -> Iterator[bool]:
        """A slot of this process, and a turn at the row's cloud; False when it was asked to stop meanwhile."""
        while not self.plant.slots.acquire(timeout=_ASK_EVERY):
            if self.should_stop():
                yield False
                return
        try:
            yield self._have_turn(row)
        finally:
            self.plant.slots.release()

    def _have_turn(self, row: EnvironmentRow) -> bool:
        if not self.plant.traits(row.provider["name"]).has_regions:
            return True
        place, plant = place_of(row), self.plant
        seconds = limits.take_turn(plant.core, place, plant.starts_per_minute, plant.starts_at_once)
        return limits.wait(seconds, self.should_stop)

    def should_stop(self) -> bool:
        """Whether this process is about to end, another run has taken over, or the time for it is over."""
        if self.plant.parking.is_set():
            return True
        now = time.monotonic()
        if self._until is not None and now > self._until:
            return True
        if now - self._asked < _ASK_EVERY:
            return False
        self._asked = now
        return not self.journal.still_mine()


def callback(url: str) -> dict[str, Any]:
    """How the environment reaches us: variable `remote_callback`, or nothing when it cannot."""
    if not url:
        return {}
    return {"remote_callback": {"url": url, "token_file": FileOf("callback_token")}}


def common(row: EnvironmentRow) -> dict[str, Any]:
    """The variables that say which environment is meant."""
    return {
        "remote_name": row.name,
        "remote_owner": row.owner,
        "remote_environment_id": row.id,
        "remote_attempt": row.attempt,
        **where(row),
    }


def place_of(row: EnvironmentRow) -> str:
    """Provider, region and account of its machine: what has one limit."""
    found = where(row)
    options = found.get("remote_provider_options") or {}
    return "/".join([found["remote_provider"], *(str(options.get(name) or "") for name in ("region", "account"))])[:255]


def where(row: EnvironmentRow) -> dict[str, Any]:
    """The variables that say which provider its machine is of, and where to look for it there."""
    options = dict(row.provider.get("options") or {})
    found = {"region": row.provider.get("region") or (row.blueprint.get("provider") or {}).get("region")}
    found["account"] = row.provider.get("account")
    options |= {name: value for name, value in found.items() if value}
    return {"remote_provider": row.provider["name"], **({"remote_provider_options": options} if options else {})}
