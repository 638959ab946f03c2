# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl up`: from a repository to a running environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuelctl._shared._errors import FuelError, UsageError
from fuelctl._shared._identity import check_environment_name
from fuelctl.cli import (
    _access,
    _ask,
    _context,
    _environment,
    _from_rescue,
    _launch,
    _outcome,
    _plan,
    _provider,
    _secrets,
)
from fuelctl.cli._output import can_ask, clean, emit, note, say
from fuelctl.cli._progress import UPLOAD, View, follow
from fuelctl.cli._view import make_view
from fuelctl.client import Client

if TYPE_CHECKING:
    from fuelctl.source import Repository

app = typer.Typer()


@dataclass(frozen=True)
class _Options:
    """What a person asked for, in one piece."""

    location: str
    name: str | None
    provider: _provider.Asked
    blueprint: Path | None
    branch: str | None
    ttl: str | None
    idle: str | None
    when_idle: str | None
    idle_discard: bool
    rescue: bool | None
    from_rescue: str | None
    secrets: list[str]
    secret_files: list[str]
    agent_home: Path | None
    clean: bool
    keep_on_error: bool
    max_price_hour: float | None
    yes: bool
    as_json: bool


@app.command()
def up(
    location: Annotated[
        str, typer.Argument(metavar="[PATH|URL]", help="Folder of a git repository, or its URL.", show_default=False)
    ] = ".",
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the environment; default: the repository's.")
    ] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Where its machine comes from.")] = None,
    region: Annotated[
        str | None,
        typer.Option("--region", help="Region; default: the blueprint's, or your settings'."),
    ] = None,
    instance_type: Annotated[
        list[str] | None,
        typer.Option("--instance-type", metavar="TYPE", help="Machine type; repeat it for what to try next."),
    ] = None,
    disk: Annotated[int | None, typer.Option("--disk", metavar="GB", min=8, max=1000, help="Size of the disk.")] = None,
    spot: Annotated[
        bool | None, typer.Option("--spot/--no-spot", help="Spot capacity first, on-demand where there is none.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="USER@HOST", help="A host of your own, as after ssh (provider ssh)."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="Any other option of the provider. Repeatable."),
    ] = None,
    blueprint: Annotated[
        Path | None, typer.Option("--blueprint", metavar="FILE", help="Use this instead of .fuel-code/env.yaml.")
    ] = None,
    branch: Annotated[str | None, typer.Option("--branch", help="Not what is checked out, but this.")] = None,
    ttl: Annotated[
        str | None,
        typer.Option("--ttl", metavar="DURATION", help="Time to live: 8h, 30m, 2d."),
    ] = None,
    idle: Annotated[
        str | None,
        typer.Option("--idle", metavar="DURATION", help="Ends, or stops, when nothing happened for this long: 30m."),
    ] = None,
    when_idle: Annotated[
        str | None,
        typer.Option("--when-idle", metavar="stop|end", help="Then: stop its machine, where its provider can, or end."),
    ] = None,
    idle_discard: Annotated[
        bool, typer.Option("--idle-discard", help="Then also when work would be lost, which keeps it otherwise.")
    ] = False,
    rescue: Annotated[
        bool | None,
        typer.Option("--rescue/--no-rescue", help="Save work that is only in it before it ends by itself."),
    ] = None,
    from_rescue: Annotated[
        str | None,
        typer.Option(
            "--from-rescue", metavar="RESCUE", help="Put saved work back into a new one; see fuelctl rescue ls."
        ),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            "--secret", metavar="NAME", help="Give it this variable of your shell, kept out of every log. Repeatable."
        ),
    ] = None,
    secret_file: Annotated[
        list[str] | None,
        typer.Option("--secret-file", metavar="NAME=PATH", help="The same, with the value from a file. Repeatable."),
    ] = None,
    agent_home: Annotated[
        Path | None,
        typer.Option(
            "--agent-home",
            metavar="PATH",
            help="Give the agent settings, hooks and MCP servers from here, for example ~/.claude.",
        ),
    ] = None,
    clean_: Annotated[bool, typer.Option("--clean", help="Leave uncommitted changes at home.")] = False,
    keep_on_error: Annotated[
        bool,
        typer.Option("--keep-on-error", help="Do not undo a failed provisioning; hold it for a look until its TTL."),
    ] = False,
    max_price_hour: Annotated[
        float | None,
        typer.Option("--max-price-hour", metavar="USD", help="Make nothing whose machine may cost more per hour."),
    ] = None,
    yes: _context.Yes = False,
    ssh: Annotated[bool, typer.Option("--ssh", help="Enter the environment as soon as it is ready.")] = False,
    attach: Annotated[
        str | None,
        typer.Option(
            "--attach",
            metavar="ENV",
            help="Follow one that is being provisioned; send the rest of its source.",
            autocompletion=_context.complete_environment,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    as_json: _context.AsJson = False,
) -> None:
    """Take a repository to a running environment.

    The blueprint is .fuel-code/env.yaml, or is detected; what was found, and where, is shown before anything is made.
    Uncommitted changes travel along. Ctrl-C detaches: the work goes on, and --attach or `fuelctl logs -f` picks it up.
    """
    if ssh and as_json:
        raise UsageError("--ssh needs the terminal, and --json wants stdout for itself", hint="give one of the two")
    if attach is not None:
        client = _context.connect()
        found = _context.find(client, attach)
        _drive(client, lambda _: found, replay=True, as_json=as_json, ssh=ssh)
        return
    given = [*(option or []), *([f"host={host}"] if host else [])]
    provider = provider or ("ssh" if host else None)
    asked = _provider.Asked(provider, region, instance_type or [], disk, spot, given)
    options = _Options(
        location, name, asked, blueprint, branch, ttl, idle, when_idle, idle_discard, rescue, from_rescue,
        secret or [], secret_file or [], agent_home, clean_, keep_on_error, max_price_hour, yes, as_json,
    )  # fmt: skip
    plan = _make_plan(options) if from_rescue is None else _from_rescue.make_plan(_context.connect(), options)
    if dry_run:
        _show(plan, as_json=as_json, to_stdout=True)
        return
    if not yes and not can_ask():
        raise _ask.nobody_to_ask()
    client = _context.connect()
    _context.check_engine(plan.provider)
    stopped = _stopped_one(client, plan)
    if stopped is not None:
        # With the workspace that it has, which may hold more than the folder here.
        awake = _access.wake(client, stopped)
        _drive(client, lambda _: awake, replay=True, as_json=as_json, ssh=ssh)
        return
    _settle_name(client, plan)
    _show(plan, as_json=as_json, to_stdout=not as_json)
    if not yes:
        _ask.confirm("Make this environment?", default=True)

    def begin(view: View) -> dict[str, Any]:
        return _pack_and_create(client, plan, options, view)

    _drive(client, begin, replay=False, as_json=as_json, ssh=ssh)


def _make_plan(options: _Options) -> _plan.Plan:
    """Look at everything, change nothing."""
    from fuelctl import source
    from fuelctl._shared import _blueprint

    if options.name is not None:
        check_environment_name(options.name)
    if options.agent_home is not None and not options.agent_home.expanduser().is_dir():
        raise UsageError(f"{options.agent_home} is no folder", where="--agent-home")
    repository = _inspect(options)
    if options.blueprint is None:
        repository = source.begin_at(repository, _blueprint.BLUEPRINT_PATH)
    found, origin, details = _plan.blueprint_of(repository.folder, options.blueprint)
    ttl_seconds, idle_seconds = _plan.lease(found, options.ttl, options.idle)
    blueprint = _blueprint.to_dict(found)
    _plan.check_provider(options.provider.name or blueprint["provider"]["name"])
    _provider.settle(blueprint, options.provider, foreign=options.blueprint is None)
    _plan.when_idle(blueprint, options.when_idle)
    offered = _plan.offer(blueprint, options.max_price_hour)
    wish = options.name or blueprint["name"] or _plan.slug(repository.name)
    return _plan.Plan(
        name=wish,
        base_name=wish,
        named=options.name is not None,
        repository=repository,
        blueprint=blueprint,
        origin=origin,
        ttl_seconds=ttl_seconds,
        idle_seconds=idle_seconds,
        idle_discard=options.idle_discard,
        rescue=blueprint["rescue"] if options.rescue is None else options.rescue,
        offer=offered,
        max_price_hour=options.max_price_hour,
        secrets=_secrets.gather(options.secrets, options.secret_files, blueprint["secrets"], os.environ),
        evidence=details.get("evidence", []),
        conflicts=details.get("conflicts", []),
        troubles=details.get("troubles", []),
    )


def _inspect(options: _Options) -> Repository:
    """The repository; a URL is cloned, which may take a while and is shown."""
    from fuelctl import source
    from fuelctl._shared._workspace._names import looks_like_url

    if not looks_like_url(options.location):
        return source.inspect(options.location, branch=options.branch, clean=options.clean)
    with make_view(sys.stderr) as view:
        return source.inspect(options.location, branch=options.branch, clean=options.clean, report=view.show_bar)


def _stopped_one(client: Client, plan: _plan.Plan) -> dict[str, Any] | None:
    """The caller's own of that very name whose machine is stopped."""
    if not plan.named or plan.from_rescue is not None:
        return None
    mine = client.environments(owner=_context.me(client))["environments"]
    return next((one for one in mine if one["name"] == plan.name and _can_wake(one)), None)


def _can_wake(environment: dict[str, Any]) -> bool:
    container = (environment.get("connection") or {}).get("container")
    return not container and _environment.stopped(environment) is not None


def _settle_name(client: Client, plan: _plan.Plan) -> None:
    """The name that it is going to have, as far as one can know before asking."""
    taken = _launch.names_in_use(client, _context.me(client))
    if plan.named and plan.name in taken:
        raise FuelError(
            f"The name {plan.name} is taken by an environment that is still there",
            hint=f"choose another --name, or end that one: fuelctl down {plan.name}",
            code="name_taken",
        )
    plan.name = plan.name if plan.named else _plan.free_name(plan.base_name, taken)


def _show(plan: _plan.Plan, *, as_json: bool, to_stdout: bool) -> None:
    if as_json and to_stdout:
        emit(plan.as_dict())
        return
    for line in _plan.plan_lines(plan):
        (say if to_stdout else note)(line)
    (say if to_stdout else note)("")


def _pack_and_create(client: Client, plan: _plan.Plan, options: _Options, view: View) -> dict[str, Any]:
    """Pack the source, have the environment made, keep the packed source for the upload."""
    from fuelctl import source

    home = options.agent_home.expanduser().absolute() if options.agent_home else None
    if isinstance(plan.repository, _from_rescue.Saved):
        return _launch.create(
            client, plan, None, owner=_context.me(client), agent_home=home, keep_on_error=options.keep_on_error
        )
    with _launch.new_upload_file() as target:
        packed = source.pack(plan.repository, target, report=view.show_bar)
        environment = _launch.create(
            client, plan, packed, owner=_context.me(client), agent_home=home, keep_on_error=options.keep_on_error
        )
        _launch.keep_for_upload(packed, environment["id"])
    return environment


def _drive(client: Client, begin: Callable[[View], dict[str, Any]], *, replay: bool, as_json: bool, ssh: bool) -> None:
    """From `begin` to the end of provisioning: send what is missing of the source, follow, say how it ended."""
    environment: dict[str, Any] | None = None
    sent = False
    try:
        with make_view(sys.stderr) as view:
            environment = begin(view)
            warnings = [str(each) for each in environment.get("warnings") or []]
            if environment["status"] == "provisioning":
                _launch.send(client, environment["id"], lambda done, total: view.show_bar(UPLOAD, done, total))
            sent = True
            if replay or not _outcome.is_settled(environment):
                environment = follow(client, environment["id"], view.event, _outcome.is_settled)
    except KeyboardInterrupt:
        for line in _outcome.detached_lines(environment, sent=sent):
            note(line)
        raise typer.Exit(130) from None
    for warning in warnings:
        note(f"note: {clean(warning)}")
    code = _outcome.settle(client, environment, note if as_json else say)
    if as_json:
        emit(client.environment(environment["id"]))
    if code == 0 and ssh:
        from fuelctl.cli.ssh import interactive

        code = interactive(client, environment)
    raise typer.Exit(code)
