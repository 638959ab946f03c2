# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl fly`: what a repository needs in order to be deployed to Fly.io."""

from __future__ import annotations

import typer

from fuelctl.cli.fly_check import check
from fuelctl.cli.fly_init import init
from fuelctl.cli.fly_plan import plan_deploy

app = typer.Typer(no_args_is_help=True, help="Make, check and plan what deploys to Fly.io.")


@app.callback()
def fly() -> None:
    """Make, check and plan what deploys to Fly.io."""


app.command()(init)
app.command()(check)
app.command("plan-deploy")(plan_deploy)
