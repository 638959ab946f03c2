# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Have a Docker engine on a machine: the distribution's own package, only where there is none.

An engine that is there keeps its settings, besides the mirrors that are asked for. Ours gets bounded logs too.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Sequence

from ._docker import Completed, Run, run_command
from ._errors import FuelError, UsageError
from ._progress import Progress

SETTINGS = "/etc/docker/daemon.json"
#: A container that talks for days must not fill the disk of its machine.
LOG_LIMITS: Dict[str, Any] = {"log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "3"}}
_MIRROR = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/?")
#: Another package manager at work on a fresh machine is waited for; this many tries of what may pass by itself.
_TRIES = 3
_APT = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
_PASSING = re.compile(
    r"temporary failure|could not resolve|could not connect|connection (?:failed|timed out|refused)|hash sum mismatch"
    r"|unable to fetch|failed to fetch|cannot download|curl error|could not get lock|lock-frontend|timeout was reached",
    re.IGNORECASE,
)
_FULL = re.compile(r"no space left on device|enough free space", re.IGNORECASE)
_WAIT = "another package manager is at work on the machine; run again when it is done"


@dataclass
class Engine:
    """What `ensure` found and did: the engine's version, and what it added to the machine."""

    version: str = ""
    changed: bool = False
    packages: List[str] = field(default_factory=list)
    files: List[str] = field(default_factory=list)
    before: Dict[str, Any] = field(default_factory=dict)
    after: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """The parts of a machine that are touched; tests give their own."""

    run: Run = run_command
    settings: str = SETTINGS
    os_release: str = "/etc/os-release"
    sleep: Callable[[float], None] = time.sleep


def ensure(mirrors: Sequence[str], progress: Progress, machine: Machine, *, check: bool = False) -> Engine:
    """A running engine with these registry mirrors; FuelError in one line when there cannot be one."""
    for mirror in mirrors:
        if not _MIRROR.fullmatch(mirror):
            raise UsageError(
                f"{mirror[:80]!r} is no registry mirror", hint="like https://mirror.example.com", code="bad_mirror"
            )
    engine = Engine()
    with progress.step("engine") as step:
        version, client = _version(machine)
        engine.before = _settings(machine)
        engine.after = _wanted(engine.before, mirrors, fresh=not client)
        rewritten = engine.after != engine.before
        engine.changed = rewritten or not version
        if not engine.changed:
            step.reuse(version)
            engine.version = version
            return engine
        if check:
            return engine
        if rewritten:
            engine.files = [] if os.path.exists(machine.settings) else [machine.settings]
            _write(machine, engine.after)
        if not client:
            engine.packages = [_install(machine, progress)]
        if version and rewritten:
            _systemctl(machine, "reload")
        elif not version:
            _systemctl(machine, "start")
        engine.version = step.message = _answering(machine)
    return engine


def _version(machine: Machine) -> "tuple[str, bool]":
    """(version of the engine that answers or nothing, whether its command line is installed)."""
    try:
        done = machine.run(["docker", "version", "--format", "{{.Server.Version}}"], None, 60)
    except FileNotFoundError:
        return "", False
    return (done.text if done.returncode == 0 else ""), True


def _settings(machine: Machine) -> Dict[str, Any]:
    try:
        with open(machine.settings, encoding="utf-8") as stream:
            found = json.load(stream)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FuelError(
            "cannot be read as JSON", where=machine.settings, hint="repair it", code="bad_config"
        ) from error
    return found if isinstance(found, dict) else {}


def _wanted(before: Dict[str, Any], mirrors: Sequence[str], *, fresh: bool) -> Dict[str, Any]:
    after = dict(before)
    if fresh and "log-driver" not in before:
        after.update(LOG_LIMITS)
    missing = [each for each in mirrors if each not in before.get("registry-mirrors", [])]
    if missing:
        after["registry-mirrors"] = [*before.get("registry-mirrors", []), *missing]
    return after


def _write(machine: Machine, settings: Dict[str, Any]) -> None:
    os.makedirs(os.path.dirname(machine.settings), mode=0o755, exist_ok=True)
    with open(f"{machine.settings}.new", "w", encoding="utf-8") as stream:
        stream.write(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    os.replace(f"{machine.settings}.new", machine.settings)


def _install(machine: Machine, progress: Progress) -> str:
    """One package, by the machine's own package manager; its name."""
    family = _family(machine)
    package = "docker" if family == "rpm" else "docker.io"
    with progress.step("install") as step:
        step.message = package
        if family == "rpm":
            _patiently(machine, ["dnf", "--quiet", "--assumeyes", "install", package])
            return package
        # What an interrupted run left half-configured stops every later one.
        machine.run(["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--configure", "-a"], None, 600)
        _patiently(machine, [*_APT, "-o", "Acquire::Languages=none", "update"])
        _patiently(machine, [*_APT, "install", "--no-install-recommends", package, "iptables"])
    return package


def _family(machine: Machine) -> str:
    """`deb` or `rpm`; FuelError for a system that is neither Debian-like nor Amazon Linux or its kin."""
    try:
        with open(machine.os_release, encoding="utf-8", errors="replace") as stream:
            facts = dict(line.rstrip().partition("=")[::2] for line in stream)
    except OSError:
        facts = {}
    names = " ".join(facts.get(key, "").strip("\"'") for key in ("ID", "ID_LIKE")).split()
    if {"debian", "ubuntu"} & set(names):
        return "deb"
    if {"amzn", "fedora"} & set(names):
        return "rpm"
    raise FuelError(
        f"there is no Docker engine, and none can be installed on {names[0] if names else 'this system'}",
        hint="install one by hand; known are Amazon Linux 2023, Debian and Ubuntu",
        code="engine_unknown_system",
    )


def _patiently(machine: Machine, arguments: List[str]) -> None:
    verb = " ".join(word for word in arguments if re.fullmatch(r"[a-z][a-z.-]*", word) and word not in ("env", "deb"))
    for left in range(_TRIES - 1, -1, -1):
        done = machine.run(arguments, None, 900)
        if done.returncode == 0:
            return
        if not left or not _PASSING.search(done.error_text + done.text):
            raise _failed(verb, done)
        machine.sleep(5.0)


def _failed(verb: str, done: Completed) -> FuelError:
    # What dpkg says comes by way of apt, on its standard output.
    everything = f"{done.text}\n{done.error_text}"
    lines = [line.strip() for line in (done.error_text or done.text).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "Error"))] or lines
    said = (errors or [f"exit code {done.returncode}"])[0]
    if _FULL.search(everything):
        return FuelError(
            "the machine's disk is full", hint="give it a larger one (resources.disk_gb)", where=verb, code="disk_full"
        )
    return FuelError(
        f"Failed to run {verb}: {said[:300]}",
        hint=_WAIT if "lock-frontend" in everything else "see that the machine reaches its package archive",
        code="engine_install",
        details={"tail": lines[-8:]},
    )


def _systemctl(machine: Machine, verb: str) -> None:
    if verb == "start":
        machine.run(["systemctl", "enable", "--quiet", "docker.service"], None, 60)
    done = machine.run(["systemctl", verb, "docker.service"], None, 120)
    if done.returncode != 0:
        raise FuelError(
            f"the Docker engine does not {verb}",
            hint="journalctl -u docker says why",
            code="engine_start",
            details={"tail": done.error_text.splitlines()[-8:]},
        )


def _answering(machine: Machine) -> str:
    for _turn in range(60):
        version, _client = _version(machine)
        if version:
            return version
        machine.sleep(0.5)
    raise FuelError("the Docker engine does not answer", hint="journalctl -u docker says why", code="engine_start")


#: Arguments of the module `docker_engine`.
ARGUMENTS: Dict[str, Any] = {
    "registry_mirrors": {"type": "list", "elements": "str", "default": []},
    "progress_path": {"type": "path"},
}


def docker_engine(params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
    """The work and the result of the module `docker_engine` with `params` as in ARGUMENTS."""
    progress = Progress("provider", params["progress_path"])
    try:
        engine = ensure(params["registry_mirrors"], progress, Machine(), check=check)
    except FuelError as error:
        return error.as_result(steps=progress.steps)
    shown = [json.dumps(each, indent=2, sort_keys=True) + "\n" for each in (engine.before, engine.after)]
    return {
        "changed": engine.changed,
        "version": engine.version,
        "added": {"packages": engine.packages, "files": engine.files},
        "diff": {"before": shown[0], "after": shown[1], "before_header": SETTINGS, "after_header": SETTINGS},
        "steps": progress.steps,
    }
