# SPDX-License-Identifier: GPL-3.0-or-later
"""The private key over HTTP: handed out exactly once, and again to the request that got it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from fuelctl import paths
from tests.fuelctl.api import make, problem
from tests.fuelctl.control import HandClock


def give_key(environment_id: str) -> Path:
    folder = paths.private_folder(paths.key_folder(environment_id))
    (folder / "id_ed25519").write_text("PRIVATE")
    (folder / "id_ed25519.pub").write_text("PUBLIC")
    return folder / "id_ed25519"


def asking(number: int = 0) -> dict[str, str]:
    return {"Idempotency-Key": f"a long and random key {number}"}


def outcomes(http: FlaskClient, made: dict[str, Any]) -> list[str]:
    told = http.get(f"/api/remote/{made['id']}/events").json["events"]
    return [event["data"]["outcome"] for event in told if event["type"] == "remote.key"]


def test_of_a_hundred_requests_one_gets_the_key_and_only_that_one_again(http: FlaskClient) -> None:
    made = make(http)
    private, path = give_key(made["id"]), f"/api/remote/{made['id']}/ssh-key"
    barrier = threading.Barrier(100)
    won: list[int] = []

    def fetch(number: int) -> None:
        with http.application.test_client() as another:
            barrier.wait()
            if another.get(path, headers=asking(number)).status_code == 200:
                won.append(number)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert http.get(path, headers=asking(won[0])).json == {"private_key": "PRIVATE", "public_key": "PUBLIC"}
    problem(http.get(path, headers=asking(won[0] + 1000)), 410, "key_gone")
    problem(http.get(path), 410, "key_gone")
    problem(http.delete(path, headers=asking(won[0] + 1000)), 409, "not_the_receiver")
    problem(http.delete(path), 409, "not_the_receiver")
    assert private.exists()
    assert http.delete(path, headers=asking(won[0])).json == {"forgotten": True}
    assert http.delete(path, headers=asking(won[0])).json == {"forgotten": False}
    assert sorted(entry.name for entry in private.parent.iterdir()) == ["id_ed25519.pub"]
    problem(http.get(path, headers=asking(won[0])), 410, "key_gone")
    assert sorted(outcomes(http, made)) == ["refused"] * 102 + ["repeated", "served"]


def test_the_time_for_asking_again_ends(http: FlaskClient, clock: HandClock) -> None:
    made = make(http)
    private, path = give_key(made["id"]), f"/api/remote/{made['id']}/ssh-key"
    assert http.get(path, headers=asking()).status_code == 200
    clock.pass_(599)
    assert http.get(path, headers=asking()).status_code == 200
    clock.pass_(2)
    problem(http.get(path, headers=asking()), 410, "key_gone")
    assert not private.exists()


def test_a_key_that_could_not_be_read_was_not_handed_out(http: FlaskClient) -> None:
    made = make(http)
    private, path = give_key(made["id"]), f"/api/remote/{made['id']}/ssh-key"
    private.with_suffix(".pub").unlink()
    problem(http.get(path, headers=asking()), 410, "key_gone")
    private.with_suffix(".pub").write_text("PUBLIC")
    assert http.get(path, headers=asking(1)).status_code == 200


def test_a_death_before_the_answer_leaves_the_key_to_the_same_request(http: FlaskClient, clock: HandClock) -> None:
    """The server is killed between its mark and its answer: a real process, on this database and its own clock."""
    clock.wall = time.time()
    made = make(http)
    give_key(made["id"])
    path = f"/api/remote/{made['id']}/ssh-key"
    script = (
        "from fuelctl import paths; from fuelctl.config import Settings; from fuelctl.environments.core import Core;"
        "from fuelctl.server.app import create_app; from fuelctl.server.parts import Parts;"
        "from fuelctl.store.database import Database, sqlite_url; from fuelctl.store.secrets import Safe;"
        "core = Core(Database(sqlite_url(paths.database_file())), Safe(paths.secret_key_file()));"
        f"create_app(Parts(core, print, Settings())).test_client().get({path!r}, headers={asking()!r})"
    )
    died = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "FUELCTL_CRASH_AT": "key.marked"}, check=False
    )
    assert died.returncode == -signal.SIGKILL
    problem(http.get(path, headers=asking(1)), 410, "key_gone")
    assert http.get(path, headers=asking()).json["private_key"] == "PRIVATE"
    assert outcomes(http, made) == ["served", "refused", "repeated"]
