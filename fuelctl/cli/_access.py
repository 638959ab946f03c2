# SPDX-License-Identifier: GPL-3.0-or-later
"""The way into an environment: its key, its ssh config entry, and ssh itself."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from fuelctl import _docker_engine, paths, ssh_config
from fuelctl._shared._errors import FuelError
from fuelctl.cli import _environment
from fuelctl.cli._context import take_up_credentials
from fuelctl.cli._output import clean, note
from fuelctl.client import ApiError, Client


def let_in(client: Client, environment: dict[str, Any], *, own: bool = True) -> ssh_config.Entry:
    """Have the key and the ssh config entry of an environment; FuelError in its own sentence when nobody can enter.

    :param own: a machine that is stopped is started; and where its key was handed out before, one of this machine is
        let in.
    """
    reason = _environment.not_enterable(environment)
    if reason:
        raise FuelError(reason[0], hint=reason[1], code=f"environment_{environment['status']}")
    _check_engine(client, environment)
    if own:
        wake(client, environment)
    entry = ssh_config.entry_for(environment, client.endpoint)
    if entry is None:
        raise FuelError(
            f"The server knows no way into {environment['name']} yet", hint=f"fuelctl status {environment['name']}"
        )
    with ssh_config.locked():
        ssh_config.put(entry)
        if not ssh_config.has_key(entry.id):
            _fetch_key(client, entry, own=own)
    return entry


def wake(client: Client, environment: dict[str, Any]) -> dict[str, Any]:
    """Have its machine started, where it is known not to run; where nobody knows it yet, a connection starts it."""
    asleep = _environment.stopped(environment)
    if asleep is None:
        return environment
    state = clean((asleep.get("details") or {}).get("state") or "stopped")
    note(f"{clean(environment['name'])} is {state}: starting it")
    take_up_credentials([environment])
    return client.power(environment["id"], state="started")


def _check_engine(client: Client, environment: dict[str, Any]) -> None:
    """FuelError when ssh's `docker exec` would look for the container on another engine than it is on."""
    its = (environment.get("provider") or {}).get("engine")
    mine = _docker_engine.engine_of(os.environ)
    elsewhere = (environment.get("connection") or {}).get("machine")
    if client.embedded and not elsewhere and its is not None and its != mine:
        name, back = clean(environment["name"]), clean(_docker_engine.way_back(its))
        raise FuelError(
            f"{name} is on {clean(_docker_engine.words(its))}, your shell means {_docker_engine.words(mine)}",
            hint=f"put {back} before the command, or switch back: docker context use",
            where="docker context",
            code="other_engine",
        )


def _fetch_key(client: Client, entry: ssh_config.Entry, *, own: bool) -> None:
    """Take the key, which is handed out once: kept here before the server is told to forget it.

    When another machine or folder has it, a key of our own is let in (`own`), or FuelError says so.
    """
    request = ssh_config.key_request(entry.id)
    try:
        key = client.ssh_key(entry.id, key=request)["private_key"]
    except ApiError as error:
        if error.status != 410:
            ssh_config.remove([entry.id])
            raise
        if not own:
            ssh_config.remove([entry.id])
            raise FuelError(  # pylint: disable=bad-exception-cause
                f"The key of {entry.name} has already been handed out, to another machine or another folder",
                hint=f"have a key of this machine let in: fuelctl ssh {entry.name}",
                code="key_gone",
            ) from error
        _let_own_key_in(client, entry)
        return
    ssh_config.store_key(entry.id, key)
    with suppress(FuelError):
        # The server forgets it by itself after a while.
        client.key_received(entry.id, key=request)


def _let_own_key_in(client: Client, entry: ssh_config.Entry) -> None:
    """The environment's key is on another machine: have one of ours let in beside it."""
    note(f"The key of {clean(entry.name)} was handed out to another machine or folder: letting in one of this machine")
    try:
        client.authorize_key(entry.id, public_key=ssh_config.own_key(entry.id))
    except FuelError:
        ssh_config.remove([entry.id])
        raise
    ssh_config.take_own_key(entry.id)


def repair(client: Client, environments: Iterable[dict[str, Any]]) -> None:
    """Bring the ssh files in line with the server's live environments.

    On the embedded server, whose environments nobody else can reach, keys that were not fetched yet (the `up` was
    interrupted) are fetched now. A list that cannot repair is still a list: faults here are left for `ssh` to tell.
    """
    live = list(environments)
    try:
        ssh_config.repair(live, client.endpoint)
        if client.embedded:
            known = {entry.id for entry in ssh_config.entries()}
            for environment in live:
                if environment["id"] not in known and environment["status"] in _environment.ENTERABLE:
                    # A list asks nothing of machines.
                    let_in(client, environment, own=False)
    except FuelError:
        return


def ssh_arguments(entry: ssh_config.Entry, *, terminal: bool | None) -> list[str]:
    """`ssh` with our config and nothing of the user's; `terminal` True asks for one, False forbids it."""
    flag = {True: ["-t"], False: ["-T"], None: []}[terminal]
    return ["ssh", "-F", str(paths.ssh_config_file()), *flag, entry.host]


def own_words(command: Sequence[str] | None) -> list[str]:
    """The words of a command given after ENV, without the `--` that may separate it."""
    words = list(command or [])
    return words[1:] if words[:1] == ["--"] else words


#: Of a launch from a folder within a repository, work begins in that folder.
_ENTER_FOLDER = '{ [ ! -r .git/fuel-code/folder ] || cd -- "./$(cat .git/fuel-code/folder)"; }'


def in_workspace(environment: dict[str, Any], command: str) -> str:
    """A command line for the shell at the other end, run in the workspace."""
    workspace = (environment.get("connection") or {}).get("workspace")
    return f"cd {shlex.quote(workspace)} && {_ENTER_FOLDER} && {command}" if workspace else command


def become_ssh(arguments: Sequence[str]) -> NoReturn:
    """Replace this process by ssh: streams, signals and the exit code are its own from here."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(arguments[0], list(arguments))  # noqa: S606 - no shell is wanted
    except FileNotFoundError as error:
        raise _no_ssh() from error


def run_ssh(arguments: Sequence[str]) -> int:
    """Run ssh as a child and return its exit code; an interrupt is for ssh alone."""
    import signal

    # A handler, not SIG_IGN: an ignored signal would stay ignored in ssh and in all that it starts.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        done = subprocess.run(list(arguments), check=False)
    except FileNotFoundError as error:
        raise _no_ssh() from error
    finally:
        signal.signal(signal.SIGINT, before)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _no_ssh() -> FuelError:
    return FuelError(
        "There is no ssh on this machine", hint="install OpenSSH: apt-get install openssh-client", code="no_ssh"
    )
