# SPDX-License-Identifier: GPL-3.0-or-later
"""A team's control plane on a real Postgres, its workers real processes, each with a home of its own as on a machine.

The test plays the server: it commits intents and enqueues them. Playbooks make files, in a folder that all share.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from fuelctl import paths
from fuelctl.environments import registry
from fuelctl.environments.core import Core
from fuelctl.store import environments, events, workers
from fuelctl.store.database import Database
from fuelctl.store.files import Files
from fuelctl.store.models import EnvironmentRow, WorkerRow
from fuelctl.store.secrets import Safe, agree_on_key
from fuelctl.workflows.enqueue import Enqueuer, prepare
from tests.fuelctl.control import wanted
from tests.fuelctl.test_supervise import alive

ROOT = Path(__file__).parents[2]
#: Seconds of silence until a worker stops, its playbooks end, and it is dead to others: far more than a process that
#: gets no turn on a busy machine is silent. Who is killed is dead at once, whatever they are.
PATIENT = (60.0, 75.0, 90.0)
#: For tests that wait for that time.
BRIEF = (10.0, 12.0, 22.0)


class Process:
    """One worker process."""

    def __init__(self, home: Path, url: str, key: Path, **environment: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.log = home / "worker.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuelctl.lab_worker"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "FUELCTL_HOME": str(home),
                    "FUELCTL_DATABASE": url,
                    "FUELCTL_SECRET_KEY_FILE": str(key),
                    **environment,
                },
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(120)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def said(self, words: str) -> int:
        return self.log.read_text().count(words)

    def children(self) -> list[int]:
        """Processes of its playbooks: what bears its home in its environment or command line, and is not the worker."""
        return [pid for pid in alive(str(self.home)) if pid != self.process.pid]

    def stop(self) -> None:
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                self.send(signal.SIGCONT)
            self.kill()


class Team:
    """The server's part, and the workers."""

    def __init__(self, url: str, key: Path, folder: Path, times: tuple[float, float, float] = PATIENT) -> None:
        self.url = url
        self._key = key
        self._times = times
        self._dead_after, workers.DEAD_AFTER = workers.DEAD_AFTER, times[2]
        self.folder = folder
        self.world = folder / "world"
        paths.private_folder(paths.state_folder())
        database = Database(url)
        database.migrate()
        with database.migration_lock():
            prepare(url)
        self.core = Core(database, Safe(key))
        agree_on_key(database, self.core.safe)
        self.enqueuer = Enqueuer(self.core, url)
        self.workers: list[Process] = []

    @property
    def files(self) -> Files:
        return self.core.files

    def worker(self, url: str | None = None, **environment: str) -> Process:
        """A new one; `ready` waits for it."""
        times = " ".join(map(str, self._times))
        environment = {"FUELCTL_LAB_TIMES": times, **environment}
        made = Process(self.folder / f"machine-{len(self.workers)}", url or self.url, self._key, **environment)
        self.workers.append(made)
        return made

    def ready(self, worker: Process, times: int = 1) -> None:
        self.until(lambda: worker.said("is ready") >= times, why=worker.log.read_text)

    def go(self) -> None:
        """What waits goes on, and nothing waits from here on."""
        self.world.mkdir(parents=True, exist_ok=True)
        (self.world / "go").touch()

    def living(self) -> list[WorkerRow]:
        with self.core.database.read() as session:
            return workers.alive(session)

    def up(self, *, start: bool = True, **fields: Any) -> str:
        options = {"world": str(self.world)}
        row = registry.create(self.core, wanted(provider={"name": "local", "options": options}, **fields))
        operation_id = registry.begin_provisioning(self.core, row.id)
        assert operation_id is not None
        if start:
            self.enqueuer.start("provision", row.id, operation_id)
        return row.id

    def down(self, *ids: str) -> None:
        begun = [(one, registry.begin_termination(self.core, one, discard=True, by="user")[1]) for one in ids]
        for one, operation_id in begun:
            assert operation_id is not None
            self.enqueuer.start("terminate", one, operation_id)

    def row(self, environment_id: str) -> EnvironmentRow:
        with self.core.database.read() as session:
            row = environments.get(session, environment_id)
        assert row is not None
        return row

    def settled(self, environment_id: str) -> EnvironmentRow:
        self.until(lambda: self.row(environment_id).operation_id is None)
        return self.row(environment_id)

    def working(self, environment_id: str, times: int = 1) -> None:
        """Until its container is being made, for the so manieth time."""
        self.until(lambda: len(self.made(environment_id)) >= times)

    def made(self, environment_id: str) -> list[tuple[float, str]]:
        """When its container was made, and with which public key."""
        return [(at, key) for _pid, at, key in self._makings(environment_id)]

    def alone(self, environment_id: str) -> bool:
        """Whether each of its makings, which waited, gave its last sign of life before the next one began."""
        makings = self._makings(environment_id)
        last = [float((self.world / f"alive-{pid}").read_text()) for pid, _at, _key in makings[:-1]]
        return all(sign < at for sign, (_pid, at, _key) in zip(last, makings[1:], strict=True))

    def _makings(self, environment_id: str) -> list[tuple[int, float, str]]:
        log = self.world / "made.log"
        lines = [line.split(maxsplit=3) for line in log.read_text().splitlines()] if log.exists() else []
        return [(int(line[1]), float(line[2]), line[3]) for line in lines if line[0] == environment_id]

    def told(self, environment_id: str) -> list[Any]:
        with self.core.database.read() as session:
            return events.after(session, 0, environment_id=environment_id, limit=10_000)

    def containers(self) -> list[str]:
        return sorted(item.name for item in self.world.glob("fuel-code-*")) if self.world.exists() else []

    def said(self) -> str:
        return "\n".join(f"--- {one.home.name}\n{one.log.read_text()[-3000:]}" for one in self.workers)

    def until(self, condition: Callable[[], object], why: Callable[[], str] | None = None) -> float:
        """Seconds until it holds."""
        begun = time.monotonic()
        while time.monotonic() - begun < 240:
            if condition():
                return time.monotonic() - begun
            time.sleep(0.1)
        raise AssertionError(f"it never came true\n{(why or self.said)()}")

    def stop(self) -> None:
        workers.DEAD_AFTER = self._dead_after
        for worker in self.workers:
            worker.stop()
        self.enqueuer.close()
        self.core.database.close()


class Cable:
    """A TCP connection to the database that can be cut: what is sent then goes nowhere, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open = threading.Event()
        self._open.set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self) -> str:
        return f"postgresql+psycopg://fuel@127.0.0.1:{self.port}/postgres"

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        """New connections work; those of before were forgotten by the network."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for one in pair:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        self._open.set()

    def close(self) -> None:
        self._server.close()
        self.mend()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._server.accept()
            except OSError:
                return
            self._open.wait()
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._pairs.append((client, server))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with closing(source), closing(target), suppress(OSError):
            while content := source.recv(1 << 16):
                self._open.wait()
                target.sendall(content)
            # To close it is not enough: the other thread waits in it, and the end would not be told.
            target.shutdown(socket.SHUT_RDWR)


def pretend(**how: Any) -> dict[str, Any]:
    """A blueprint whose container does so."""
    return {"image": "debian", "env": {"PRETEND": json.dumps(how)}}
