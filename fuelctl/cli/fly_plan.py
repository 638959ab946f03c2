# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl fly plan-deploy`: what to run, in which order, with which checks between, and how to get back."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from fuelctl._shared._errors import FuelError
from fuelctl.cli._context import AsJson
from fuelctl.cli._output import clean, emit, paint, say

_COLUMNS = 100


def plan_deploy(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="A folder with a fly.toml.")] = Path(),
    *,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="rolling, canary, bluegreen or immediate; default: what fly.toml says, else what fits.",
        ),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(
            "--environment",
            metavar="NAME",
            help="dev, staging or production; default: each that has a file of its own, else production.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", metavar="LABEL", help="Name of the image; default: the commit's id."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what to run to deploy to Fly.io, with checks, secrets by name and the way back.

    It runs nothing, and reads no value of a secret. Words in capitals stand for what a step before has shown.
    """
    from fuelctl._shared._fly_plan import plan

    plans = plan(str(path), environment=environment, strategy=strategy, label=label or _commit(path))
    if as_json:
        emit({"path": str(path), "plans": [each.as_dict() for each in plans]})
        return
    for number, each in enumerate(plans):
        if number:
            say()
        if path != Path():
            say(f"# Commands are for this folder: {clean(shlex.quote(str(path)))}")
        for line in lines(each.as_dict()):
            say(line)


def lines(plan: dict[str, Any]) -> Iterator[str]:
    """A plan for people: every line but the commands is a comment, so that it can be pasted into a shell."""
    strategy = plan["strategy"]
    yield paint(
        f"# {clean(plan['app'])}, {plan['environment']}, by {clean(plan['config'])}: {strategy['name']}", "bold"
    )
    yield from _comment(f"Strategy {strategy['name']}, because {strategy['because']}. {strategy['what']}")
    yield from _comment(strategy["trade_off"])
    reasons: dict[str, list[str]] = {}
    for each in strategy["impossible"]:
        reasons.setdefault(each["because"], []).append(each["name"])
    for reason, names in reasons.items():
        yield from _comment(f"Not possible: {' and '.join(names)}: {reason}.")
    for note in plan["notes"]:
        if not any(reason in note for reason in reasons):
            yield from _comment(f"Note: {note}")
    for number, phase in enumerate(plan["phases"], 1):
        yield ""
        yield paint(f"# {number}. {phase['title']}", "bold")
        if phase["phase"] == "rotate":
            yield from _rotations(plan["secrets"])
        for step in phase["steps"]:
            yield from _step(step)
    if plan["settings"]:
        yield ""
        yield from _comment("No secrets, for [env]: " + ", ".join(each["name"] for each in plan["settings"]))


def _step(step: dict[str, Any]) -> Iterator[str]:
    why = f" ({step['why']})" if step["why"] else ""
    yield from _comment(f"{step['text']}{why}")
    yield paint(clean(shlex.join(step["command"])), "cyan")
    if step["expect"]:
        yield from _comment(f"  -> {step['expect']}")


def _rotations(secrets: list[dict[str, Any]]) -> Iterator[str]:
    for each in secrets:
        rotation, seen = each["rotation"], ", ".join(each["sources"])
        yield from _comment(
            f"{each['name']} ({seen}): {rotation['kind']}, every {rotation['every_days']} days. {rotation['how']}"
        )


def _comment(text: str) -> Iterator[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    for line in textwrap.wrap(clean(text).strip(), _COLUMNS - 2 - len(indent), break_on_hyphens=False):
        yield paint(f"# {indent}{line}", "dim")


def _commit(path: Path) -> str:
    """The commit's id, by which the image is found again; `release` where there is none."""
    from fuelctl._shared._workspace._git import Git

    try:
        return Git(str(path)).text("rev-parse", "--verify", "--quiet", "--short=12", "HEAD", check=False) or "release"
    except FuelError:
        return "release"
