# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl recommend`: where to host a repository, as a table with its reasons."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from fuelctl._shared._recommend.data_rules import QUESTIONS
from fuelctl.cli._context import AsJson
from fuelctl.cli._output import can_ask, clean, emit, mark, note, paint, say, table

app = typer.Typer()

_COLUMNS = 100
_MOST_REASONS = 4


def _answer(name: str, default: str = "") -> Any:
    question = QUESTIONS[name]
    answers = ", ".join(question.answers)
    return typer.Option(
        f"--{name}", metavar="ANSWER", help=f"{question.text} {answers}; default: {default or question.default}."
    )


@app.command()
def recommend(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="A repository's folder.")] = Path(),
    *,
    scale: Annotated[str | None, _answer("scale")] = None,
    team: Annotated[str | None, _answer("team")] = None,
    budget: Annotated[str | None, _answer("budget")] = None,
    state: Annotated[str | None, _answer("state", "what the repository shows")] = None,
    latency: Annotated[str | None, _answer("latency")] = None,
    compliance: Annotated[str | None, _answer("compliance")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take the defaults.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say where to host a repository, with scores, reasons and trade-offs.

    On a terminal it asks for the answers that are not given. Several detected platforms get a plan of what goes where.
    """
    from fuelctl._shared import _recommend
    from fuelctl._shared._recommend._engine import defaults

    given = {
        "scale": scale,
        "team": team,
        "budget": budget,
        "state": state,
        "latency": latency,
        "compliance": compliance,
    }
    answers = {name: answer for name, answer in given.items() if answer is not None}
    facts = _recommend.read(str(path))
    _recommend.recommend(facts, answers)
    if can_ask() and not yes and not as_json:
        answers = {**_ask(defaults(facts), answers), **answers}
    found = _recommend.recommend(facts, answers).as_dict()
    if as_json:
        emit({"path": str(path), **found})
        return
    for line in lines(found):
        say(line)


def _ask(defaults: dict[str, str], known: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, question in QUESTIONS.items():
        if name in known:
            continue
        while True:
            answer = typer.prompt(f"{question.text} ({', '.join(question.answers)})", default=defaults[name], err=True)
            if answer in question.answers:
                found[name] = answer
                break
            note(f"Please say one of: {', '.join(question.answers)}")
    return found


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The recommendation for people."""
    options = found["options"]
    best = options[0]
    yield f"{paint(best['name'], 'bold')} fits best, with {best['score']} of 100 points (each begins with 50)."
    near = [each["name"] for each in options if each["option"] in found["close"]]
    if near:
        yield f"As good: {' and '.join(near)}. Take what you know."
    yield ""
    rows = [
        (
            each["name"],
            str(each["score"]) if each["possible"] else "-",
            _main_reason(each),
            "" if each["possible"] else mark(False),
        )
        for each in options
    ]
    yield from (line.rstrip() for line in table(("WHERE", "POINTS", "MAIN REASON", ""), rows))
    for each in options:
        yield ""
        yield paint(each["name"], "bold")
        for reason in each["reasons"][:_MOST_REASONS]:
            points = "never" if reason["points"] is None else f"{reason['points']:+d}"
            yield from _wrapped(f"{points:>5}  {reason['reason']}", 9)
        yield from _wrapped(f"  for: {each['gains']}", 9)
        yield from _wrapped(f"  but: {each['costs']}", 9)
        yield from _wrapped(f"begin: {each['first']}", 9)
    if found["placement"]:
        yield ""
        yield paint("What to place where", "bold")
        yield from table(
            ("PART", "WHERE", "WHY"), [(each["part"], each["where"], each["reason"]) for each in found["placement"]]
        )
    yield ""
    seen = [clean(f"{each['meaning']} ({each['source']})") for each in found["facts"]]
    yield from _wrapped("Seen: " + ("; ".join(seen) or "nothing that says how it runs") + ".", 6)
    yield from _wrapped(
        "Answers: " + ", ".join(f"{name} {answer}" for name, answer in found["answers"].items()) + ".", 9
    )


def _main_reason(option: dict[str, Any]) -> str:
    return str(option["reasons"][0]["reason"]) if option["reasons"] else ""


def _wrapped(text: str, indent: int) -> Iterator[str]:
    yield from textwrap.wrap(text, _COLUMNS, subsequent_indent=" " * indent, break_on_hyphens=False)
