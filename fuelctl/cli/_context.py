# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command needs first: the server, and the environment that a person means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from fuelctl import paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.cli import _settings
from fuelctl.client import ApiError, Client

Environment = dict[str, Any]
_LONGEST_REF = 64


def connect(*, start: bool = True) -> Client:
    """A client of the configured server, or of the embedded one, which is started when it does not run yet."""
    server = _settings.server()
    if server.url:
        return Client(url=server.url, token=server.token)
    if start:
        ensure()
    return Client(
        socket_path=str(paths.server_socket()),
        revive=ensure if start else None,
        revive_follower=keep_running if start else None,
    )


def me(client: Client) -> str:
    """The owner of what we make there: on our own server this machine's user, on a team's whom it takes us for."""
    if client.embedded:
        import getpass

        return getpass.getuser()
    return str(client.whoami()["name"])


def ensure() -> None:
    """Start the embedded server, or do nothing when one of this version runs."""
    from fuelctl.serve_start import ensure_running

    ensure_running()


def keep_running() -> None:
    """As `ensure`, for what follows: a server that a person has stopped is left stopped, and FuelError says so."""
    from fuelctl import serve_start

    serve_start.keep_running()


def check_engine(provider: str) -> None:
    """Have an embedded server that means the same by this provider as this shell does.

    FuelError when `local` would be another Docker engine to it; for a cloud, it takes up this shell's credentials.
    """
    if _settings.server().url:
        return
    from fuelctl import serve_start

    if provider == "local":
        serve_start.check_engine()
    else:
        from fuelctl.cli import _provider

        _provider.check(provider)
        serve_start.take_up_credentials(provider)
        if not serve_start.works_in(provider):
            _provider.check_nobody(provider)


def take_up_credentials(environments: Iterable[Environment]) -> None:
    """Before something is done to these: an embedded server works with this shell's credentials from here on."""
    providers = {(environment.get("provider") or {}).get("name") for environment in environments} - {"local", None}
    if providers and not _settings.server().url:
        from fuelctl import serve_start

        for provider in sorted(map(str, providers)):
            serve_start.take_up_credentials(provider)


def find(client: Client, ref: str, *, observe: bool = False) -> Environment:
    """The environment that `ref` names; FuelError in a person's words when there is none, or more than one.

    :param observe: a person wants to know how it is: have its machine asked, for the next answer.
    """
    if not ref.strip():
        raise UsageError("An empty word names no environment", hint="`fuelctl ls` shows ids and names")
    if len(ref) > _LONGEST_REF:
        raise _nobody(ref)
    try:
        return client.environment(ref, observe=observe)
    except ApiError as error:
        if error.code == "ambiguous":
            raise ambiguous(ref, error) from error  # pylint: disable=bad-exception-cause
        if error.status == 404:
            raise _nobody(ref) from error  # pylint: disable=bad-exception-cause
        raise


def _nobody(ref: str) -> FuelError:
    return FuelError(
        f"There is no environment {ref[:80]!r}", hint="`fuelctl ls --all` shows every id and name", code="not_found"
    )


def ambiguous(ref: str, error: ApiError) -> FuelError:
    """Which environments a short id could mean."""
    named = []
    for candidate in error.details.get("candidates", []):
        if isinstance(candidate, dict):
            named.append(f"{candidate.get('id')} ({candidate.get('name')})")
        else:
            named.append(str(candidate))
    return FuelError(
        f"{ref[:80]!r} means more than one environment: {', '.join(named)}",
        hint="give more of the id",
        code="ambiguous",
        details=error.details,
    )


def complete_environment(incomplete: str) -> list[tuple[str, str]]:
    """Shell completion: names of live environments. Never starts a server, never complains."""
    try:
        found = connect(start=False).environments()["environments"]
    except (FuelError, KeyError, OSError):
        return []
    return [(item["name"], item["status"]) for item in found if item["name"].startswith(incomplete)]


Ref = Annotated[
    str,
    typer.Argument(metavar="ENV", help="Id, unique prefix of one, or name.", autocompletion=complete_environment),
]
Refs = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ENV]...", help="Ids, unique prefixes or names.", autocompletion=complete_environment),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
