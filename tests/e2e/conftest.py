# SPDX-License-Identifier: GPL-3.0-or-later
"""A user of one's own for every module of end-to-end tests, with everything it started ended afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import Fuelctl, docker, leftovers


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """The whole product needs an engine: without one these tests fail, they are not skipped."""
    docker("version", "--format", "{{.Server.Version}}")


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuelctl]:
    """A person with an empty home; at the end their control plane is stopped and their environments are gone."""
    person = Fuelctl(tmp_path_factory.mktemp("user"))
    try:
        yield person
    finally:
        environments = person.run("ls", "--all", "--json", ok=None)
        person.run("down", "--all", "--yes", "--discard", ok=None)
        person.run("server", "stop", ok=None)
        person.kill_everything()
        if environments.returncode == 0:
            left = [name for environment in environments.json["environments"] for name in leftovers(environment["id"])]
            assert left == [], "left behind on the engine"
