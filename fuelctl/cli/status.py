# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl status`: everything about one environment."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import typer

from fuelctl import ssh_config, ssh_include
from fuelctl.cli import _access, _provider, _receipt, _rescue
from fuelctl.cli._context import AsJson, Ref, connect, find
from fuelctl.cli._environment import (
    ENDED,
    ENTERABLE,
    address,
    degraded,
    idle,
    idle_end,
    idle_stop,
    now,
    ports_words,
    status_words,
    ttl_left,
    uptime,
    work_folder,
)
from fuelctl.cli._output import clean, clean_lines, duration, emit, mark, paint, say
from fuelctl.cli._prices import spent_at_rate
from fuelctl.cli._reaper import warn_of_reaper

app = typer.Typer()


@app.command()
def status(env: Ref, as_json: AsJson = False) -> None:
    """Show everything about one environment."""
    client = connect()
    environment = find(client, env, observe=True)
    listed = client.environments()
    _access.repair(client, [item for item in listed["environments"] if item["status"] not in ENDED])
    if as_json:
        emit(environment)
        return
    for line in lines(environment, now()):
        say(line)
    warn_of_reaper(listed.get("reaper"))


def lines(environment: dict[str, Any], at: datetime) -> list[str]:
    """The environment for people: facts, stages, then what is wrong with it or how it ended."""
    shown = [f"{label + ':':<11} {value}" for label, value in _facts(environment, at) if value]
    stages = environment.get("stages") or []
    if stages:
        shown += ["", "Stages:"] + [_stage(stage) for stage in stages]
    for condition in environment.get("conditions") or []:
        shown += ["", f"{paint(clean(condition['type']), 'yellow')}: {clean(condition.get('message') or '')}"]
        shown += tail_lines((condition.get("details") or {}).get("tail"))
    if environment.get("error"):
        shown += ["", *error_lines(environment["error"])]
    saved = _rescue.lines_of(environment)
    shown += ["", *saved] if saved else []
    if environment.get("receipt"):
        shown += ["", *_receipt.receipt_lines(environment["receipt"])]
    return [*shown, *_next(environment)]


def _facts(environment: dict[str, Any], at: datetime) -> list[tuple[str, str]]:
    provider = environment.get("provider") or {}
    repository = environment.get("repository") or {}
    blueprint = environment.get("blueprint") or {}
    agent = environment.get("agent") or {}
    commit = clean(repository.get("commit") or "")[:12]
    at_commit = " ".join(word for word in (clean(repository.get("branch") or ""), commit) if word)
    changes = " + changes" if repository.get("dirty") else ""
    left, since = ttl_left(environment, at), idle(environment, at)
    return [
        ("Name", clean(environment["name"])),
        ("ID", clean(environment["id"])),
        ("Owner", clean(environment.get("owner") or "")),
        ("Status", status_words(environment)),
        ("Ended by", clean(environment.get("ended_by") or "")),
        (
            "Repository",
            f"{clean(repository.get('name') or '-')} {at_commit}{changes}",
        ),
        ("From", clean(repository.get("url") or "")),
        ("Provider", " ".join(clean(provider[key]) for key in ("name", "type", "region") if provider.get(key))),
        ("Address", address(environment)),
        ("Image", clean(_provider.image(blueprint))),
        ("Agent", f"{clean(agent['name'])} {clean(agent.get('version') or '')}" if agent.get("name") else ""),
        ("Uptime", duration(uptime(environment, at))),
        ("TTL left", duration(left) if left is not None else ""),
        ("Idle", f"{duration(since)}{_of_limit(environment)}" if since is not None else ""),
        ("Ends", _ends(environment, at)),
        ("Cost", spent_at_rate(environment)),
        ("Workspace", work_folder(environment)),
        ("Ports", ", ".join(ports_words(environment))),
        ("Blueprint", clean(environment.get("blueprint_sha256") or "")[:12]),
    ]


def _of_limit(environment: dict[str, Any]) -> str:
    limit = (environment.get("lease") or {}).get("idle_seconds")
    return f" of {duration(limit)}" if limit else ""


def _ends(environment: dict[str, Any], at: datetime) -> str:
    """What comes first, its TTL or silence."""
    silent, left = idle_end(environment, at), ttl_left(environment, at)
    stop = idle_stop(environment, at)
    if stop is not None and left is not None:
        return f"in {duration(left)}, by its TTL; stopped in {duration(stop)} if nothing happens in it any more"
    if silent is not None:
        return f"in {duration(silent)} if nothing happens in it any more"
    return f"in {duration(left)}, by its TTL" if left is not None else ""


def _stage(stage: dict[str, Any]) -> str:
    state = stage.get("state")
    sign = "." if state == "start" else mark(state != "failed", sys.stdout)
    words = "" if state == "ok" else "running" if state == "start" else clean(state or "")
    return f"  {sign} {clean(stage['stage']):<10} {duration(stage.get('seconds')):>7}  {words}".rstrip()


def tail_lines(tail: Any) -> list[str]:
    """The last lines of a command's output, each behind a bar."""
    text = "\n".join(map(str, tail)) if isinstance(tail, list) else str(tail or "")
    lines = clean_lines(text.rstrip("\n")) if text.strip() else []
    # A command that was tried again says the same again.
    return [f"  | {line}" for index, line in enumerate(lines) if index == 0 or line != lines[index - 1]]


def error_lines(error: dict[str, Any]) -> list[str]:
    """Why a provisioning failed: message, what to do, stage, the last lines."""
    where = f"{clean(error['where'])}: " if error.get("where") else ""
    shown = [f"error: {where}{clean(error.get('message') or 'provisioning failed')}"]
    if error.get("hint"):
        shown.append(f"  hint: {clean(error['hint'])}")
    if error.get("stage"):
        shown.append(f"  stage: {clean(error['stage'])}")
    return [*shown, *tail_lines(error.get("tail"))]


def _next(environment: dict[str, Any]) -> list[str]:
    name = clean(environment["name"])
    if environment["status"] not in ENTERABLE:
        return []
    fix = f"fix it inside: fuelctl ssh {name}; " if degraded(environment) else f"Enter: fuelctl ssh {name}; "
    plain = f"or plain: ssh {ssh_config.host(name)}. " if ssh_include.user_config() is not None else ""
    return ["", f"{fix}{plain}End: fuelctl down {name}"]
