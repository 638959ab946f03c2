# SPDX-License-Identifier: GPL-3.0-or-later
"""Rescue: before an environment ends by itself, save the work that is only in it, in a time that nothing extends."""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fuelctl import paths
from fuelctl._shared._errors import FuelError
from fuelctl._shared._rescue._folder import pack
from fuelctl._shared._rescue._stream import Deadline
from fuelctl._shared._rescue._verify import verify
from fuelctl.environments import about, rescues
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core
from fuelctl.environments.states import ENTERABLE
from fuelctl.runner import RunResult
from fuelctl.store import environments, events
from fuelctl.store.bucket import BucketError
from fuelctl.store.files import RESCUES
from fuelctl.store.models import EnvironmentRow
from fuelctl.workflows.run import Run

_logger = logging.getLogger(__name__)
#: Nothing was to be saved.
OFF: dict[str, Any] = {"state": "off"}
#: Seconds: the most that one may take where nothing presses, and less than which none is begun.
_MOST, _LEAST = 600.0, 3.0
#: Of that time, what it takes to store what came, and to end the environment afterwards.
_AFTERWARDS = 0.15
#: What ends an environment without a person having asked for it.
_BY_ITSELF = frozenset({"idle", "ttl", "spot"})


def wanted(row: EnvironmentRow) -> bool:
    """Whether the end under way is to be preceded by a rescue."""
    if row.status not in ENTERABLE or row.operation is None:
        return False
    return bool(row.operation_options.get("rescue")) or (row.rescue and row.ended_by in _BY_ITSELF)


def save(run: Run) -> dict[str, Any]:
    """Save its work: `{state: off|nothing|saved|failed|superseded, id?, complete?, reason?}`. Safe to run again."""
    row = run.journal.row()
    if not wanted(row):
        return OFF
    now = run.plant.core.clock()
    left = run.journal.lease().seconds_left(now) + run.plant.rescue_grace
    if (taken := row.operation_options.get("until")) is not None:
        left = min(left, float(taken) - now.wall)
    # Its machine is gone by then, whatever becomes of this.
    seconds = min(_MOST, left * (1 - _AFTERWARDS))
    place = paths.rescuing_folder(row.id)
    if seconds < _LEAST:
        return _told(run, _failed("there was no time left for it"))
    variables: dict[str, Any] = {"remote_rescue_path": str(place / "rescue"), "remote_rescue_timeout": int(seconds)}
    expires_in = run.journal.lease().seconds_left(now)
    if seconds > expires_in:
        variables["remote_expires_at"] = math.floor(now.wall + expires_in + run.plant.rescue_grace)
    shutil.rmtree(place, ignore_errors=True)
    try:
        paths.private_folder(place)
        begun = time.monotonic()
        result = run.play("rescue", variables, until=begun + seconds)
        if result.status == "stopped" and not run.journal.still_mine():
            return {"state": "superseded"}
        deadline = Deadline(max(1.0, seconds - (time.monotonic() - begun)))
        outcome = _outcome(run, row, result, place, deadline=deadline, began=now.wall)
    except (FuelError, OSError) as error:
        if isinstance(error, environments.FencedOffError):
            raise
        outcome = _failed(str(error))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return _told(run, outcome)


def _outcome(
    run: Run, row: EnvironmentRow, result: RunResult, place: Path, *, deadline: Deadline, began: float
) -> dict[str, Any]:
    if result.status == "stopped":
        return _failed("it took longer than it may, and was cut off")
    if result.status != "ok":
        failure = result.failure or {}
        return _failed(str(failure.get("message") or "the playbook failed"), str(failure.get("code") or "failed"))
    given = result.of("rescue")
    if "rescue" not in given:
        return _failed("its machine is not there", "no_machine")
    if not given["rescue"]:
        return {"state": "nothing"}
    manifest = verify(str(place / "rescue"), deadline, deep=False)
    packed = place / "rescue.tar"
    with packed.open("xb") as stream:
        pack(str(place / "rescue"), stream)
    with packed.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    core, rescue_id = run.plant.core, run.journal.operation_id
    size = _put(core, rescues.key(rescue_id), packed, digest)
    if size is None:
        return _failed("it did not arrive whole in the store")
    with core.write() as session:
        environments.change(session, row.id, fence=run.journal.fence)
        older = rescues.add(session, core, row, rescue_id, tar=(size, digest), manifest=manifest)
    for one in older:
        # What stays, because its place does not answer, goes with housekeeping: no row names it.
        with suppress(BucketError):
            core.files.delete(f"{RESCUES}/{one}")
    shown = {name: manifest.get(name) for name in ("counts", "left_out", "commit", "branch")}
    return {
        "state": "saved",
        "began": began,
        "id": rescue_id,
        "complete": bool(manifest["complete"]),
        "size": size,
        **shown,
    }


def _put(core: Core, key: str, packed: Path, digest: str) -> int | None:
    """Store it, and read it back: its size; None when it is not what was put."""
    for here in (False, True):
        with packed.open("rb") as stream:
            size = core.files.put(key, stream, private=True, here=here)
        try:
            if core.files.sha256(key) == digest:
                return size
        except (BucketError, OSError) as error:
            if here:
                raise
            # The bucket took it, and does not show it any more: nobody knows what is in it.
            _logger.error("%s cannot be read back, so it is kept here: %s", key, error)
            continue
        with suppress(BucketError):
            core.files.delete(key)
        return None
    return None


def _told(run: Run, outcome: dict[str, Any]) -> dict[str, Any]:
    """Write on the row, and in its log, how it went."""
    core = run.plant.core
    told = {**outcome, "at": rfc3339(core.clock().wall)}
    if outcome["state"] == "failed":
        about_it = about.of(run.journal.row())
        _logger.warning("%s was not rescued: %s", about_it["environment"], outcome["reason"], extra=about_it)
    with core.write() as session:
        environments.change(session, run.journal.environment_id, fence=run.journal.fence, rescued=told)
        kind = {"saved": "remote.rescue.done", "failed": "remote.rescue.failed"}.get(outcome["state"])
        if kind is not None:
            events.append(session, run.journal.environment_id, [core.event(kind, told)])
    return outcome


def _failed(reason: str, code: str = "rescue_failed") -> dict[str, Any]:
    return {"state": "failed", "reason": reason, "code": code}
