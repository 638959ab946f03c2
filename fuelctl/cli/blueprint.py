# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl blueprint`: detect, show, validate and explain what environments are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fuelctl._shared import _blueprint
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.cli._output import can_ask, clean, note, paint, say

app = typer.Typer(no_args_is_help=True, help="Detect, show and validate what an environment is made of.")

Where = Annotated[Path, typer.Argument(metavar="[PATH]", help="A repository's folder, or a blueprint file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@app.command()
def detect(
    directories: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]...", help="Repository folders; default: this one.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write env.yaml without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find out what a repository needs, say why, and write .fuel-code/env.yaml after a yes."""
    places = directories or [Path()]
    if yes and dry_run:
        raise UsageError("--yes and --dry-run exclude each other", hint="give one of them")
    if len(places) > 1 and yes:
        raise UsageError("--yes writes for one directory only", hint="run it once for each")
    for place in places:
        found = _blueprint.detect(place)
        if as_json:
            # Written at once: whoever reads many directories wants each as soon as it is there.
            print(json.dumps(found.as_dict(), ensure_ascii=True), flush=True)  # noqa: T201 - the one document of --json
            if yes:
                _write(place, found, quiet=True)
            continue
        if len(places) > 1:
            say(f"--- {clean(str(place))}")
        _show_detection(found)
        if len(places) == 1:
            _offer(place, found, yes=yes, dry_run=dry_run)


def _show_detection(found: Any) -> None:
    say(_highlight(_blueprint.to_yaml(found.blueprint, found.sources())).rstrip("\n"))
    for conflict in found.conflicts:
        winner, loser = conflict.winner, conflict.loser
        note(
            clean(
                f"conflict: {conflict.field}: {winner.raw or winner.value} ({winner.source}) was taken over "
                f"{loser.raw or loser.value} ({loser.source}): {conflict.reason}"
            )
        )
    for warning in found.warnings:
        line = f":{warning['line']}" if warning["line"] else ""
        note(clean(f"warning: {warning['file']}{line}: {warning['message']}"))


def _offer(place: Path, found: Any, *, yes: bool, dry_run: bool) -> None:
    target = place / _blueprint.BLUEPRINT_PATH
    text, summary = _text_for(target, found)
    if text is None:
        note(f"{clean(str(target))} says this already" + summary)
        return
    if target.exists():
        _show_diff(target, text)
        if summary:
            note(summary.lstrip("; "))
    if dry_run:
        note(f"Would write {clean(str(target))}")
        return
    if not yes:
        if not can_ask():
            note(f"Not written: give --yes to write {clean(str(target))}")
            return
        if not typer.confirm(f"Write {clean(str(target))}?", default=not target.exists(), err=True):
            note("Nothing was written.")
            return
    _store(target, text)
    note(f"Wrote {clean(str(target))}")


def _write(place: Path, found: Any, *, quiet: bool) -> None:
    target = place / _blueprint.BLUEPRINT_PATH
    text, _summary = _text_for(target, found)
    if text is not None:
        _store(target, text)
        if not quiet:
            note(f"Wrote {clean(str(target))}")


def _text_for(target: Path, found: Any) -> tuple[str | None, str]:
    """(new content or None when there is nothing to do, what was kept)."""
    if not target.exists():
        return _blueprint.to_yaml(found.blueprint, found.sources()), ""
    from fuelctl._shared._blueprint.document import read
    from fuelctl.blueprints import update

    read(str(target))
    result = update(target.read_text("utf-8"), found.blueprint, found.sources())
    kept = f"; kept as edited by hand: {', '.join(result.kept)}" if result.kept else ""
    return (result.text if result.changed else None), kept


def _store(target: Path, text: str) -> None:
    import os
    import tempfile

    if target.parent.is_symlink() or target.is_symlink():
        raise FuelError(
            "it is a symbolic link, which is not written through", where=str(target), hint="replace it by a real file"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".env.", suffix=".yaml")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except OSError as error:
        raise FuelError(
            f"it cannot be written: {error.strerror}", where=str(target), hint="check the folder's rights"
        ) from None


def _show_diff(target: Path, text: str) -> None:
    import difflib

    old = target.read_text("utf-8").splitlines()
    for line in difflib.unified_diff(old, text.splitlines(), str(target), "detected", lineterm="", n=1):
        colour = "green" if line[:1] == "+" else "red" if line[:1] == "-" else ""
        note(paint(clean(line), colour) if colour else clean(line))


def _file_of(path: Path) -> Path:
    return path / _blueprint.BLUEPRINT_PATH if path.is_dir() else path


def _load(path: Path) -> Any:
    """The blueprint at `path`; a file that is missing or wrong is a failure (1), not wrong usage (2)."""
    try:
        return _blueprint.load(_file_of(path))
    except UsageError as error:
        raise FuelError(
            error.message, hint=error.hint, where=error.where, code=error.code, details=error.details
        ) from None


@app.command()
def show(path: Where = Path(), as_json: AsJson = False) -> None:
    """Show a repository's blueprint."""
    blueprint = _load(path)
    if as_json:
        say(json.dumps(_blueprint.to_dict(blueprint), indent=2))
        return
    say(_highlight(_file_of(path).read_text("utf-8")).rstrip("\n"))
    note(f"SHA-256 {_blueprint.sha256(blueprint)}")


@app.command()
def validate(path: Where = Path(), as_json: AsJson = False) -> None:
    """Check every field of a blueprint; exit 1 when one is wrong."""
    from fuelctl._shared._blueprint.document import read

    file = _file_of(path)
    try:
        document = read(str(file))
        problems = [problem.as_dict() for problem in _blueprint.validate(document.data, document)]
        fields = list(document.data) if isinstance(document.data, dict) else []
    except UsageError as error:
        if not as_json:
            raise FuelError(error.message, hint=error.hint, where=error.where, code=error.code) from None
        line = (error.where or "").rpartition(":")[2]
        problems = [
            {
                "path": "",
                "message": error.message,
                "hint": error.hint or "",
                "file": str(file),
                "line": int(line) if line.isdigit() else None,
            }
        ]
        fields = []
    if as_json:
        say(json.dumps({"file": str(file), "valid": not problems, "problems": problems}, indent=2))
    else:
        _report(str(file), fields, problems)
    if problems:
        raise typer.Exit(1)


def _report(file: str, fields: list[str], problems: list[dict[str, Any]]) -> None:
    roots = [problem["path"].split(".", 1)[0].split("[", 1)[0] for problem in problems]
    missing = [root for root in dict.fromkeys(roots) if root not in fields]
    for field in [*fields, *missing]:
        mine = [problem for problem, root in zip(problems, roots, strict=True) if root == field]
        say(f"{paint('✗', 'red')} {clean(field) or 'blueprint'}" if mine else f"{paint('✓', 'green')} {clean(field)}")
        for problem in mine:
            where = f"{file}:{problem['line']}" if problem["line"] else file
            hint = f". {problem['hint']}" if problem["hint"] else ""
            path = f"{problem['path']}: " if problem["path"] else ""
            say(clean(f"    {where}: {path}{problem['message']}{hint}"))


@app.command()
def schema() -> None:
    """Print the JSON Schema of env.yaml."""
    from fuelctl.blueprints import json_schema

    say(json.dumps(json_schema(), indent=2))


@app.command()
def why(
    field: Annotated[str, typer.Argument(metavar="FIELD", help="Like image, ports or runtimes[0].version.")],
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="A repository's folder.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Explain one detected value: every candidate in order, and which one won."""
    found = _blueprint.detect(directory)
    matching = {
        path: items
        for path, items in found.fields.items()
        if path == field or path.startswith((f"{field}.", f"{field}["))
    }
    if not matching:
        raise UsageError(f"nothing is known about {field!r}", hint="known are " + ", ".join(found.fields))
    if as_json:
        document = {
            path: {
                "candidates": [item.as_dict() for item in items],
                "conflicts": [conflict.as_dict() for conflict in found.conflicts if conflict.field == path],
            }
            for path, items in matching.items()
        }
        say(json.dumps(document, indent=2))
        return
    for path, items in matching.items():
        say(paint(path, "bold"))
        for index, item in enumerate(items):
            raw = f", written {item.raw}" if item.raw and item.raw != item.value else ""
            comment = f": {item.note}" if item.note else ""
            sign = paint("✓", "green") if not index else " "
            say(clean(f"  {sign} {item.value}  ({item.source}, {item.kind}, {item.confidence:.2f}{raw}){comment}"))
        for conflict in found.conflicts:
            if conflict.field == path:
                say(clean(f"  conflict with {conflict.loser.source}: {conflict.reason}"))


def _highlight(text: str) -> str:
    """YAML with its keys and comments in colour, on a terminal that has some."""
    lines = []
    for line in text.split("\n"):
        body, separator, comment = line.partition(" # ") if not line.startswith("#") else ("", "", line)
        key, colon, rest = body.partition(":")
        if colon and " " not in key.strip().lstrip("- "):
            body = f"{paint(clean(key), 'cyan')}{colon}{clean(rest)}"
        lines.append(f"{body}{paint(clean(separator + comment), 'dim') if comment else ''}")
    return "\n".join(lines)
