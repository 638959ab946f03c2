# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The difference between two looks, and whose it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping

_LISTS = ("packages", "groups", "users", "links", "images", "volumes", "networks", "containers")
#: What the engine's package brings besides packages.
ENGINE_GROUP = "docker"
ENGINE_LINK = "docker0"
ENGINE_NETWORKS = ("bridge", "host", "none")


@dataclass
class Difference:
    """`left`: of ours; `foreign`: somebody else's doing meanwhile. One line each, like `package docker.io added`."""

    left: List[str] = field(default_factory=list)
    foreign: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ours:
    """What is ours by name: packages that were installed for us, and objects of the engine."""

    packages: "frozenset[str]" = frozenset()
    images: "frozenset[str]" = frozenset()
    volumes: "frozenset[str]" = frozenset()
    networks: "frozenset[str]" = frozenset()
    containers: "frozenset[str]" = frozenset()


def compare(found: Mapping[str, Any], now: Mapping[str, Any], ours: Ours, *, installed: bool) -> Difference:
    """What differs. `installed`: the engine was put there for us, so what comes with one is ours too."""
    told = Difference()
    for what in _LISTS:
        before, after = set(found[what]), set(now[what])
        mine = _mine(what, ours, installed=installed)
        for name in sorted(after - before):
            (told.left if name in mine else told.foreign).append(f"{what[:-1]} {name} added")
        told.foreign += [f"{what[:-1]} {name} gone" for name in sorted(before - after)]
    for path, kind in found["paths"].items():
        if now["paths"].get(path) != kind and not (kind == "filled" and now["paths"].get(path) != "absent"):
            told.left.append(f"{path} was {kind}, is {now['paths'].get(path)}")
    if found["settings"] != now["settings"]:
        told.left.append("/etc/docker/daemon.json is another")
    if installed:
        rules = set(now["firewall"]) - set(found["firewall"])
        told.left += [f"firewall rule {rule} added" for rule in sorted(rules) if "DOCKER" in rule]
        told.foreign += [f"firewall rule {rule} added" for rule in sorted(rules) if "DOCKER" not in rule]
        if found["forwarding"] != now["forwarding"]:
            told.left.append(f"net.ipv4.ip_forward was {found['forwarding']}, is {now['forwarding']}")
    # Whether one that ran starts by itself is nothing that we touch; and a busy systemd may not say.
    for what in ("client", "running") if found["engine"]["running"] else ("client", "running", "enabled"):
        if found["engine"][what] != now["engine"][what]:
            told.left.append(f"the engine's {what} was {found['engine'][what]}, is {now['engine'][what]}")
    return told


def _mine(what: str, ours: Ours, *, installed: bool) -> "frozenset[str]":
    by_name: Dict[str, "frozenset[str]"] = {
        "packages": ours.packages,
        "images": ours.images,
        "volumes": ours.volumes,
        "networks": ours.networks,
        "containers": ours.containers,
    }
    if what in by_name:
        return by_name[what] | (frozenset(ENGINE_NETWORKS) if installed and what == "networks" else frozenset())
    with_engine = {"groups": frozenset({ENGINE_GROUP}), "links": frozenset({ENGINE_LINK})}
    return with_engine.get(what, frozenset()) if installed else frozenset()
