# SPDX-License-Identifier: GPL-3.0-or-later
"""What `stop` and `start` have in common."""

from __future__ import annotations

from fuelctl.cli._context import connect, find, take_up_credentials
from fuelctl.cli._output import clean, emit, say


def ask(env: str, state: str, words: str, *, as_json: bool) -> None:
    """Have the machine of `env` in that state, and say so."""
    client = connect()
    found = find(client, env)
    take_up_credentials([found])
    environment = client.power(found["id"], state=state)
    if as_json:
        emit(environment)
        return
    say(words.format(name=clean(environment["name"])))
