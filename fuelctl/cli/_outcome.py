# SPDX-License-Identifier: GPL-3.0-or-later
"""How a provisioning ended, in a person's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fuelctl import ssh_config, ssh_include
from fuelctl._shared._errors import FuelError
from fuelctl.cli import _access, _receipt
from fuelctl.cli._environment import ENDED, ENTERABLE, address, degraded, moment, now, ports_words, stalled, ttl_left
from fuelctl.cli._output import clean, duration, note, paint
from fuelctl.cli.status import error_lines, tail_lines

Say = Callable[[str], None]


def is_settled(environment: dict[str, Any]) -> bool:
    """Whether provisioning is over, one way or the other."""
    return environment["status"] in ENTERABLE or environment["status"] in ENDED or stalled(environment)


def detached_lines(environment: dict[str, Any] | None, *, sent: bool) -> list[str]:
    """After Ctrl-C: what goes on, what does not, and how to come back."""
    if environment is None:
        return ["", "Interrupted while the source was being packed: nothing was started."]
    name = clean(environment["name"])
    if sent:
        return [
            "",
            f"Detached: {name} goes on being provisioned.",
            f"Pick it up: fuelctl up --attach {name} (or fuelctl logs -f {name}). End it: fuelctl down {name}",
        ]
    return [
        "",
        f"Detached: the upload has stopped, and {name} waits for the rest of its source.",
        f"Go on: fuelctl up --attach {name}. Give it up: fuelctl down {name}",
    ]


def settle(client: Any, environment: dict[str, Any], say: Say) -> int:
    """Say how it ended, open the way in when it is ready; the exit code."""
    if environment["status"] in ENTERABLE:
        _open(client, environment)
        for line in ready_lines(environment):
            say(line)
        return 0
    for line in failure_lines(environment):
        note(line)
    return 1


def _open(client: Any, environment: dict[str, Any]) -> None:
    """Key, ssh config entry and Include line. An environment that is ready stays ready when one of them fails."""
    try:
        _access.let_in(client, environment)
        told = ssh_include.add_once()
    except FuelError as error:
        note(f"warning: {clean(error.message)}" + (f" ({clean(error.hint)})" if error.hint else ""))
        return
    if told:
        note(told)


def ready_lines(environment: dict[str, Any]) -> list[str]:
    """What a person types next."""
    name = clean(environment["name"])
    broken = degraded(environment)
    took = _took(environment)
    head = f"{name} is ready{took}."
    lines = ["", paint(head, "green")]
    if broken is not None:
        lines = ["", paint(f"{name} is ready{took}, but degraded: a set-up command failed.", "yellow")]
        details = broken.get("details") or {}
        if details.get("command"):
            code = f" (exit code {details['rc']})" if details.get("rc") is not None else ""
            lines.append(f"  $ {clean(details['command'])}{code}")
            lines += tail_lines(details.get("tail"))
        else:
            lines.append(f"  {clean(broken.get('message') or '')}")
        lines.append(f"  Get in and mend it: fuelctl ssh {name}. All of its output: fuelctl logs {name}")
    left = ttl_left(environment, now())
    plain = f"    (or plain: ssh {ssh_config.host(name)})" if ssh_include.user_config() is not None else ""
    facts = [
        ("ID", clean(environment["id"])),
        ("Name", name),
        ("Address", address(environment)),
        ("Ports", ", ".join(ports_words(environment))),
        ("Enter", f"fuelctl ssh {name}{plain}"),
        ("End", f"fuelctl down {name}    (ends by itself in {duration(left)})"),
    ]
    return lines + [f"  {label + ':':<9} {value}" for label, value in facts if value]


def _took(environment: dict[str, Any]) -> str:
    """Seconds from creation to ready: uptime counts from ready, so the difference of the two moments."""
    created, ready = moment(environment.get("created_at")), moment(environment.get("ready_at"))
    return f" after {duration((ready - created).total_seconds())}" if created and ready else ""


def failure_lines(environment: dict[str, Any]) -> list[str]:
    """Why there is no environment, and that nothing of it is left."""
    name = clean(environment["name"])
    if environment["status"] == "terminated":
        by = clean(environment.get("ended_by") or "somebody")
        before = " before it was ready" if not environment.get("ready_at") else ""
        return [f"error: {name} was ended by {by}{before}", f"  hint: see fuelctl logs {environment['id']}"]
    lines = error_lines(environment.get("error") or {})
    if stalled(environment):
        lines.append("What had been made could not all be removed yet; the server tries again by itself.")
    elif environment.get("receipt"):
        receipt = _receipt.complete_receipt(environment)
        if receipt["complete"]:
            lines.append(f"Everything that had been made was undone (receipt: fuelctl status {environment['id']}).")
        else:
            lines += ["Not everything could be undone:", *_receipt.receipt_lines(receipt)]
    else:
        lines.append(f"It is held for a look until its TTL: fuelctl logs {name}. End it: fuelctl down {name}")
    machine = str((environment.get("error") or {}).get("code") or "").startswith("docker")
    look = ". Look at this machine: fuelctl doctor" if machine else ""
    return [*lines, f"All of its output: fuelctl logs {environment['id']}{look}"]
