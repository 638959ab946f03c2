# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl fly init`: the files that deploy a repository to Fly.io, made from what the repository shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fuelctl._shared._errors import UsageError
from fuelctl.cli._context import AsJson
from fuelctl.cli._output import can_ask, clean, emit, note, paint, say, table


def init(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="The repository's folder.")] = Path(),
    *,
    environment: Annotated[
        list[str] | None,
        typer.Option(
            "--environment", "-e", metavar="NAME", help="dev, staging or production; repeatable; default: production."
        ),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", metavar="CODE", help="Region; repeatable, the primary one first."),
    ] = None,
    name: Annotated[str, typer.Option("--app", metavar="NAME", help="Name of the app; default: the folder's.")] = "",
    ci: Annotated[
        str, typer.Option("--ci", metavar="CI", help="github, gitlab, circleci or none; default: what is there.")
    ] = "",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Write without asking; what was edited by hand stays.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write everything, over what was edited by hand too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write fly.toml, Dockerfile, .dockerignore and a CI workflow, each value with where it comes from."""
    from fuelctl._shared._fly_app.planning import Options, plan
    from fuelctl._shared._fly_app.rendering import render
    from fuelctl._shared._fly_app.writing import compare, write

    if dry_run and (yes or force):
        raise UsageError("--dry-run writes nothing", hint="leave out --yes and --force, or --dry-run")
    planned = plan(str(path), Options(tuple(environment or ()), ci, tuple(region or ()), name))
    files = compare(str(path), render(planned))
    if as_json:
        wanted = [file for file in files if _unasked(file, yes=yes, force=force)]
        for file in wanted:
            write(str(path), file)
        emit(_document(planned, files, wanted))
        return
    _show_plan(planned)
    wanted = [file for file in files if _wanted(file, yes=yes, force=force, dry_run=dry_run)]
    for file in wanted:
        write(str(path), file)
        note(f"Wrote {clean(str(path / file.path))}")
    if wanted or all(file.state == "same" for file in files):
        say("Next:")
        for command in planned.commands:
            say(f"  {clean(command)}")


def _unasked(file: Any, *, yes: bool, force: bool) -> bool:
    """Whether a file is written without a question."""
    return file.state != "same" and (force or (yes and file.state != "edited"))


def _wanted(file: Any, *, yes: bool, force: bool, dry_run: bool) -> bool:
    """Whether a file is to be written; what it would change is shown first."""
    if file.state == "same":
        note(f"{clean(file.path)} is so already")
        return False
    if file.state != "new" or dry_run:
        _show_diff(file.diff())
    if dry_run:
        note(f"Would write {clean(file.path)}")
        return False
    if _unasked(file, yes=yes, force=force):
        return True
    if yes:
        note(f"{clean(file.path)} was edited by hand, or is not fuelctl's: kept. --force replaces it.")
        return False
    if not can_ask():
        note(f"Not written: {clean(file.path)}. Give --yes to write it, --force to replace what was edited.")
        return False
    name = clean(file.path)
    question = {
        "new": f"Write {name}?",
        "changed": f"Update {name}?",
        "edited": f"{name} was edited by hand, or is not fuelctl's. Replace it?",
    }[file.state]
    return typer.confirm(question, default=file.state != "edited", err=True)


def _show_plan(planned: Any) -> None:
    rows = [
        (clean(item.field), clean(item.value), clean(item.source + (f": {item.why}" if item.why else "")))
        for item in planned.decisions
    ]
    for line in table(("what", "value", "from"), rows):
        say(line)
    for text in planned.notes:
        note(clean(f"note: {text}"))
    for warning in planned.warnings:
        line = f":{warning['line']}" if warning["line"] else ""
        note(clean(f"warning: {warning['file']}{line}: {warning['message']}"))


def _show_diff(text: str) -> None:
    for line in text.split("\n"):
        colour = "green" if line[:1] == "+" else "red" if line[:1] == "-" else ""
        note(paint(clean(line), colour) if colour else clean(line))


def _document(planned: Any, files: list[Any], written: list[Any]) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "framework": planned.framework.name,
        "app": planned.context["app"],
        "environments": [item["name"] for item in planned.environments],
        "ci": planned.ci,
        "files": [{**file.as_dict(), "written": file in written} for file in files],
        "decisions": [item.as_dict() for item in planned.decisions],
        "notes": planned.notes,
        "warnings": planned.warnings,
        "commands": planned.commands,
    }
