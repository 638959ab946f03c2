# SPDX-License-Identifier: GPL-3.0-or-later
"""All followers of one process: one thread reads the log once for all of them, another serves their connections.

What has just been logged is kept in memory, once, as frames that go to everybody alike. Who is behind that reads the
database from their cursor on, a page at a time: nobody's slowness is paid for by anybody else, in time or in memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from wsproto.frame_protocol import FrameProtocol

from fuelctl.accounts import tokens
from fuelctl.config import Settings
from fuelctl.environments.core import Core
from fuelctl.environments.views import event_view
from fuelctl.server import metrics
from fuelctl.server.follower import Follower
from fuelctl.server.hand_over import Ticket
from fuelctl.store import log_pages
from fuelctl.store.log_pages import Logged

_logger = logging.getLogger(__name__)
#: Events kept in memory for everybody.
_KEPT = 2000
#: Events that one follower is given at a time.
_PAGE = 200
_LOOK_AT_LEAST = 1.0
#: Followers that read the database at the same time.
_READERS = 4
#: Seconds after which who follows is asked for a good token again.
_PROVE_AGAIN = 5.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Entry:
    """One event as it goes out: `frame` is the WebSocket frame with its JSON."""

    seq: int
    environment_id: str
    workspace: str
    frame: bytes


def _entry(logged: Logged) -> Entry:
    text = json.dumps(asdict(event_view(logged.row)), separators=(",", ":"))
    # Not masked and not compressed, so it is the same for all.
    frame = FrameProtocol(client=False, extensions=[]).send_data(text, fin=True)
    return Entry(logged.row.seq, logged.row.environment_id, logged.workspace, bytes(frame))


class Hub:
    """Followers of one process, `most` at a time. `take` may be called from any thread."""

    def __init__(self, core: Core, *, most: int, patience: float, ping: float) -> None:
        """`patience`: seconds for which a follower may leave unread what was sent. `ping`: between two."""
        self.core = core
        self.most = most
        self.patience = patience
        self.ping = ping
        self.count = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="followers-read")
        self._tasks: set[asyncio.Task[None]] = set()
        #: token id -> whether it was good when last looked at.
        self._tokens: dict[str, bool] = {}
        # What is in memory: everything after `_floor` up to the last entry.
        self._entries: list[Entry] = []
        self._seqs: list[int] = []
        self._floor: int | None = None
        self._news = asyncio.Event()
        self._somebody = threading.Event()

    def take(self, connection: socket.socket, ticket: Ticket) -> None:
        """Serve this follower from here on; who is too many is told so."""
        connection.setblocking(False)
        with self._lock:
            if self._loop is None and not self.stopping.is_set():
                self._begin()
        if self.stopping.is_set():
            connection.close()
            return
        self._call(self._keep, Follower(self, connection, ticket))

    def came(self) -> None:
        """One more follower, on the loop."""
        self.count += 1
        metrics.followers(self.count)
        self._somebody.set()

    def went(self) -> None:
        """One less."""
        self.count -= 1
        metrics.followers(self.count)

    def stop(self) -> None:
        """Tell all followers that this process ends. Returns at once, and may be called from a signal's handler."""
        self.stopping.set()
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._end)

    def join(self) -> None:
        """Wait, a little, until all have been told."""
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    def good(self, token_id: str | None) -> bool:
        """Whether who follows may still."""
        return token_id is None or self._tokens.setdefault(token_id, True)

    async def after(self, cursor: int | None, ticket: Ticket) -> tuple[list[bytes], int]:
        """Frames of what `ticket` wants beyond `cursor`, waited for, and the cursor that they lead to."""
        while True:
            # Taken before looking: what is added meanwhile is not waited for.
            news = self._news
            floor = self._floor
            if floor is None:
                await news.wait()
                continue
            if cursor is None:
                cursor = self._top(floor)
            if cursor < floor:
                found, cursor = await self._page(cursor, ticket)
            else:
                begin = bisect_right(self._seqs, cursor)
                some = [entry for entry in self._entries[begin:] if _wanted(entry, ticket)][:_PAGE]
                found = [entry.frame for entry in some]
                cursor = some[-1].seq if len(some) == _PAGE else max(cursor, self._top(floor))
            if found:
                return found, cursor
            if cursor >= self._top(floor) and self._floor == floor and news is self._news:
                await news.wait()

    def _top(self, floor: int) -> int:
        return self._seqs[-1] if self._seqs else floor

    async def _page(self, cursor: int, ticket: Ticket) -> tuple[list[bytes], int]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers, self._read, cursor, ticket)
        except SQLAlchemyError as error:
            # Away for a moment, as for everybody; the cursor says where to go on.
            _logger.warning("the event log cannot be read: %s", str(error).splitlines()[0])
            await asyncio.sleep(_LOOK_AT_LEAST)
            return [], cursor

    def _read(self, cursor: int, ticket: Ticket) -> tuple[list[bytes], int]:
        with self.core.database.read() as session:
            found, reached = log_pages.page(session, cursor, ticket.environments, ticket.workspaces, _PAGE)
            return [_entry(logged).frame for logged in found], reached

    def _begin(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="followers", daemon=True)
        self._thread.start()
        threading.Thread(target=self._tail, name="followers-tail", daemon=True).start()
        threading.Thread(target=self._prove, name="followers-prove", daemon=True).start()

    def _serve(self) -> None:
        loop = self._loop
        if loop is None:
            return
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    def _keep(self, follower: Follower) -> None:
        task = asyncio.ensure_future(follower.serve())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self) -> None:
        """On the loop: have everybody told, and end when that is done."""
        for task in self._tasks:
            task.cancel()
        everything = asyncio.gather(*self._tasks, return_exceptions=True)
        loop = asyncio.get_running_loop()
        everything.add_done_callback(lambda _done: loop.stop())
        loop.call_later(_STOP_SECONDS, loop.stop)

    def _tail(self) -> None:
        """Read what is logged, once, and have it kept for all."""
        cursor: int | None = None
        while not self.stopping.is_set():
            if self.count == 0:
                # Nobody is there: nothing is read, and who comes next begins anew.
                self._somebody.clear()
                if cursor is not None:
                    self._call(self._forget)
                cursor = None
                self._somebody.wait(_LOOK_AT_LEAST)
                continue
            rung = self.core.bell.count()
            try:
                with self.core.database.read() as session:
                    if cursor is None:
                        cursor, entries = log_pages.last(session), []
                        self._call(self._begin_at, cursor)
                    else:
                        found, cursor = log_pages.page(session, cursor, [], [], _KEPT // 4)
                        entries = [_entry(logged) for logged in found]
            except SQLAlchemyError as error:
                _logger.warning("the event log cannot be read: %s", str(error).splitlines()[0])
                self.stopping.wait(_LOOK_AT_LEAST)
                continue
            except Exception:
                # Everybody who follows lives by this thread: it goes on, whatever it was.
                _logger.exception("the event log cannot be read")
                self.stopping.wait(_LOOK_AT_LEAST)
                continue
            if entries:
                self._call(self._add, entries)
            else:
                self.core.bell.wait(rung, _LOOK_AT_LEAST)

    def _prove(self) -> None:
        """Look again and again whether the tokens of those who follow are good."""
        while not self.stopping.wait(_PROVE_AGAIN):
            for token_id in list(self._tokens):
                try:
                    self._tokens[token_id] = tokens.still_good(self.core, token_id)
                except SQLAlchemyError as error:
                    _logger.warning("tokens cannot be looked at: %s", str(error).splitlines()[0])
                    break

    def _call(self, work: Any, *arguments: Any) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(work, *arguments)

    def _forget(self) -> None:
        self._floor = None
        self._entries, self._seqs = [], []

    def _begin_at(self, cursor: int) -> None:
        self._floor = cursor
        self._wake()

    def _add(self, entries: list[Entry]) -> None:
        self._entries += entries
        self._seqs += [entry.seq for entry in entries]
        surplus = len(self._entries) - _KEPT
        if surplus > 0:
            self._floor = self._seqs[surplus - 1]
            del self._entries[:surplus]
            del self._seqs[:surplus]
        self._wake()

    def _wake(self) -> None:
        waiting, self._news = self._news, asyncio.Event()
        waiting.set()


def hub_of(core: Core, settings: Settings) -> Hub:
    """One that serves as many as `settings` allow."""
    return Hub(
        core, most=settings.max_followers, patience=settings.follower_patience_seconds, ping=settings.ping_seconds
    )


def _wanted(entry: Entry, ticket: Ticket) -> bool:
    if not ticket.environments and not ticket.workspaces:
        return True
    return entry.environment_id in ticket.environments or entry.workspace in ticket.workspaces
