# SPDX-License-Identifier: GPL-3.0-or-later
"""The real control plane over HTTP, in which a test plays the part of the workflows: the CLI cannot tell.

Database, state machine, API and event log are the product's own; only what a playbook would report is written here.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from fuelctl import __version__, paths
from fuelctl.config import Settings
from fuelctl.environments.audit import Place, Seen, read
from fuelctl.environments.core import Core, MachineError
from fuelctl.environments.journal import Journal
from fuelctl.environments.registry import begin_termination
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store.database import Database, sqlite_url
from fuelctl.store.models import EnvironmentRow
from fuelctl.store.secrets import Safe
from fuelctl.workflows.volume import check_has_volume

HOST_KEY = "ssh-ed25519 " + "A" * 68
Play = Callable[["Stage", Journal], None]


@dataclass
class Done:
    """A command that ran in the test's own process: exit code, standard output and error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Stage:
    """One control plane. `plays` says what happens when an operation starts; without an entry, nothing does."""

    def __init__(self, core: Core) -> None:
        self.core = core
        #: Its address, where it is reached over TCP.
        self.url = ""
        self.plays: dict[str, Play] = {"provision": ready, "terminate": gone}
        self.faults: list[Exception] = []
        self.looks = 0
        #: Whether machines let keys in, and which they did: (environment, key).
        self.admits = True
        self.admitted: list[tuple[str, str]] = []
        #: What machines were put into: (environment, state).
        self.powered: list[tuple[str, str]] = []
        #: The disk that outlives machines, as their provider shows it; None where there is none.
        self.disk: dict[str, Any] | None = None
        #: What was asked of it.
        self.disks: list[tuple[str, dict[str, Any]]] = []
        #: Provider -> what it shows; a failure is raised. What was asked for is in `places`.
        self.shown: dict[str, list[dict[str, Any]] | MachineError] = {"local": []}
        self.places: list[Place] = []
        self._threads: list[threading.Thread] = []

    def start(self, operation: str, environment_id: str, operation_id: str) -> None:
        """What the API is handed."""
        play = self.plays.get(str(operation))
        if play is None:
            return

        def run() -> None:
            try:
                play(self, Journal.open(self.core, environment_id, operation_id))
            except Exception as error:  # noqa: BLE001 - told to the test by join()
                self.faults.append(error)

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def look(self) -> None:
        """A person wants to know how an environment is."""
        self.looks += 1

    def admit(self, row: EnvironmentRow, public_key: str) -> None:
        """A key is to open an environment."""
        if not self.admits:
            raise MachineError("the engine does not answer", hint="start it", code="docker_unavailable")
        self.admitted.append((row.id, public_key))

    def power(self, row: EnvironmentRow, state: str) -> None:
        """A machine is to be stopped, or started."""
        self.powered.append((row.id, state))

    def ask_volume(self, row: EnvironmentRow, wanted: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Of the disk that outlives its machine."""
        if self.disk is None:
            check_has_volume(row)
        assert self.disk is not None
        self.disks.append((wanted, arguments))
        if wanted == "extended":
            self.disk["size_gb"] = max(self.disk["size_gb"], arguments["size_gb"])
        if wanted == "snapshotted":
            made = {"id": "vs_new", "created_at": "2026-01-02T00:00:00Z", "state": "", "stored_bytes": 0, "days": 5}
            self.disk["snapshots"].insert(0, made)
            return {**self.disk, "snapshot": "vs_new"}
        return self.disk

    def audit(self, place: Place) -> Seen:
        """A provider is asked for all that carries our label."""
        self.places.append(place)
        shown = self.shown.get(place.provider, [])
        if isinstance(shown, MachineError):
            raise shown
        return Seen([read(place.provider, each) for each in shown], [])

    def tell(self, journal: Journal, type_: str, **data: Any) -> None:
        journal.log([self.core.event(type_, data)])

    def join(self) -> None:
        for thread in self._threads:
            thread.join(120)
        if self.faults:
            raise self.faults[0]


@contextmanager
def stage(*, tcp: bool = False, **settings: Any) -> Iterator[Stage]:
    """Serve on this home's own socket, as the embedded server does; with `tcp`, as a team's server does."""
    paths.private_folder(paths.state_folder())
    database = Database(sqlite_url(paths.database_file()))
    database.migrate()
    made = Stage(Core(database, Safe(paths.secret_key_file())))
    app = create_app(
        Parts(
            core=made.core,
            start=made.start,
            settings=Settings(**settings),
            embedded=not tcp,
            look=made.look,
            admit=made.admit,
            power=made.power,
            ask_volume=made.ask_volume,
            audit=made.audit,
            auditable=lambda known: sorted(known | made.shown.keys()),
        )
    )
    socket = paths.private_folder(paths.server_socket().parent) / paths.server_socket().name
    server = make_server("127.0.0.1" if tcp else f"unix://{socket}", 0, app, threaded=True)
    if tcp:
        made.url = f"http://127.0.0.1:{server.server_port}"
    else:
        paths.private_file(paths.server_file(), json.dumps({"pid": os.getpid(), "version": __version__}).encode())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
        made.join()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        socket.unlink(missing_ok=True)
        database.close()


def connection(environment_id: str) -> dict[str, Any]:
    return {
        "user": "dev",
        "container": f"fuel-code-{environment_id.lower()}-1",
        "workspace": "/workspaces/it's here",
        "folder": "services/api",
        "host_key": HOST_KEY,
        "ports": [{"container": 8080, "host": 18080}],
    }


def give_key(environment_id: str) -> None:
    """What module ssh_keypair leaves on the controller."""
    folder = paths.private_folder(paths.key_folder(environment_id))
    (folder / "id_ed25519").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n")
    (folder / "id_ed25519.pub").write_text("ssh-ed25519 AAAA x\n")


def become_ready(journal: Journal, *conditions: dict[str, Any]) -> None:
    give_key(journal.environment_id)
    journal.ready(
        {
            "connection": connection(journal.environment_id),
            "agent": {"name": "claude-code", "version": "2.1.330"},
            "resources": [],
            "conditions": list(conditions),
            "provider": {"address": "127.0.0.1"},
        }
    )


def ready(stage: Stage, journal: Journal) -> None:
    """A provisioning that works."""
    stage.tell(journal, "remote.stage", stage="container", state="start")
    stage.tell(journal, "remote.step", stage="container", step="build image", state="start")
    stage.tell(journal, "remote.step", stage="container", step="build image", state="ok", seconds=1.5, message="")
    stage.tell(journal, "remote.output", stage="setup", step="npm ci", text="added 3 packages\n")
    stage.tell(journal, "remote.stage", stage="container", state="ok", seconds=2.25, message="")
    stage.tell(journal, "remote.stage", stage="agent", state="reused", seconds=0.1, message="2.1.330")
    become_ready(journal)


def degraded(stage: Stage, journal: Journal) -> None:
    """A provisioning whose set-up command failed."""
    details = {"command": "npm ci", "rc": 7, "tail": "npm error one\nnpm error \x1b[31mtwo\x1b[0m\n"}
    become_ready(journal, {"type": "degraded", "message": "npm ci failed", "details": details})


def receipt(complete: bool = True) -> dict[str, Any]:
    resources = [
        {"kind": "container", "name": "fuel-code-x-1", "state": "gone" if complete else "present", "detail": ""},
        {"kind": "volume", "name": "fuel-code-x-1-workspace", "state": "gone", "detail": ""},
    ]
    return {"complete": complete, "checked_at": "2026-01-01T00:00:00Z", "resources": resources}


def failed(stage: Stage, journal: Journal) -> None:
    """A provisioning that failed and was undone."""
    stage.tell(journal, "remote.stage", stage="container", state="start")
    stage.tell(journal, "remote.stage", stage="container", state="failed", seconds=0.5, message="no such image")
    error = {
        "message": "image nowhere:1 does not exist",
        "hint": "check the name of the image",
        "where": "image",
        "code": "image_missing",
        "stage": "container",
        "tail": ["pull access denied", "for nowhere"],
    }
    journal.failed(error, receipt())


def gone(_stage: Stage, journal: Journal) -> None:
    """A termination that works."""
    journal.destroying()
    journal.terminated(receipt())


def refused(_stage: Stage, journal: Journal) -> None:
    """A termination that would lose work, unless that was agreed to."""
    if (journal.row().operation_options or {}).get("discard"):
        gone(_stage, journal)
        return
    journal.refused({"uncommitted": ["draft.txt"], "unpushed": [{"branch": "agent/work", "commits": 2}], "stashes": []})


def ending(stage: Stage, environment_id: str) -> tuple[str, str]:
    """Its time is over: what `stage.start("terminate", ...)` takes."""
    _row, operation_id = begin_termination(stage.core, environment_id, discard=True, by="ttl")
    assert operation_id is not None
    return environment_id, operation_id


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(folder: Path, blueprint: str | None = "version: 1\nimage: debian:bookworm\n") -> Path:
    """A repository with one commit, and a blueprint unless that is None."""
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("# it\n")
    if blueprint is not None:
        (folder / ".fuel-code").mkdir()
        (folder / ".fuel-code" / "env.yaml").write_text(blueprint)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Start")
    return folder
