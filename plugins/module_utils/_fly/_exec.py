# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""A command in a machine, by Fly.io's own call for it: a channel that needs no key, and no port, of the machine's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from .._errors import FuelError, UsageError
from ._api import Api, ApiError, place
from ._machine import find
from ._refusals import explain

#: Fly.io ends a command after a minute.
LIMIT = 60
#: Seconds. Fly.io takes one call a second of each kind, in bursts of three.
INTERVAL = 1.0
#: Seconds after which a machine that is not listed is taken for none.
SETTLE = 5.0


@dataclass
class Command:
    """What is run. `again`: it does no harm to run it twice, so it is repeated until it ends with 0 or time is up."""

    app: str
    machine: str
    argv: List[str]
    stdin: str = ""
    timeout: int = 30
    again: bool = False


@dataclass
class Done:
    """What it came to."""

    machine_id: str
    rc: int
    stdout: str
    stderr: str


def _found(api: Api, command: Command) -> Optional[Dict[str, Any]]:
    """The machine; one that was made a moment ago may not be listed yet."""
    begun = api.clock()
    while True:
        machine = find(api, command.app, command.machine)
        if machine is not None or not command.again or api.clock() - begun > SETTLE:
            return machine
        api.sleep(INTERVAL)


def run(api: Api, command: Command) -> Done:
    """Run it in the machine of this name; FuelError when there is none that runs, or nobody knows what became of it."""
    where = f"{command.app}/{command.machine}"
    if not command.argv or not 1 <= command.timeout <= LIMIT:
        raise UsageError("a command needs words, and 1 to 60 seconds", where=where)
    try:
        machine = _found(api, command)
        if machine is None or machine.get("state") != "started":
            state = "not there" if machine is None else str(machine.get("state"))
            raise FuelError(f"the machine is {state}", hint="start it first", where=where, code="fly_not_started")
        path = place("apps", command.app, "machines", str(machine["id"]), "exec")
        body = {"command": command.argv, "timeout": command.timeout, "stdin": command.stdin}
        begun = api.clock()
        while True:
            answer = api.call("POST", path, body, repeat=command.again, longer=command.timeout) or {}
            done = Done(
                str(machine["id"]),
                # One that a signal ended has no code of its own.
                int(answer.get("exit_code") or 0) or 128 * bool(answer.get("exit_signal")),
                str(answer.get("stdout") or ""),
                str(answer.get("stderr") or ""),
            )
            if done.rc == 0 or not command.again or api.clock() - begun > api.patience:
                return done
            api.sleep(INTERVAL)
    except ApiError as error:
        raise explain(error, where) from error
