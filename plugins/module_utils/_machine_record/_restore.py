# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Put a machine back to what was found: every step can be repeated, and touches only what came by us."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from contextlib import suppress
from dataclasses import replace
from typing import Any, FrozenSet, List, Mapping, Set

from .._dev_container._absent import TAG_REPOSITORY
from .._docker import Docker
from .._errors import FuelError
from .._identity import TAG_CACHE, TAG_ENVIRONMENT, TAG_MANAGED
from . import _compare, _record
from ._look import PATHS, SETTINGS, Parts, packages

_LABEL_BASE = "fuel-code:base"
#: What docker_engine installs, on Debian's kin and on Fedora's.
_INSTALLED = ("docker.io", "iptables", "docker")
_APT = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
_REMOVES = re.compile(r"^(?:Purg|Remv) (\S+)", re.MULTILINE)
_FORWARDING = "/proc/sys/net/ipv4/ip_forward"


def other_environments(parts: Parts, environment_id: str) -> Set[str]:
    """Ids of the other environments that have anything on the engine."""
    found: Set[str] = set()
    for words in (["ps", "--all"], ["volume", "ls"], ["network", "ls"]):
        label = f'{{{{.Label "{TAG_ENVIRONMENT}"}}}}'
        listed = parts.call("docker", *words, "--filter", f"label={TAG_MANAGED}", "--format", label)
        if listed.returncode == 0:
            found |= set(listed.text.split())
    return found - {environment_id}


def ours_on_engine(parts: Parts, references: List[str], found: Mapping[str, Any]) -> _compare.Ours:
    """What on the engine is ours and was not there: by its label, and images by who asked for them."""
    bases: Set[str] = set()
    images: Set[str] = set()
    derived = _quiet(parts, "images", "--no-trunc", "--quiet", "--filter", f"label={TAG_CACHE}")
    derived |= _quiet(parts, "images", "--no-trunc", "--quiet", TAG_REPOSITORY)
    for each in Docker(parts.run).inspect(sorted(derived), kind="image"):
        images.add(str(each.get("Id")))
        base = ((each.get("Config") or {}).get("Labels") or {}).get(_LABEL_BASE)
        if base:
            bases.add(str(base))
    for reference in sorted({*references, *bases}):
        images |= {str(each.get("Id")) for each in Docker(parts.run).inspect([reference], kind="image")}
    volumes = _quiet(parts, "volume", "ls", "--quiet", "--filter", f"label={TAG_CACHE}")
    volumes |= _quiet(parts, "volume", "ls", "--quiet", "--filter", f"label={TAG_MANAGED}")
    named = "{{.Name}}"
    return _compare.Ours(
        images=frozenset(images) - frozenset(found["images"]),
        volumes=frozenset(volumes) - frozenset(found["volumes"]),
        networks=frozenset(_quiet(parts, "network", "ls", "--format", named, "--filter", f"label={TAG_MANAGED}")),
        containers=frozenset(_quiet(parts, "ps", "--all", "--no-trunc", "--quiet", "--filter", f"label={TAG_MANAGED}")),
    )


def clear_engine(parts: Parts, ours: _compare.Ours) -> None:
    """Remove our shared volumes and images; what somebody else uses by now stays, and is told of afterwards."""
    for name in sorted(ours.volumes):
        parts.call("docker", "volume", "rm", "--", name)
    for _turn in range(3):
        # Derived ones before their bases, whichever the order of their ids.
        left = sorted(ours.images & _quiet(parts, "images", "--no-trunc", "--quiet"))
        for name in left:
            tags = Docker(parts.run).inspect([name], kind="image")
            references = [tag for each in tags for tag in each.get("RepoTags") or []] or [name]
            parts.call("docker", "image", "rm", "--", *references)


def without_used(parts: Parts, ours: _compare.Ours) -> _compare.Ours:
    """What is ours without the images and volumes that somebody else's containers use by now: theirs to remove."""
    ids = sorted(_quiet(parts, "ps", "--all", "--no-trunc", "--quiet") - ours.containers)
    used = Docker(parts.run).inspect(ids, kind="container")
    mounted = {str(mount.get("Name")) for each in used for mount in each.get("Mounts") or []}
    images = ours.images - {str(each.get("Image")) for each in used}
    return replace(ours, images=images, volumes=ours.volumes - mounted)


def strangers(parts: Parts, ours: _compare.Ours) -> List[str]:
    """Names of containers and volumes on the engine that are not ours."""
    containers = _quiet(parts, "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}}")
    volumes = _quiet(parts, "volume", "ls", "--quiet") - ours.volumes
    others = [line.partition(" ")[2] for line in containers if line.partition(" ")[0] not in ours.containers]
    return sorted(f"container {name}" for name in others) + sorted(f"volume {name}" for name in volumes)


def remove_engine(parts: Parts, found: Mapping[str, Any]) -> "tuple[FrozenSet[str], List[str]]":
    """Take away the engine that was installed for us: (the packages that came with it, those that need it by now)."""
    going, needed = _going(parts, frozenset(found["packages"]))
    if needed:
        return frozenset(), [f"package {name}" for name in needed]
    for unit in ("docker.socket", "docker.service", "containerd.service"):
        parts.call("systemctl", "stop", unit)
    _clear_firewall(parts, found)
    if _compare.ENGINE_LINK not in found["links"]:
        parts.call("ip", "link", "delete", _compare.ENGINE_LINK)
    if going:
        purge = ["dnf", "--quiet", "--assumeyes", "remove"] if _is_rpm(parts) else [*_APT, "purge"]
        _checked(parts, [*purge, *sorted(going)])
    if _compare.ENGINE_GROUP not in found["groups"]:
        parts.call("groupdel", _compare.ENGINE_GROUP)
    with suppress(OSError):
        # Where it cannot be set, the difference tells.
        _put(parts.path(_FORWARDING), found["forwarding"])
    parts.call("systemctl", "daemon-reload")
    parts.call("systemctl", "reset-failed", "docker.service", "docker.socket", "containerd.service")
    return going, []


def settle_engine(parts: Parts, found: Mapping[str, Any]) -> None:
    """Give an engine that was there its own settings and state back."""
    path = parts.path(SETTINGS)
    current = None
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as stream:
            current = stream.read()
    if current != found["settings"]:
        if found["settings"] is None:
            os.unlink(path)
        else:
            _put(f"{path}.new", found["settings"])
            os.replace(f"{path}.new", path)
        parts.call("systemctl", "reload", "docker.service")
    if found["engine"]["running"]:
        # Nobody had to start it for us, or have it start by itself.
        return
    parts.call("systemctl", "stop", "docker.socket", "docker.service")
    if not found["engine"]["enabled"]:
        parts.call("systemctl", "disable", "--quiet", "docker.service")


def restore_paths(parts: Parts, found: Mapping[str, Any], *, engine: bool) -> None:
    """Remove the folders and files that were not there. `engine`: those of an engine too, which has been removed."""
    for name in sorted(PATHS, key=len, reverse=True):
        mine = "fuel" in name or name.startswith("~")
        kind = found["paths"].get(name)
        if kind not in ("absent", "empty") or not (mine or engine):
            continue
        path = parts.path(name)
        if name == "~/.cache" and os.path.isdir(path) and os.listdir(path):
            # Somebody else keeps something there by now.
            continue
        if name == _record.FOLDER:
            # The record in it goes by itself, after everything else.
            _remove(path, itself=False, but=_record.NAME)
            continue
        _remove(path, itself=kind == "absent")


def _going(parts: Parts, before: FrozenSet[str]) -> "tuple[FrozenSet[str], List[str]]":
    """(what to purge: what was installed for us, and what nothing else needs of that; others that need the engine)."""
    added = frozenset(packages(parts)) - before
    asked = [name for name in _INSTALLED if name in added]
    if _is_rpm(parts):
        return frozenset(asked), []
    if not asked:
        # A run that was killed took the engine itself away: what it had brought is needed by nothing now.
        return frozenset(_removed_with(parts, [], auto=True)) & added, []
    needed = {name: sorted(_removed_with(parts, [name], auto=False) - set(asked)) for name in asked}
    if needed.get("docker.io"):
        return frozenset(), needed["docker.io"]
    free = [name for name in asked if not needed[name]]
    return (frozenset(_removed_with(parts, free, auto=True)) & added) | frozenset(free), []


def _is_rpm(parts: Parts) -> bool:
    return parts.call("dpkg-query", "--version").returncode != 0


def _removed_with(parts: Parts, names: List[str], *, auto: bool) -> Set[str]:
    verb = ["purge", *(["--auto-remove"] if auto else []), *names] if names else ["autoremove", "--purge"]
    said = parts.call(*_APT, "--simulate", *verb)
    return set(_REMOVES.findall(said.text)) if said.returncode == 0 else set()


def _clear_firewall(parts: Parts, found: Mapping[str, Any]) -> None:
    """Take out the engine's chains and the rules that lead there; give chains their policies back."""
    for table in ("filter", "nat"):
        saved = parts.call("iptables-save", "-t", table).text.splitlines()
        for line in saved:
            if line.startswith("-A ") and ("DOCKER" in line or _compare.ENGINE_LINK in line):
                parts.call("iptables", "-t", table, "-D", *shlex.split(line[3:]))
        chains = [line[1:].split()[0] for line in saved if line.startswith(":DOCKER")]
        for verb in ("-F", "-X"):
            for chain in chains:
                parts.call("iptables", "-t", table, verb, chain)
    if found["forwarding"] is not None and "filter :FORWARD DROP" not in found["firewall"]:
        parts.call("iptables", "-P", "FORWARD", "ACCEPT")


def _checked(parts: Parts, argv: List[str]) -> None:
    done = parts.call(*argv, timeout=900)
    if done.returncode != 0:
        lines = [line.strip() for line in (done.error_text or done.text).splitlines() if line.strip()]
        raise FuelError(
            f"the packages that were installed cannot be removed: {(lines or ['no reason is given'])[-1][:300]}",
            hint="see that no other package manager is at work, then repeat it",
            code="packages_stay",
            details={"tail": lines[-8:]},
        )


def _remove(path: str, *, itself: bool, but: str = "") -> None:
    """Remove a file or folder, or empty the folder but for one name."""
    if not os.path.lexists(path):
        return
    if os.path.islink(path) or not os.path.isdir(path):
        if itself:
            os.unlink(path)
        return
    for name in set(os.listdir(path)) - {but}:
        child = os.path.join(path, name)
        if os.path.isdir(child) and not os.path.islink(child):
            shutil.rmtree(child, ignore_errors=True)
        else:
            os.unlink(child)
    if itself:
        shutil.rmtree(path, ignore_errors=True)


def _put(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


def _quiet(parts: Parts, *arguments: str) -> Set[str]:
    listed = parts.call("docker", *arguments)
    return set(listed.text.splitlines()) - {""} if listed.returncode == 0 else set()


def kept(names: List[str]) -> str:
    """Why the engine stays."""
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"Docker stays, for somebody else uses it by now: {shown}"
