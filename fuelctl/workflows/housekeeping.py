# SPDX-License-Identifier: GPL-3.0-or-later
"""What is forgotten, and when: the records of environments that ended long ago. Their rows and receipts stay."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fuelctl import paths
from fuelctl._shared import _scratch
from fuelctl.environments import rescues
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core
from fuelctl.environments.key_pair import ASK_AGAIN, KeyPair
from fuelctl.store import environments, events, idempotency, users
from fuelctl.store.bucket import BucketError
from fuelctl.store.models import SettingRow
from fuelctl.workflows.work import Work

_logger = logging.getLogger(__name__)
_DAY = 86400.0
_SETTING = "housekeeping"
_LENGTH_OF_ID = 26
#: Seconds after its start at which a worker tidies for the first time.
_FIRST_TIDYING = 600.0


@dataclass(frozen=True)
class Forgotten:
    """How much of each was removed."""

    keys: int
    events: int
    folders: int
    rescues: int
    workflows: int
    temporary: int
    tokens: int = 0


class Housekeeper:
    """`round()` forgets what is older than `keep_days`; `daily()` does so when the last round was a day ago."""

    def __init__(self, core: Core, engine: Work, keep_days: float, keep_tokens_days: float = 90.0) -> None:
        self._core = core
        self._engine = engine
        self._keep_seconds = keep_days * _DAY
        self._keep_tokens = keep_tokens_days * _DAY

    def daily(self) -> Forgotten | None:
        """A round, unless there was one within a day, by an earlier server too: a laptop's lives for hours only."""
        now = self._core.clock().wall
        with self._core.database.read() as session:
            row = session.get(SettingRow, _SETTING)
        last = float(row.value.get("at", 0.0)) if row else 0.0
        # A last one in the future was told by a clock that has been set back.
        if 0 <= now - last < _DAY:
            return None
        done = self.round()
        value: dict[str, Any] = {"at": now, "last_round_at": rfc3339(now), **asdict(done)}
        with self._core.database.write(durable=False) as session:
            session.merge(SettingRow(name=_SETTING, value=value))
        return done

    def round(self) -> Forgotten:
        """Forget. Killed half-way, the next round finds the rest."""
        now = self._core.clock().wall
        before = max(0.0, now - self._keep_seconds)
        with self._core.database.write(durable=False) as session:
            idempotency.forget(session, now)
            tokens = users.forget_tokens(session, max(0.0, now - self._keep_tokens))
            at_work = {row.operation_id for row in environments.with_operation(session) if row.operation_id}
        done = Forgotten(
            tokens=tokens,
            keys=self._keys(now),
            events=self._events(before),
            folders=_forget_folders(self._core, before),
            rescues=self._rescues(before),
            workflows=self._engine.forget(before, at_work),
            temporary=_sweep(),
        )
        if any(asdict(done).values()):
            _logger.info("forgotten: %s", ", ".join(f"{count} {kind}" for kind, count in asdict(done).items()))
        return done

    def _rescues(self, before: float) -> int:
        try:
            return rescues.forget(self._core, before)
        except BucketError as error:
            # The next round finds them.
            _logger.warning("old rescues are not forgotten: %s", error)
            return 0

    def _events(self, before: float) -> int:
        count = 0
        with self._core.database.read() as session:
            ended = events.logs_of_ended(session, before)
        for environment_id in ended:
            # Piece by piece: whoever else writes must not wait for a long log.
            while True:
                with self._core.database.write(durable=False) as session:
                    removed = events.forget(session, environment_id)
                if not removed:
                    break
                count += removed
        return count

    def _keys(self, now: float) -> int:
        """Private keys whose receiver did not say that they had arrived, and cannot ask for them again."""
        count = 0
        files = self._core.files
        for one_id in sorted({key.split("/")[1] for key in files.list("keys") if key.endswith("/id_ed25519")}):
            with self._core.database.read() as session:
                row = environments.get(session, one_id)
            pair = KeyPair(files, one_id)
            served = row.key_served_at if row is not None else None
            if served is not None and now - served > ASK_AGAIN:
                pair.forget()
                count += 1
        return count


class Tidier:
    """Of a worker, which has folders of its own and shares the rest: forgets on its machine what is old, once a day."""

    def __init__(self, core: Core, keep_days: float) -> None:
        self._core = core
        self._keep_seconds = keep_days * _DAY

    def round(self) -> int:
        """Forget what is older; how many folders that were."""
        before = max(0.0, self._core.clock().wall - self._keep_seconds)
        return _forget_folders(self._core, before) + _sweep()

    def start(self) -> None:
        """Soon, and then every day, for as long as the process lives."""
        threading.Thread(target=self._run, name="tidier", daemon=True).start()

    def _run(self) -> None:
        pause = _FIRST_TIDYING
        while True:
            time.sleep(pause)
            pause = _DAY
            try:
                count = self.round()
                _logger.info("forgotten on this machine: %d folders", count)
            except Exception:
                # The database may be away; there is no hurry.
                _logger.exception("this machine could not be tidied")
                pause = _FIRST_TIDYING


def _forget_folders(core: Core, before: float) -> int:
    return sum(_forget_folder(core, folder, before) for folder in _folders())


def _forget_folder(core: Core, folder: Path, before: float) -> int:
    with core.database.read() as session:
        row = environments.get(session, folder.name)
    try:
        old = folder.stat().st_mtime < before if row is None else row.ended_at is not None and row.ended_at < before
    except OSError:
        return 0
    if not old:
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        paths.environment_lock(folder.name).unlink()
    return 1


def _sweep() -> int:
    return sum(_scratch.sweep(str(place), prefixes) for place, prefixes in _temporary())


def _folders() -> Iterator[Path]:
    """The folders of single environments."""
    for folder in (paths.runs_folder("any"), paths.source_folder("any"), paths.rescuing_folder("any")):
        yield from _of_environments(folder.parent)
    yield from _of_environments(paths.keys_folder())


def _of_environments(parent: Path) -> list[Path]:
    try:
        return [entry for entry in parent.iterdir() if len(entry.name) == _LENGTH_OF_ID and entry.is_dir()]
    except OSError:
        return []


def _temporary() -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Where killed processes leave temporary folders: (place, how their names begin)."""
    yield Path(tempfile.gettempdir()), _scratch.PREFIXES
    for name in ("sources", "uploads"):
        yield paths.cache_folder() / name, ("",)
