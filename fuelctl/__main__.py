# SPDX-License-Identifier: GPL-3.0-or-later
"""The `fuelctl` command: run it, and turn whatever ends it into one clear line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
import typer.main

from fuelctl._shared._errors import FuelError, UsageError

#: A person interrupted the command (128 + SIGINT), as every shell expects it.
INTERRUPTED = 130
#: The code of an error that was given none.
_UNNAMED = "failed"


def main(arguments: list[str] | None = None) -> None:
    """Run the CLI and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is no reason to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    arguments = sys.argv[1:] if arguments is None else arguments
    code = run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
    raise SystemExit(code)


def run(arguments: list[str]) -> int:
    """Run the CLI and return its exit code; no exception leaves but SystemExit of shell completion."""
    from fuelctl.cli._app import app

    command: Any = typer.main.get_command(app)
    try:
        result = command.main(args=arguments, prog_name="fuelctl", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - the edge: whatever ends the command becomes one line and a code
        return _ended_by(arguments, error)
    except KeyboardInterrupt:
        return _interrupted()
    return result if isinstance(result, int) else 0


def _ended_by(arguments: list[str], error: Exception) -> int:
    """Tell a person what ended the command; the exit code."""
    match error:
        case UsageError():
            return _fail(arguments, error, 2)
        case FuelError():
            # A server refuses wrong input with 400 or 422.
            return _fail(arguments, error, 2 if getattr(error, "status", 0) in (400, 422) else 1)
        case typer.TyperException():
            return _usage(arguments, error)
        case typer.Abort():
            return _interrupted()
        case BrokenPipeError():
            _silence_stdout()
            return 1
    return _fail(arguments, _unexpected(error), 1)


def _interrupted() -> int:
    sys.stderr.write("\nInterrupted.\n")
    return INTERRUPTED


def _usage(arguments: list[str], error: Any) -> int:
    """What Typer found wrong with the arguments."""
    if not _wants_json(arguments) and hasattr(error, "show"):
        error.show()
        return int(error.exit_code)
    return _fail(arguments, UsageError(error.format_message(), code="usage"), int(error.exit_code))


def _fail(arguments: list[str], error: FuelError, code: int) -> int:
    from fuelctl.cli import _output

    if isinstance(error, UsageError) and error.code == _UNNAMED:
        error.code = "usage"
    if _wants_json(arguments):
        _output.emit({"error": error.as_dict()})
    else:
        for line in _output.error_lines(error):
            _output.note(line)
    return code


def _wants_json(arguments: list[str]) -> bool:
    """Whether the command was asked for JSON; what follows `--` belongs to another program."""
    if arguments[:1] in (["ssh"], ["exec"]):
        return False
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in own


def _unexpected(error: Exception) -> FuelError:
    """A fault of fuelctl itself, or of the machine under it: the traceback goes to a file, one line to the person."""
    if isinstance(error, OSError) and error.strerror:
        message = f"The operating system refused: {error.strerror}"
        where = str(error.filename) if error.filename else None
    else:
        message, where = f"fuelctl failed in a way it did not foresee ({type(error).__name__}: {error})", None
    import traceback

    try:
        from fuelctl import paths

        log = paths.private_folder(paths.state_folder()) / "cli-errors.log"
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8", errors="replace") as stream:
            stream.write("".join(traceback.format_exception(error)) + "\n")
        hint = f"details are in {log}"
    except Exception:  # noqa: BLE001 - the folder may be what is broken; the first fault is the one to tell
        hint = "its details could not be written to the state folder; `fuelctl doctor` may say why"
    return FuelError(message, where=where, hint=hint, code="unexpected")


def _open_closed_streams() -> None:
    """Whoever closed one of our streams (`>&-`) wants nothing of it; the next file opened must not take its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def _silence_stdout() -> None:
    """The reader went away (`fuelctl ls | head -1`): nothing more can be written, and that is no fault."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
