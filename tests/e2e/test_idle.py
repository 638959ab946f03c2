# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends by silence, on a real container: what keeps it alive, what does not, and how it goes.

Nobody waits for half an hour: how long it was quiet is written into the control plane's database.
"""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from .harness import BASE_IMAGE, Fuelctl, docker, leftovers, make_repository, write_blueprint

pytestmark = pytest.mark.docker

NAME = "quiet"
LIMIT = 1800
UNSAVED = "idle, unsaved work"


@pytest.fixture(scope="module")
def environment(user: Fuelctl, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A ready environment whose control plane asks every two seconds and decides every second."""
    user.environment |= {"FUELCTL_OBSERVE_SECONDS": "2", "FUELCTL_REAPER_SECONDS": "1"}
    repository = make_repository(tmp_path_factory.mktemp("idle") / "repo")
    write_blueprint(repository, f"version: 1\nimage: {BASE_IMAGE}\n")
    document: dict[str, Any] = user.run(
        "up", str(repository), f"--name={NAME}", "--idle=30m", "--no-rescue", "--clean", "--yes", "--json"
    ).json
    wait_until(lambda: activity(user).get("observed_at") is not None)
    return document


def wait_until(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1)


def activity(user: Fuelctl) -> dict[str, Any]:
    return user.run("status", NAME, "--json").json["activity"] or {}


def was_quiet_for(user: Fuelctl, seconds: float, observed_ago: float = 0.0) -> None:
    """Have the control plane believe that it watched so much silence, up to `observed_ago` seconds ago."""
    [file] = Path(user.base["FUELCTL_HOME"]).rglob("fuelctl.sqlite")
    with closing(sqlite3.connect(file, timeout=120, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        [(stored,)] = database.execute("SELECT activity FROM environments WHERE name = ?", (NAME,)).fetchall()
        known = json.loads(stored)
        known["quiet"] = seconds
        known["observed"]["boottime"] -= observed_ago
        database.execute(
            "UPDATE environments SET activity = ?, version = version + 1 WHERE name = ?", (json.dumps(known), NAME)
        )
        database.execute(
            "UPDATE checks SET check_at = 0 WHERE environment_id IN (SELECT id FROM environments WHERE name = ?) "
            "AND check_at IS NOT NULL",
            (NAME,),
        )
        database.execute("COMMIT")


def quiet_until(user: Fuelctl, seconds: float, holds: Callable[[], bool]) -> None:
    """The same until that holds: a look may just have been writing down what was done before."""
    deadline = time.monotonic() + 240
    while not holds():
        assert time.monotonic() < deadline
        was_quiet_for(user, seconds)
        time.sleep(6)


def says(user: Fuelctl, command: tuple[str, ...], words: tuple[str, ...]) -> bool:
    shown = user.run(*command).text
    return all(each in shown for each in words)


def ends_by(user: Fuelctl) -> list[tuple[str, str]]:
    """What ends first, and by what, as the reaper foresees it."""
    forecast = user.run("reap", "--dry-run", "--json").json["environments"]
    return [(each["name"], each["ends"][0]["by"]) for each in forecast]


def decided(user: Fuelctl) -> tuple[str, str]:
    """What the reaper would do with it at this moment, and why."""
    now = user.run("why", NAME, "--json").json["now"]
    return now["action"], now["reason"]


def lives_on(user: Fuelctl, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        shown = user.show(NAME)
        assert shown["status"] in {"ready", "active", "idle"}, shown
        time.sleep(2)


@contextmanager
def terminal(user: Fuelctl) -> Iterator[tuple[int, bytearray]]:
    """An open `fuelctl ssh` on a terminal: where to type, and what it showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        user.argv("ssh", NAME), env=user.env(), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    shown = bytearray()

    def read() -> None:
        try:
            while piece := os.read(master, 65536):
                shown.extend(piece)
        except OSError:
            return

    threading.Thread(target=read, daemon=True).start()
    try:
        wait_until(lambda: b"$" in shown)
        yield master, shown
    finally:
        process.terminate()
        process.wait(120)
        os.close(master)


def test_one_that_is_halted_is_not_ended(user: Fuelctl, environment: dict[str, Any]) -> None:
    docker("pause", environment["connection"]["container"])
    try:
        # Whoever looked before that may write only now what was seen.
        wait_until(lambda: decided(user) == ("keep", "stopped"))
        was_quiet_for(user, LIMIT - 1)
        lives_on(user, 4)
        was_quiet_for(user, 10 * LIMIT, observed_ago=120)
        lives_on(user, 4)
        assert decided(user) == ("keep", "stopped")
    finally:
        was_quiet_for(user, 0)
        docker("unpause", environment["connection"]["container"])


def test_a_processor_at_work_keeps_it(user: Fuelctl, environment: dict[str, Any]) -> None:
    container = environment["connection"]["container"]
    docker("exec", "--detach", container, "sh", "-c", "timeout 1200 sh -c 'while :; do :; done'; :")
    try:
        wait_until(lambda: "processor" in activity(user).get("last", {}))
        was_quiet_for(user, LIMIT - 6)
        lives_on(user, 12)
        wait_until(lambda: activity(user)["quiet_seconds"] < 60)
    finally:
        docker("exec", container, "pkill", "-x", "timeout")


def test_an_agent_whose_tool_only_waits_keeps_it(user: Fuelctl, environment: dict[str, Any]) -> None:
    """Its process and its hook are all that there is of it: neither processor nor terminal is used."""
    container, person = environment["connection"]["container"], environment["connection"]["user"]
    docker("exec", "--detach", container, "sh", "-c", "cp /bin/sleep /tmp/claude && exec /tmp/claude 1200")

    def tell(kind: str) -> None:
        event = json.dumps({"session_id": "one", "tool_name": "Bash"})
        docker(
            "exec", "--user", person, container, "sh", "-c", f"echo '{event}' | /usr/local/lib/fuel-code/hook {kind}"
        )

    try:
        tell("tool.start")
        # Whoever looked before that may write only now what was seen.
        wait_until(lambda: "agent" in activity(user).get("last", {}))
        was_quiet_for(user, LIMIT - 6)
        lives_on(user, 12)
        wait_until(lambda: activity(user)["quiet_seconds"] < 60)
        tell("session.stop")
        wait_until(lambda: activity(user)["quiet_seconds"] > 3)
    finally:
        docker("exec", container, "pkill", "-x", "claude")


def test_what_is_typed_keeps_it(user: Fuelctl, environment: dict[str, Any]) -> None:
    with terminal(user) as (keys, _shown):
        time.sleep(9)
        assert "terminal" not in activity(user).get("last", {}), "being connected is not typing"

        def is_seen() -> bool:
            os.write(keys, b"x")
            return "terminal" in activity(user).get("last", {})

        # Each look from here on finds something typed since the one before.
        wait_until(is_seen)
        was_quiet_for(user, LIMIT - 15)
        for _turn in range(8):
            os.write(keys, b"x")
            lives_on(user, 2)
        wait_until(lambda: is_seen() and activity(user)["quiet_seconds"] < 60)


def test_unsaved_work_keeps_it_until_its_ttl(user: Fuelctl, environment: dict[str, Any]) -> None:
    draft = f"{environment['connection']['workspace']}/draft.txt"
    container = environment["connection"]["container"]
    docker("exec", "--user", environment["connection"]["user"], container, "sh", "-c", f"echo work > {draft}")
    quiet_until(user, 2 * LIMIT, lambda: [each["type"] for each in user.show(NAME)["conditions"]] == [UNSAVED])
    lives_on(user, 4)
    for command, words in (
        (("status", NAME), ("1 uncommitted", "by its TTL")),
        (("why", NAME), ("unsaved work",)),
        (("ls",), (UNSAVED,)),
    ):
        quiet_until(user, 2 * LIMIT, partial(says, user, command, words))
    docker("exec", container, "rm", draft)
    # Somebody who wants it for longer is at work: silence counts anew.
    user.run("extend", NAME, "9h")
    wait_until(lambda: user.show(NAME)["conditions"] == [])


def test_an_open_connection_does_not_keep_it(user: Fuelctl, environment: dict[str, Any]) -> None:
    with terminal(user) as (_keys, shown):
        quiet_until(user, LIMIT - 200, lambda: b"nothing happens in it" in shown)
        quiet_until(user, LIMIT - 200, partial(says, user, ("ls",), (f"{NAME} ends in",)))
        quiet_until(user, LIMIT - 200, lambda: ends_by(user) == [(NAME, "idle")])
        quiet_until(user, LIMIT + 1, lambda: user.show(NAME)["status"] not in {"ready", "active", "idle"})
        ended = user.wait_for(NAME, "terminated")
    assert ended["ended_by"] == "idle"
    assert ended["receipt"]["complete"] is True
    assert leftovers(environment["id"]) == []
    why = user.run("why", environment["id"], "--json").json
    assert (why["ending"]["reason"], why["ending"]["agrees"]) == ("idle", True)
    assert why["ending"]["inputs"]["quiet"] >= LIMIT
    assert "it is ended: idle" in user.run("why", environment["id"]).stdout
