# SPDX-License-Identifier: GPL-3.0-or-later
"""The door of a machine whose provider lets in single addresses: opened again when its owner comes from another one.

A machine that answers needs nothing: a rule that lets us in is there. Whoever is not let in gets no answer at all, so
that only then it is asked which address we have, and the control plane has that one let in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from fuelctl import ssh_config
from fuelctl._shared._ec2._caller import LONGEST, caller_network
from fuelctl._shared._ec2._port import ssh_answers
from fuelctl._shared._errors import FuelError
from fuelctl.cli._context import take_up_credentials
from fuelctl.cli._environment import not_enterable
from fuelctl.cli._output import clean, note
from fuelctl.client import Client

#: Seconds for an answer of port 22, for one service that says our address, and for all of them.
_KNOCK = 1.5
_ASK = 1.0
_ASK_ALL = 2.0
#: Seconds for a rule to take effect, and between two looks whether it has.
_OPENING = 8.0
_PAUSE = 0.2
#: For so long after an answer nobody knocks again: sshd takes guests who come and say nothing for scanners.
_STILL_OPEN = 60.0


def open_door(client: Client, environment: dict[str, Any]) -> None:
    """Have port 22 of the environment's machine open to us; nothing to do where its provider has no such rule.

    FuelError when the control plane could not have it opened. Without an answer to who we are, one warning.
    """
    provider = environment.get("provider") or {}
    rule = provider.get("let_in")
    machine = (environment.get("connection") or {}).get("machine")
    if not rule or not machine or not_enterable(environment):
        return
    stamp = ssh_config.answered_file(environment["id"])
    with suppress(OSError):
        if 0 <= time.time() - stamp.stat().st_mtime < _STILL_OPEN:
            return
    name = clean(environment["name"])
    if not ssh_answers(str(machine["address"]), int(machine["port"]), _KNOCK):
        network = own_network(rule.get("services") or [])
        if network is None:
            note(f"warning: the machine of {name} does not answer, and nobody says which address you have now")
            return
        if network in (rule.get("networks") or []):
            return
        note(f"You come from {network.partition('/')[0]} now: letting it in to the machine of {name}")
        take_up_credentials([environment])
        client.authorize_ip(environment["id"], address=network.partition("/")[0])
        if not _opens(machine):
            return
    with suppress(OSError):
        stamp.touch(mode=0o600)


def open_servers_doors(client: Client, environments: Iterable[dict[str, Any]]) -> None:
    """The same for an embedded server, which goes the same way to a machine as we do, and is about to.

    What cannot be opened is told by what the server does next.
    """
    if not client.embedded:
        return
    for environment in environments:
        try:
            open_door(client, environment)
        except FuelError as error:
            note(f"warning: {clean(error.message)}")


def _opens(machine: dict[str, Any]) -> bool:
    """Whether it answers now: what a provider was told takes it a moment. If not, ssh is going to say why."""
    deadline = time.monotonic() + _OPENING
    while time.monotonic() < deadline:
        if ssh_answers(str(machine["address"]), int(machine["port"]), _KNOCK):
            return True
        time.sleep(_PAUSE)
    return False


def own_network(services: Sequence[str]) -> str | None:
    """Our address as a /32, as one of these services says it within two seconds; None when none does."""
    found: list[str] = []

    def ask() -> None:
        with suppress(FuelError):
            found.append(caller_network(services, _read))

    # Looking up a name has no time limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_ASK_ALL)
    return found[0] if found else None


def _read(url: str) -> str:
    from urllib.request import Request, urlopen

    asked = Request(url, headers={"User-Agent": "fuel-code"})  # noqa: S310 - whoever calls has looked at the scheme
    with urlopen(asked, timeout=_ASK) as answer:  # noqa: S310 - the same
        return str(answer.read(LONGEST).decode("ascii", "replace"))
