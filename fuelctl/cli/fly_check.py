# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl fly check`: what is wrong with any project's fly.toml and Dockerfile."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli._context import AsJson
from fuelctl.cli._output import clean, emit, note, paint, say

_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}


def check(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="A project, a fly.toml or a Dockerfile.")] = Path(),
    *,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="text, json or sarif.")] = "text",
    as_json: AsJson = False,
    fail_on: Annotated[
        str, typer.Option("--fail-on", metavar="SEVERITY", help="Exit 1 from here on: error, warning, info or never.")
    ] = "error",
    hadolint: Annotated[
        bool, typer.Option("--hadolint/--no-hadolint", help="Ask hadolint too, where it is installed.")
    ] = True,
) -> None:
    """Find what is wrong with fly.toml and Dockerfile: where, why, and what to do."""
    from fuelctl._shared._fly_app.checking import check as look
    from fuelctl._shared._fly_app.report import SEVERITIES, reached
    from fuelctl.cli._hadolint import lint, program

    form = "json" if as_json else form
    if form not in ("text", "json", "sarif"):
        raise UsageError(f"unknown format {form!r}", hint="one of text, json, sarif")
    if fail_on not in (*SEVERITIES, "never"):
        raise UsageError(f"unknown severity {fail_on!r}", hint="one of error, warning, info, never")
    linter = program() if hadolint else None
    report = look(str(path), [partial(lint, linter)] if linter else [])
    if form == "json":
        emit({"files": report.files, "findings": [item.as_dict() for item in report.findings]})
    elif form == "sarif":
        from fuelctl import __version__
        from fuelctl._shared._fly_app.sarif import sarif

        emit(sarif(report, __version__))
    else:
        _show_report(report)
        if hadolint and linter is None:
            note("hadolint was not asked: pip install 'fuelctl[fly]' brings it.")
    if reached(report.findings, fail_on):
        raise typer.Exit(1)


def _show_report(report: Any) -> None:
    from fuelctl._shared._fly_app.checking import counts

    for item in report.findings:
        severity = paint(item.severity, _COLOURS[item.severity])
        say(f"{clean(item.file)}:{item.line}: {severity}: {clean(item.message)} [{item.rule}]")
        say(f"    why: {clean(item.why)}")
        say(f"    fix: {clean(item.fix)}")
    found = ", ".join(
        f"{count} {name}{'s' if count != 1 and name != 'info' else ''}" for name, count in counts(report.findings)
    )
    files = f"{len(report.files)} file{'s' if len(report.files) != 1 else ''}"
    note(f"{files} checked: {found or 'nothing to complain about'}")
