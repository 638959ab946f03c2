# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What of a machine can change by our being there. Looking changes nothing."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Sequence, Tuple

from .._docker import Completed, Run, run_command
from .._errors import FuelError

#: Folders and files that a Docker engine, Ansible and this collection leave behind; `~` is the home of who works here.
PATHS = (
    "/etc/cni",
    "/etc/docker",
    "/etc/containerd",
    "/etc/default/docker",
    "/opt/containerd",
    "/run/adduser",
    "/run/containerd",
    "/run/docker",
    "/run/docker.sock",
    "/tmp/.ansible-fuel",  # noqa: S108 - Ansible's own, by role provider_ssh
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/fuel-code",
    "~/.ansible",
    "~/.ansible_async",
    "~/.cache",
    "~/.cache/fuel-code",
    "~/.docker",
)
SETTINGS = "/etc/docker/daemon.json"
_FORWARDING = "/proc/sys/net/ipv4/ip_forward"
_LINKS = "/sys/class/net"
#: Links that come and go with single containers.
_PASSING_LINK = re.compile(r"veth|br-|cali|cni|flannel")
#: A chain's policy without its counters: `:FORWARD DROP [12:34]`.
_COUNTERS = re.compile(r"\s*\[\d+:\d+\]\s*$")


@dataclass(frozen=True)
class Parts:
    """The parts of a machine that are touched; tests give their own."""

    run: Run = run_command
    root: str = ""
    home: str = os.path.expanduser("~")
    exists: Callable[[str], bool] = os.path.lexists

    def path(self, name: str) -> str:
        """Where `name` of PATHS is on this machine."""
        if name == "~" or name.startswith("~/"):
            return self.home + name[1:]
        return self.root + name

    def call(self, *argv: str, timeout: float = 120) -> Completed:
        """Run a command; one that is not there has exit code 127."""
        try:
            return self.run(list(argv), None, timeout)
        except FileNotFoundError:
            return Completed(list(argv), 127, b"", b"not found")


def look(parts: Parts) -> Dict[str, Any]:
    """Everything that is compared, as plain data."""
    engine = _engine(parts)
    return {
        "packages": packages(parts),
        "groups": _names(parts.path("/etc/group")),
        "users": _names(parts.path("/etc/passwd")),
        "paths": {name: _kind(parts.path(name)) for name in PATHS},
        "links": _links(parts),
        "forwarding": _text(parts.path(_FORWARDING)).strip(),
        "firewall": firewall(parts),
        "settings": _text(parts.path(SETTINGS)) if os.path.exists(parts.path(SETTINGS)) else None,
        "engine": engine,
        **_objects(parts, answers=engine["running"]),
    }


def packages(parts: Parts) -> List[str]:
    """Names of what the package manager has installed; empty on a system with another one."""
    listed = parts.call("dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}\t${Package}\n")
    if listed.returncode == 0:
        rows = (line.partition("\t") for line in listed.text.splitlines())
        # `rc`: removed, its settings are left.
        return sorted({name for state, _tab, name in rows if state[1:2] not in ("n", "")})
    listed = parts.call("rpm", "--query", "--all", "--queryformat", "%{NAME}\n")
    return sorted(set(listed.text.split())) if listed.returncode == 0 else []


def firewall(parts: Parts) -> List[str]:
    """The rules of iptables, and the chains that hold something up; counters and comments left out."""
    found = set()
    for table in ("filter", "nat"):
        saved = parts.call("iptables-save", "-t", table)
        if saved.returncode == 0:
            lines = (_COUNTERS.sub("", line) for line in saved.text.splitlines())
            # A chain that lets everything pass is what there is without any rule.
            found |= {f"{table} {line}" for line in lines if line[:1] in ":-" and not line.endswith(" ACCEPT")}
    return sorted(found)


def _engine(parts: Parts) -> Dict[str, bool]:
    version = parts.call("docker", "version", "--format", "{{.Server.Version}}")
    return {
        "client": version.returncode != 127,
        "running": version.returncode == 0,
        "enabled": parts.call("systemctl", "is-enabled", "--quiet", "docker.service").returncode == 0,
    }


def _objects(parts: Parts, *, answers: bool) -> Dict[str, List[str]]:
    """What the engine has; nothing where none answers."""
    asked: Sequence[Tuple[str, List[str]]] = (
        ("images", ["images", "--no-trunc", "--quiet"]),
        ("volumes", ["volume", "ls", "--quiet"]),
        ("networks", ["network", "ls", "--format", "{{.Name}}"]),
        ("containers", ["ps", "--all", "--no-trunc", "--quiet"]),
    )
    found = {}
    for what, arguments in asked:
        listed = parts.call("docker", *arguments) if answers else Completed([], 0, b"", b"")
        if listed.returncode != 0:
            raise FuelError(
                f"the Docker engine does not say what it has: {listed.error_text[-200:]}",
                hint="look at it: journalctl -u docker",
                code="engine_silent",
            )
        found[what] = sorted(set(listed.text.split("\n")) - {""})
    return found


def _links(parts: Parts) -> List[str]:
    try:
        names = os.listdir(parts.path(_LINKS))
    except OSError:
        return []
    return sorted(name for name in names if not _PASSING_LINK.match(name))


def _names(path: str) -> List[str]:
    return sorted({line.partition(":")[0] for line in _text(path).splitlines() if line})


def _kind(path: str) -> str:
    """`absent`, `empty` or `filled` of a folder, else `file`."""
    if not os.path.lexists(path):
        return "absent"
    if os.path.isdir(path) and not os.path.islink(path):
        try:
            return "filled" if os.listdir(path) else "empty"
        except OSError:
            return "filled"
    return "file"


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
