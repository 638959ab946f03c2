# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that outlives its environment: ended by silence, the control plane dying all the while; then again by TTL.

Nobody waits for hours: silence and lease are written into the control plane's database.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fuelctl import _crashpoints
from tests.integration.test_rescue import STATE

from .harness import BASE_IMAGE, Fuelctl, docker, leftovers, make_repository, write_blueprint

pytestmark = pytest.mark.docker

POINTS = [name for name in _crashpoints.names() if name.startswith(("terminate.rescue.", "stage.rescue."))]
WORK = r"""
set -e
cd /workspaces/sample
git config user.name Ada; git config user.email ada@example.com
echo one > one && git add one && git commit -qm 'nowhere else'
git checkout -q -b other && echo other > other && git add other && git commit -qm other && git checkout -q -
echo stashed >> README.md && git stash push -q -m 'for later'
echo staged > staged && git add staged && echo more >> staged
head -c 70000 /dev/urandom > 'new and binary'
mkdir -p ~/.claude/projects/-workspaces-sample
echo '{"type":"user","message":"go on"}' > ~/.claude/projects/-workspaces-sample/session.jsonl
"""


def inside(person: Fuelctl, name: str, script: str) -> str:
    return person.run("exec", name, "--", "sh", "-c", script).stdout


def state(person: Fuelctl, name: str) -> list[str]:
    return inside(person, name, f"set -- /workspaces/sample\n{STATE}").splitlines()


def change(person: Fuelctl, name: str, **columns: Any) -> None:
    """Write into the row of this environment, and have it looked at."""
    [file] = Path(person.base["FUELCTL_HOME"]).rglob("fuelctl.sqlite")
    assignments = ", ".join(f"{column} = ?" for column in columns)
    with closing(sqlite3.connect(file, timeout=120, isolation_level=None)) as database:
        database.execute(
            f"UPDATE environments SET {assignments}, version = version + 1 WHERE name = ? AND ended_at IS NULL",
            (*columns.values(), name),
        )
        database.execute(
            "UPDATE checks SET check_at = 0 WHERE environment_id = "
            "(SELECT id FROM environments WHERE name = ? AND ended_at IS NULL)",
            (name,),
        )


def value(person: Fuelctl, name: str, column: str) -> Any:
    [file] = Path(person.base["FUELCTL_HOME"]).rglob("fuelctl.sqlite")
    with closing(sqlite3.connect(file, timeout=120)) as database:
        query = f"SELECT {column} FROM environments WHERE name = ? AND ended_at IS NULL"
        return database.execute(query, (name,)).fetchone()[0]


def test_work_outlives_its_environment_twice(user: Fuelctl, tmp_path: Path) -> None:
    user.environment |= {"FUELCTL_OBSERVE_SECONDS": "2", "FUELCTL_REAPER_SECONDS": "1"}
    repository = make_repository(tmp_path / "sample")
    write_blueprint(repository, f"version: 1\nimage: {BASE_IMAGE}\n")
    first = user.run("up", str(repository), "--name=first", "--idle=30m", "--yes", "--json").json
    inside(user, "first", WORK)
    before = state(user, "first")
    refused = user.run("down", "first", "--yes", ok=False)
    assert "fuelctl down first --rescue" in refused.stderr

    # Silence ends it, and the control plane dies at every point of the rescue.
    reached = tmp_path / "reached"
    user.run("server", "stop")
    user.environment |= {"FUELCTL_CRASH_AT": ",".join(POINTS), "FUELCTL_CRASH_ONCE": str(reached)}
    deadline = time.monotonic() + 480
    while user.show(first["id"])["status"] in {"ready", "active", "idle"}:
        assert time.monotonic() < deadline
        # Again and again, because a look may just have been writing down what was done before.
        if activity := json.loads(value(user, "first", "activity") or "null"):
            change(user, "first", activity=json.dumps(activity | {"quiet": 7200.0, "kept": None}))
        time.sleep(3)
    ended = user.wait_for(first["id"], "terminated")
    assert sorted(reached.read_text().split()) == sorted(POINTS)
    assert (ended["ended_by"], ended["receipt"]["complete"]) == ("idle", True)
    assert leftovers(first["id"]) == []
    for name in ("FUELCTL_CRASH_AT", "FUELCTL_CRASH_ONCE"):
        del user.environment[name]
    user.run("server", "stop")
    assert "up --from-rescue" in user.run("status", first["id"]).stdout
    assert "up --from-rescue" in user.run("why", first["id"]).stdout
    [saved] = user.run("rescue", "ls", "--json").json["rescues"]
    assert (saved["environment_id"], saved["complete"]) == (first["id"], True)

    # Home again, beside what is there.
    done = user.run("rescue", "get", "first", cwd=repository)
    assert "refs/fuel/first/other" in done.stdout
    shown = subprocess.run(
        ["git", "show", "refs/fuel/first.rescue/0/work:staged"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "staged\nmore\n"

    # Put back, it is as it was, and is work still.
    second = user.run("up", "--from-rescue", "first", "--name=second", "--ttl=1h", "--yes", "--json").json
    assert state(user, "second") == before
    session = inside(user, "second", "cat ~/.claude/projects/-workspaces-sample/session.jsonl")
    assert json.loads(session)["message"] == "go on"

    # Its TTL is over in seconds, for its watchdog too; and git is slow today.
    slow = "mv /usr/bin/git /usr/bin/git.real; printf '#!/bin/sh\\nsleep 0.4\\nexec git.real \"$@\"\\n' > /usr/bin/git"
    docker("exec", "--user", "0", second["connection"]["container"], "sh", "-c", f"{slow}; chmod 755 /usr/bin/git")
    # The rescue begins a minute before.
    left = 58
    watchdog = f"{second['connection']['container']}.watchdog"
    over = int(time.time()) + left
    docker("exec", watchdog, "sh", "-c", f"echo {over} > /deadline")
    boottime = float(value(user, "second", "lease_boottime")) - (float(value(user, "second", "expires_at")) - over)
    change(user, "second", expires_at=float(over), lease_boottime=boottime)
    ended = user.wait_for(second["id"], "terminated")
    assert (ended["ended_by"], ended["receipt"]["complete"]) == ("ttl", True)
    assert ended["rescued"]["state"] == "saved", ended["rescued"]
    assert leftovers(second["id"]) == []
    names = [one["name"] for one in user.run("rescue", "ls", "--json").json["rescues"]]
    assert names == ["second", "first"]
    assert "second" in user.run("rescue", "show", "second").stdout
    user.run("rescue", "rm", "first", "--yes")
    user.run("rescue", "get", "first", ok=False)
