# SPDX-License-Identifier: GPL-3.0-or-later
"""The courier: takes what happened from the log into the outbox, and brings it to the receivers until it has arrived.

Whoever dies in between leaves it in the outbox, claimed for a while; then it is sent again, under the same id. Each
receiver has a thread of its own: one that is dead or slow holds up itself alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import Core
from fuelctl.environments.registry import NotFoundError
from fuelctl.store import environments, outbox
from fuelctl.store.ulids import new_ulid
from fuelctl.webhooks import story
from fuelctl.webhooks.receivers import Receiver, Receivers
from fuelctl.webhooks.send import Sender, Sent
from fuelctl.webhooks.signature import headers

_logger = logging.getLogger(__name__)
#: Seconds between two looks into log and outbox; what this process writes is seen at once.
_PAUSE = 5.0
#: Events that are taken in at a time.
_BATCH = 500
#: Seconds until it is tried again: doubled each time, from the first to the last; then it is given up.
FIRST_RETRY = 10.0
SLOWEST_RETRY = 3600.0
ATTEMPTS = 30
#: Of one receiver; the oldest go.
MOST = 10_000
#: Failures in a row after which a receiver is loudly complained about.
_LOUD = 5


def retry_delay(attempts: int) -> float:
    """Seconds from the `attempts`-th try (from 0) to the next."""
    return float(min(FIRST_RETRY * 2.0 ** min(attempts, 16), SLOWEST_RETRY))


class Courier:
    """`start()` and `stop()` with whoever runs the reaper; may be started again. Without receivers it does nothing."""

    def __init__(self, core: Core, receivers: Receivers, *, sender: Sender | None = None, most: int = MOST) -> None:
        self._core = core
        self._receivers = receivers
        self._sender = sender or Sender(receivers.allowed)
        self._most = most
        self._stopped = threading.Event()
        self._news = threading.Condition()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin with what the outbox holds."""
        self._stopped.clear()
        self._tidy()
        if not self._receivers.known:
            return
        works: list[tuple[str, Callable[[], float]]] = [("log", self._listen)]
        works += [(each.name, partial(self._serve, each)) for each in self._receivers.known]
        self._threads = [
            threading.Thread(target=self._loop, args=(work,), name=f"webhooks-{name}", daemon=True)
            for name, work in works
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send nothing new; what is on its way may still arrive."""
        self._stopped.set()
        self._core.bell.ring()
        with self._news:
            self._news.notify_all()

    def take_in(self) -> int:
        """Write what happened since the last time into the outbox, and remember up to where; how many messages."""
        with self._core.database.read() as session:
            known = outbox.cursor(session)
            _rows, last = outbox.news(session, known or 0, story.TYPES, 1)
            if known is not None and last == known:
                return 0
        with self._core.database.write() as session:
            known = outbox.cursor(session, lock=True)
            if known is None:
                # Nobody wants to be told what was before.
                outbox.move_cursor(session, last)
                return 0
            rows, last = outbox.news(session, known, story.TYPES, _BATCH)
            about = environments.by_id(session, [row.environment_id for row in rows])
            count = 0
            for row in rows:
                told = story.tell(row, about.get(row.environment_id))
                count += self._put(session, *told) if told is not None else 0
            outbox.move_cursor(session, last)
        if count:
            self._wake()
        return count

    def announce(self, type_: str, data: Mapping[str, object]) -> int:
        """Tell something that is in no environment's log; how many receivers want it."""
        body = story.document(type_, self._core.clock().wall, data)
        with self._core.database.write() as session:
            count = self._put(session, type_, body)
        self._wake()
        return count

    def deliver(self, receiver: Receiver) -> Sent | None:
        """Send the one that waits longest; what came of it, or None when nothing is due."""
        now = self._core.clock().wall
        with self._core.database.write() as session:
            one = outbox.due(session, receiver.name, now, within=SLOWEST_RETRY)
            if one is None or not outbox.claim(session, one, now + retry_delay(one.attempts)):
                return None
        done = self.send(receiver, one.id, one.body)
        attempts = one.attempts + 1
        with self._core.database.write() as session:
            if done.arrived or attempts >= ATTEMPTS:
                outbox.remove(session, one.id)
            else:
                outbox.failed(session, one.id, str(done.problem))
        if not done.arrived:
            loud = attempts in (_LOUD, ATTEMPTS)
            end = "is given up" if attempts >= ATTEMPTS else "is tried again"
            words = "webhook %s: %s (%s) did not arrive at try %d and %s: %s"
            level = logging.ERROR if loud else logging.INFO
            _logger.log(level, words, receiver.name, one.id, one.type, attempts, end, done.problem)
        return done

    def state(self) -> list[dict[str, Any]]:
        """Every receiver, and what waits for it."""
        with self._core.database.read() as session:
            waiting = outbox.waiting(session)
        return [
            {
                "name": each.name,
                "host": each.host,
                "events": list(each.events),
                "waiting": waiting.get(each.name, {}).get("waiting", 0),
                "since": rfc3339(waiting.get(each.name, {}).get("since")),
                "problem": waiting.get(each.name, {}).get("problem"),
            }
            for each in self._receivers.known
        ]

    def try_out(self, name: str | None = None) -> list[dict[str, Any]]:
        """Send a test right now, past the outbox, to one receiver or to all: `[{name, host, arrived, status, ...}]`."""
        wanted = [each for each in self._receivers.known if name in (None, each.name)]
        if not wanted:
            known = ", ".join(each.name for each in self._receivers.known)
            raise NotFoundError(
                f"there is no webhook {name}" if name is not None else "no webhook is set up",
                hint=f"known: {known}"
                if known
                else "add a table [[control_plane.webhooks]] to the server's config.toml",
                code="not_found",
            )
        at = self._core.clock().wall
        body = story.document("test", at, {"message": "a test, by somebody who wants to know whether this arrives"})
        return [
            {"name": each.name, "host": each.host, **asdict(done), "arrived": done.arrived}
            for each in wanted
            for done in [self.send(each, new_ulid(at), body)]
        ]

    def send(self, receiver: Receiver, delivery_id: str, body: str) -> Sent:
        """One request, signed now."""
        content = body.encode("utf-8")
        signed = headers(receiver.key, delivery_id, int(self._core.clock().wall), content)
        return self._sender.post(receiver.url, content, signed)

    def _put(self, session: Session, type_: str, body: str) -> int:
        count = 0
        for each in self._receivers.known:
            if each.wants(type_):
                count += 1
                lost = outbox.put(session, each.name, type_, body, self._core.clock().wall, most=self._most)
                if lost:
                    _logger.error("webhook %s: %d of the oldest were dropped, its outbox is full", each.name, lost)
        return count

    def _tidy(self) -> None:
        with self._core.database.write() as session:
            gone = outbox.keep_only(session, [each.name for each in self._receivers.known])
        if gone:
            _logger.warning("%d messages for receivers that are not in the settings any more were dropped", gone)

    def _listen(self) -> float:
        rung = self._core.bell.count()
        if self.take_in() < _BATCH:
            self._core.bell.wait(rung, _PAUSE)
        return 0.0

    def _serve(self, receiver: Receiver) -> float:
        return _PAUSE if self.deliver(receiver) is None else 0.0

    def _loop(self, work: Callable[[], float]) -> None:
        while not self._stopped.is_set():
            try:
                pause = work()
            except Exception:
                # The database may be away for a while.
                _logger.exception("webhooks: the outbox cannot be used")
                pause = _PAUSE
            if pause:
                with self._news:
                    if not self._stopped.is_set():
                        self._news.wait(pause)

    def _wake(self) -> None:
        with self._news:
            self._news.notify_all()
