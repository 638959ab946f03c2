# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Docker engine `docker` talks to, found as it does: DOCKER_HOST, DOCKER_CONTEXT, then `docker context use`.

No process is started and no engine is asked. Standard library only: the CLI's start passes here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

_USUAL = ("", "default", "unix:///var/run/docker.sock", "unix:///run/docker.sock")


def engine_of(environment: Mapping[str, str]) -> str:
    """The address of the engine that a process with these variables talks to; empty for the usual one.

    Of a context whose address is not known here (its files are gone), its name.
    """
    host = environment.get("DOCKER_HOST")
    if not host:
        context = _context(environment)
        host = (_address(environment, context) or context) if context not in _USUAL else ""
    return "" if host in _USUAL else host


def pin(environment: MutableMapping[str, str]) -> None:
    """Keep to the engine of this moment: a later `docker context use` is for other shells, not for what runs here."""
    if not environment.get("DOCKER_HOST"):
        environment["DOCKER_CONTEXT"] = _context(environment) or "default"


def words(engine: str) -> str:
    """An engine in a sentence."""
    return engine or "the usual Docker engine"


def way_back(engine: str) -> str:
    """What to put before a command so that it means this engine."""
    if not engine:
        return "DOCKER_CONTEXT=default"
    return f"DOCKER_HOST={engine}" if "://" in engine else f"DOCKER_CONTEXT={engine}"


def _context(environment: Mapping[str, str]) -> str:
    named = environment.get("DOCKER_CONTEXT")
    return named or str(_json(_folder(environment) / "config.json").get("currentContext") or "")


def _address(environment: Mapping[str, str], context: str) -> str:
    name = hashlib.sha256(context.encode("utf-8", "surrogateescape")).hexdigest()
    endpoints = _json(_folder(environment) / "contexts" / "meta" / name / "meta.json").get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    return str(docker.get("Host") or "") if isinstance(docker, dict) else ""


def _folder(environment: Mapping[str, str]) -> Path:
    given = environment.get("DOCKER_CONFIG")
    return Path(given) if given else Path(environment.get("HOME") or "/") / ".docker"


def _json(file: Path) -> dict[str, Any]:
    """What is in the file; nothing when it cannot be read, as docker itself takes it."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
