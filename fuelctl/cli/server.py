# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl server`: the control plane itself."""

from __future__ import annotations

from math import isnan
from typing import Annotated, Any

import typer

from fuelctl import __version__, paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.cli import _settings
from fuelctl.cli._context import AsJson, connect, ensure
from fuelctl.cli._environment import moment, now
from fuelctl.cli._output import clean, duration, emit, note, say
from fuelctl.cli._reaper import warn_of_reaper, warn_of_workers
from fuelctl.client import ServerUnreachableError

app = typer.Typer(help="Start, stop and inspect the control plane.", no_args_is_help=True)

#: The server finishes the work under way before it ends; provisioning takes minutes.
_STOP_SECONDS = 600.0


@app.command()
def start(as_json: AsJson = False) -> None:
    """Start the embedded server; harmless when it runs."""
    _only_embedded("start")
    ensure()
    status(as_json=as_json)


@app.command()
def stop(
    wait: Annotated[
        float, typer.Option("--wait", min=0, max=3600, metavar="SECONDS", help="Then park what is still under way.")
    ] = _STOP_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Stop the embedded server when the work under way is done; harmless when it does not run.

    Work that was parked goes on when the server starts again.
    """
    _only_embedded("stop")
    if isnan(wait):
        raise UsageError("nan is no number of seconds", where="--wait", hint="give 0 to 3600")
    from fuelctl.serve_start import stop_running

    if not as_json and _operations():
        note("Waiting for the work under way to end.")
    try:
        stopped = stop_running(wait, for_good=True)
    except KeyboardInterrupt:
        note("\nDetached: the server ends when the work under way is done.")
        raise typer.Exit(130) from None
    if as_json:
        emit({"running": False, "stopped": stopped})
    else:
        say("The server has stopped." if stopped else "The server does not run.")


def _only_embedded(verb: str) -> None:
    url = _settings.server().url
    if url:
        raise UsageError(
            f"server.url points at {url}, which is not this machine's to {verb}",
            hint="take server.url out to use your own",
        )


def _operations() -> int:
    try:
        return int(connect(start=False).health().get("operations") or 0)
    except FuelError:
        return 0


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say whether the server runs, where, and when its reaper last did. Never starts it."""
    client = connect(start=False)
    facts: dict[str, Any] = {
        "running": False,
        "endpoint": client.endpoint,
        "version": None,
        "pid": None,
        "reaper": None,
    }
    if client.embedded:
        facts["log"] = str(paths.server_log())
    try:
        health, known = client.health(), client.server()
    except ServerUnreachableError:
        if not client.embedded:
            raise
        emit(facts) if as_json else say("The server does not run; the next command that needs it starts it.")
        return
    facts |= {
        "running": True,
        "version": health.get("version"),
        "pid": health.get("pid"),
        "operations": known["operations"],
        "workers": known["workers"],
        "database": known["database"],
        "reaper": known["reaper"],
        "environments": known["live"],
    }
    if as_json:
        emit(facts)
        return
    for line in _status_lines(facts):
        say(line)
    warn_of_reaper(facts["reaper"])
    warn_of_workers(facts["workers"])


def _status_lines(facts: dict[str, Any]) -> list[str]:
    last = moment((facts["reaper"] or {}).get("last_cycle_at"))
    cycle = f"last ran {duration((now() - last).total_seconds())} ago" if last else "has not run yet"
    version = clean(facts["version"] or "")
    other = f" (this fuelctl is {__version__})" if version and version != __version__ else ""
    rows = [
        ("Server", f"runs at {clean(facts['endpoint'])}"),
        ("Version", version + other),
        ("PID", str(facts["pid"] or "")),
        ("Database", clean(facts["database"])),
        ("Workers", "" if facts["workers"] is None else str(facts["workers"])),
        ("Reaper", cycle),
        ("Live", _counted(facts["environments"])),
        ("Log", clean(facts.get("log") or "")),
    ]
    return [f"{label + ':':<9} {value}" for label, value in rows if value]


def _counted(environments: int) -> str:
    return f"{environments} environment" + ("" if environments == 1 else "s")


@app.command()
def run(
    bind: Annotated[
        str | None,
        typer.Option("--bind", metavar="ADDRESS", help="HOST:PORT, or unix:PATH; default: this user's own socket."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="URL",
            help="For example postgresql+psycopg://fuel@db/fuel. No password here, where others can read it: give one "
            "in FUELCTL_DATABASE, config.toml or a passfile. Default: SQLite in the state folder.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option("--processes", min=1, max=64, metavar="N", help="That serve HTTP, on Postgres. Default: 2."),
    ] = None,
) -> None:
    """Run the control plane in the foreground, until SIGTERM.

    On SQLite it is one process. On Postgres there are several, which only note down what is wanted: `fuelctl worker
    run` does it.
    """
    # The only place where CLI and control plane meet in one process: this command is the control plane.
    import importlib

    if bind is not None and not bind.strip():
        raise UsageError("an empty word is no address", where="--bind", hint="give HOST:PORT, or unix:PATH")

    def begins(address: str) -> None:
        note(f"Starting the control plane at {address}; Ctrl-C ends it.")

    serve: Any = importlib.import_module("fuelctl.serve")
    raise typer.Exit(int(serve.run(bind, database=database, processes=processes, begins=begins) or 0))
