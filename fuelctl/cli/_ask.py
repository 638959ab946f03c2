# SPDX-License-Identifier: GPL-3.0-or-later
"""The one question of a command."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli._output import can_ask, note


def nobody_to_ask() -> UsageError:
    """The error of a command that must ask and cannot."""
    return UsageError("This needs an answer, and there is no terminal to ask on", hint="give --yes", code="no_terminal")


def choose(question: str, choices: Sequence[str], *, default: str) -> str:
    """One of `choices`, of which the first letter will do; UsageError where nobody is there to answer."""
    if not can_ask():
        raise nobody_to_ask()

    def meant(word: str) -> str:
        found = [choice for choice in choices if word and choice.startswith(word.strip().lower())]
        if len(found) != 1:
            raise typer.BadParameter(f"say one of {', '.join(choices)}")
        return found[0]

    asked = f"{question} ({'/'.join(choices)})"
    return str(typer.prompt(asked, default=default, value_proc=meant, err=True))


def confirm(question: str, *, default: bool = False) -> None:
    """Go on after a yes; end the command after a no; UsageError where nobody is there to answer."""
    if not can_ask():
        raise nobody_to_ask()
    if not typer.confirm(question, default=default, err=True):
        note("Nothing was changed.")
        raise typer.Exit(1)
