# SPDX-License-Identifier: GPL-3.0-or-later
"""A team's server under load.

`fuelctl server run` on a Postgres of its own with 100,000 live environments and a log of a million events, all on this
machine: the server's processes, Postgres and whoever sends the requests share its cores, and what else it does is in
every figure but those of processor time. Requests come over connections that are kept, as a reverse proxy keeps them.
(Postgres does not wait for the disk here.)

- **heartbeats**: as many as one web process answers, of 30,000 machines in turn, each with a sample that is news and is
  written; by the clock, and by the processor time that this process used for them.
- **callbacks**: `ready`, `error` and events, twenty a second, while 300 heartbeats, 1,000 events and two lists a second
  go on beside them, with two web processes.
- **list**: a page of 50, of all, of one status and of one owner, one after the other.
- **events**: batches of 100 by HTTP, with two web processes.
- **followers**: as many at once as there may be (200), each of whom is told one event; and the one beyond that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import text

from fuelctl import _supervise, paths
from fuelctl.environments.core import Core
from fuelctl.store.database import Database
from fuelctl.store.secrets import Safe
from tests.bench._harness import CHECKOUT, Figure, Group, table
from tests.bench._load import Answers, Plan
from tests.bench._many import fill, fill_log, on_postgres, postgres_of, used
from tests.fuelctl.team_server import Follower, TeamServer, refused

LOGGED = int(os.environ.get("FUEL_BENCH_EVENTS", "1000000"))
SECONDS = float(os.environ.get("FUEL_BENCH_SECONDS", "20"))
BEATING = 30_000
FOLLOWERS = 200

Known = list[tuple[str, str]]


@dataclass
class Load:
    """What was answered, and the processor seconds that it took: of the web processes, and of Postgres."""

    answers: Answers
    web: float
    postgres: float

    @property
    def rate(self) -> float:
        return len(self.answers.latencies) / self.answers.elapsed

    def centile(self, share: float) -> float:
        """Milliseconds within which that share of them was answered."""
        found = sorted(self.answers.latencies)
        return found[min(len(found) - 1, int(share * len(found)))] * 1000


def measure() -> Group:
    with on_postgres() as database:
        core = Core(database, Safe(paths.secret_key_file()))
        ids = fill(core)
        _give_tokens(core)
        fill_log(core, ids, LOGGED)
        known = [(one, f"token-{one}") for one in ids]
        with _server(database, processes=1) as server:
            beats = _load(server, Plan("heartbeat", server.port, known[:BEATING], connections=32, seconds=SECONDS))
        with _server(database, processes=2) as server:
            listed = _load(server, Plan("list", server.port, [("", server.token)], connections=1, seconds=SECONDS / 2))
            told = _load(server, Plan("events", server.port, known[-2000:], connections=8, seconds=SECONDS))
            callbacks = _beside(server, known)
            at_once, seconds, beyond = _followers(server, known[0])
    figures = [
        Figure("heartbeats_per_s_of_a_process", beats.rate, 1000.0, "/s", len(beats.answers.latencies), "higher"),
        Figure(
            "heartbeats_per_s_of_processor_time",
            len(beats.answers.latencies) / beats.web,
            1000.0,
            "/s",
            len(beats.answers.latencies),
            "higher",
        ),
        Figure("callbacks_p99_ms", callbacks.centile(0.99), 100.0, "ms", len(callbacks.answers.latencies)),
        Figure("list_p95_ms", listed.centile(0.95), 20.0, "ms", len(listed.answers.latencies)),
        Figure("events_by_http_per_s", told.rate * 100, 5000.0, "/s", len(told.answers.latencies), "higher"),
        Figure("followers_at_once", float(at_once), float(FOLLOWERS), "", 1, "higher", f"the next one gets {beyond}"),
    ]
    rows = [
        (name, *(f"{load.centile(share):.1f}" for share in (0.5, 0.95, 0.99)), f"{load.rate:.0f}", *_costs(load))
        for name, load in (("heartbeats", beats), ("callbacks", callbacks), ("list", listed), ("events, by 100", told))
    ]
    heads = ("requests", "median ms", "p95", "p99", "a second", "web ms of processor each", "Postgres ms each")
    said = f"An event reached {at_once} followers within {seconds * 1000:.0f} ms of being sent.\n"
    return Group(figures=figures, details=table(heads, rows) + "\n" + said)


def _costs(load: Load) -> tuple[str, str]:
    count = len(load.answers.latencies)
    return f"{load.web / count * 1000:.2f}", f"{load.postgres / count * 1000:.2f}"


def _give_tokens(core: Core) -> None:
    """Each environment a token and a moment of its own, as real ones have."""
    statement = """
        UPDATE environments
        SET token_sha256 = encode(sha256(convert_to('token-' || id, 'UTF8')), 'hex'), created_at = created_at - random()
    """
    with core.database.write(durable=False) as session:
        session.execute(text(statement))


@contextmanager
def _server(database: Database, *, processes: int) -> Iterator[TeamServer]:
    """The server, when its reaper has gone round everything once."""
    quiet = {"FUELCTL_REAPER_SECONDS": "86400", "FUELCTL_OBSERVE_SECONDS": "86400"}
    with tempfile.TemporaryDirectory(prefix="fuel-code-bench-") as folder:
        server = TeamServer(
            Path(folder) / "home",
            database.url,
            FUELCTL_PROCESSES=str(processes),
            FUELCTL_MAX_FOLLOWERS=str(FOLLOWERS),
            FUELCTL_SECRET_KEY_FILE=str(paths.secret_key_file()),
            **quiet,
        )
        with database.write() as session:
            session.execute(text("DELETE FROM settings WHERE name = 'reaper'"))
            # A first admin is let in by each of them.
            session.execute(text("UPDATE tokens SET revoked_at = 1"))
        server.start()
        try:
            server.wait(lambda: server.ask("GET", "/readyz")[1]["reaper"]["last_cycle_at"], 300)
            yield server
        finally:
            server.stop()


def _load(server: TeamServer, plan: Plan) -> Load:
    """This load alone."""
    with _sender(plan) as sender:
        web, postgres = _web(server), postgres_of(server.environment["FUELCTL_DATABASE"])
        before = used(web), used(postgres)
        answers = _answers(sender, plan)
        # What was gathered is written within a second.
        time.sleep(1.5 if plan.kind == "heartbeat" else 0.0)
        return Load(answers, used(web) - before[0], used(postgres) - before[1])


def _beside(server: TeamServer, known: Known) -> Load:
    """Callbacks, while other requests come at their own pace."""
    port, longer = server.port, SECONDS + 3
    others = [
        Plan("heartbeat", port, known[BEATING : 2 * BEATING] or known, seconds=longer, per_second=300),
        Plan("events", port, known[-4000:-2000], connections=4, seconds=longer, per_second=10, first=5_000_000),
        Plan("list", port, [("", server.token)], connections=2, seconds=longer, per_second=2),
    ]
    with ExitStack() as stack:
        running = [(plan, stack.enter_context(_sender(plan))) for plan in others]
        for plan, sender in running:
            _begin(sender, plan)
        time.sleep(1.5)
        asked = Plan("callback", port, known[:500], seconds=SECONDS, per_second=20, first=9_000_000, batch=5)
        load = _load(server, asked)
        for _plan, sender in running:
            _end(sender)
    return load


def _followers(server: TeamServer, told: tuple[str, str]) -> tuple[int, float, int]:
    """How many followers were told an event, how soon the last of them was, and how the one beyond is answered."""
    followers = [Follower(server.port, server.token) for _turn in range(FOLLOWERS)]
    try:
        beyond = refused(server)[0]
        began = time.perf_counter()
        own_id, type_ = "01" + "9" * 24, "session.notification"
        event = {"id": own_id, "type": type_, "data": {"session": "s"}}
        headers = {"Authorization": f"Bearer {told[1]}"}
        status, answer, _headers = server.ask("POST", f"/api/remote/{told[0]}/events", {"events": [event]}, **headers)
        if status != 200:
            raise RuntimeError(f"an event was answered with {status}: {answer}")
        heard = [follower.until(type_)["id"] == own_id for follower in followers if follower.status == 101]
        return sum(heard), time.perf_counter() - began, beyond
    finally:
        for follower in followers:
            follower.leave()


@contextmanager
def _sender(plan: Plan) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "tests.bench._load"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=CHECKOUT, stdin=pipe, stdout=pipe, text=True) as sender:
        try:
            yield sender
        finally:
            if sender.poll() is None:
                sender.kill()


def _begin(sender: subprocess.Popen[str], plan: Plan) -> None:
    if sender.stdin is None:
        raise RuntimeError("there is nobody to tell the plan to")
    sender.stdin.write(json.dumps(asdict(plan)))
    sender.stdin.close()
    sender.stdin = None


def _end(sender: subprocess.Popen[str]) -> Answers:
    said, _errors = sender.communicate()
    found = Answers(**json.loads(said))
    wrong = {status: count for status, count in found.statuses.items() if status != "200"}
    if wrong or not found.latencies:
        raise RuntimeError(f"answers that were no success: {wrong}")
    return found


def _answers(sender: subprocess.Popen[str], plan: Plan) -> Answers:
    _begin(sender, plan)
    return _end(sender)


def _web(server: TeamServer) -> list[int]:
    """The web processes, without the one above them."""
    return _supervise._descendants(server.parts()["web"])
