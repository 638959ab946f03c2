# SPDX-License-Identifier: GPL-3.0-or-later
"""A team's server and a worker, as processes: what is asked for over HTTP is done by the worker alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fuelctl.store import workers as known_workers
from fuelctl.store.database import Database
from tests.fuelctl.api import BODY
from tests.fuelctl.databases import Cluster, own_cluster
from tests.fuelctl.team_lab import Process
from tests.fuelctl.team_server import TeamServer


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with own_cluster() as made:
        yield made


def test_a_server_only_enqueues_and_says_when_nobody_is_there(cluster: Cluster, tmp_path: Path) -> None:
    server = TeamServer(tmp_path / "server", cluster.url, FUELCTL_REAPER_SECONDS="60")
    server.start()
    workers = []
    database = Database(cluster.url)

    def is_told(status: int, code: str) -> bool:
        found, told, _headers = server.ask("POST", f"{address}/extend", {"ttl_seconds": 9000})
        return (found, told["code"]) == (status, code)

    def nobody_lives() -> bool:
        with database.read() as session:
            return not known_workers.alive(session)

    try:
        status, made, _headers = server.ask("POST", "/api/remote", {**BODY, "source": None})
        assert status == 202, made
        address = f"/api/remote/{made['id']}"
        assert server.ask("GET", "/api/remote")[1]["workers"] == 0, "ls says so"

        def is_ready() -> bool:
            item = server.ask("GET", address)[1]
            return bool(item["status"] == "ready" and item["operation"] is None)

        workers.append(Process(tmp_path / "machine", cluster.url, server.home / "state" / "secret.key"))
        server.wait(is_ready)
        server.wait(lambda: server.ask("GET", "/api/remote")[1]["workers"] == 1)
        # The key comes from the database, once.
        status, key, _headers = server.ask("GET", f"{address}/ssh-key")
        assert (status, key["private_key"].splitlines()[0]) == (200, "-----BEGIN OPENSSH PRIVATE KEY-----")
        assert server.ask("GET", f"{address}/ssh-key")[0] == 410
        # The worker was asked, and has no watchdog to move.
        server.wait(lambda: is_told(503, "no_machine"))
        workers[0].stop()
        # Until then it would be waited for.
        server.wait(nobody_lives)
        server.wait(lambda: is_told(503, "no_worker"))
        assert server.ask("POST", f"{address}/terminate", {"discard": True})[0] == 202
        workers.append(Process(tmp_path / "other", cluster.url, server.home / "state" / "secret.key"))
        server.wait(lambda: server.ask("GET", address)[1]["status"] == "terminated")
    finally:
        database.close()
        for worker in workers:
            worker.stop()
        server.stop()
