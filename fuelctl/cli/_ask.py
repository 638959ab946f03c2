# SPDX-License-Identifier: GPL-3.0-or-later
"""The one question of a command."""

from __future__ import annotations

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli._output import can_ask, note


def nobody_to_ask() -> UsageError:
    """The error of a command that must ask and cannot."""
    return UsageError("This needs an answer, and there is no terminal to ask on", hint="give --yes", code="no_terminal")


def confirm(question: str, *, default: bool = False) -> None:
    """Go on after a yes; end the command after a no; UsageError where nobody is there to answer."""
    if not can_ask():
        raise nobody_to_ask()
    if not typer.confirm(question, default=default, err=True):
        note("Nothing was changed.")
        raise typer.Exit(1)
