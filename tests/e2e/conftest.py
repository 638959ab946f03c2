# SPDX-License-Identifier: GPL-3.0-or-later
"""One user with a home of their own per test file; whatever a test leaves running ends with the file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import Fuelctl, leftovers


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuelctl]:
    """A user without environments. Their environments, server and processes end with the file, which is checked."""
    user = Fuelctl(tmp_path_factory.mktemp("home"))
    try:
        yield user
    finally:
        try:
            left = _put_away(user)
        finally:
            user.kill_everything()
    assert not left, f"left behind on the engine: {left}"


def _put_away(user: Fuelctl) -> list[str]:
    """End what is live and say what the engine still holds of all environments that this user ever had."""
    listing = user.run("ls", "--all", "--json", ok=None)
    environments = listing.json["environments"] if listing.returncode == 0 else []
    live = [each["id"] for each in environments if each["status"] not in {"terminated", "error"}]
    if live:
        user.run("down", *live, "--yes", "--discard", ok=None)
    user.run("server", "stop", ok=None)
    return [resource for each in environments for resource in leftovers(each["id"])]
