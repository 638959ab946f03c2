# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting the CLI.

What a person waits for before anything happens. The yardstick is `python -c "import typer"`, the least that a command
made with Typer can cost.
"""

from __future__ import annotations

import sys

from tests.bench._harness import FUELCTL, Contender, Figure, Group, command, fuelctl_home, race, table

RUNS = 21


def measure() -> Group:
    with fuelctl_home() as env:
        yardstick = Contender("python -c 'import typer'", lambda: _run(env, sys.executable, "-c", "import typer"))
        bare = Contender("python -c pass", lambda: _run(env, sys.executable, "-c", "pass"))
        help_page = Contender("fuelctl --help", lambda: _run(env, FUELCTL, "--help"))
        listing = Contender("fuelctl ls (server running)", lambda: _run(env, FUELCTL, "ls"))
        version = Contender("fuelctl version", lambda: _run(env, FUELCTL, "version"))
        contenders = [yardstick, bare, help_page, version, listing]
        race(contenders, runs=RUNS, warm_up=2)
    return Group(
        figures=[
            Figure("fuelctl_help_per_import_typer", help_page.median / yardstick.median, 2.0, "x", RUNS),
            Figure("fuelctl_ls_per_import_typer", listing.median / yardstick.median, 2.0, "x", RUNS),
        ],
        details=table(
            ("command", "median ms"), [(f"`{each.name}`", f"{each.median * 1000:.0f}") for each in contenders]
        ),
    )


def _run(env: dict[str, str], *argv: str) -> None:
    command(*argv, env=env)
