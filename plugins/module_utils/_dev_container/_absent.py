# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Take an environment off its engine: what carries its label and nothing else, by id, and then asked for again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from .._docker import Docker
from .._errors import FuelError
from .._identity import TAG_ENVIRONMENT, container_names
from .._progress import Progress
from .._receipt import GONE, PRESENT, entry, receipt
from .._watchdog import container_name as watchdog_name
from ._lock import only_one
from ._spec import LABEL_ROLE

TAG_REPOSITORY = "fuel-code/environment"
#: Seconds between two tries, and how many: the engine is at times still busy with what was just removed.
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)


@dataclass
class Owned:
    """What carries one environment's label: (id, name) of each, the watchdog apart."""

    containers: List[Tuple[str, str]] = field(default_factory=list)
    watchdogs: List[Tuple[str, str]] = field(default_factory=list)
    volumes: List[str] = field(default_factory=list)
    networks: List[Tuple[str, str]] = field(default_factory=list)
    image_tags: List[str] = field(default_factory=list)

    def lines(self) -> List[Tuple[str, str]]:
        """(kind, name) of everything."""
        return [
            *(("container", name) for _id, name in self.containers),
            *(("watchdog", name) for _id, name in self.watchdogs),
            *(("volume", name) for name in self.volumes),
            *(("network", name) for _id, name in self.networks),
            *(("image_tag", name) for name in self.image_tags),
        ]


def find_owned(docker: Docker, environment_id: str) -> Owned:
    """Ask the engine for everything that carries this environment's label, of every attempt."""
    wanted = ["--filter", f"label={TAG_ENVIRONMENT}={environment_id}"]
    owned = Owned()
    listed = docker.call(
        [
            "ps",
            "--all",
            "--no-trunc",
            *wanted,
            "--format",
            f'{{{{.ID}}}}\t{{{{.Names}}}}\t{{{{.Label "{LABEL_ROLE}"}}}}',
        ],
        timeout=60,
    )
    for line in listed.text.splitlines():
        container_id, name, role = (line.split("\t") + ["", ""])[:3]
        (owned.watchdogs if role == "watchdog" else owned.containers).append((container_id, name))
    owned.volumes = docker.call(["volume", "ls", "--quiet", *wanted], timeout=60).text.split()
    networks = docker.call(
        ["network", "ls", "--no-trunc", *wanted, "--format", "{{.ID}}\t{{.Name}}"], timeout=60
    ).text.splitlines()
    owned.networks = [(line.split("\t")[0], line.split("\t")[1]) for line in networks]
    tags = docker.call(["images", "--format", "{{.Repository}}:{{.Tag}}", TAG_REPOSITORY], timeout=60).text.split()
    owned.image_tags = [tag for tag in tags if tag.startswith(f"{TAG_REPOSITORY}:{environment_id.lower()}-")]
    return owned


def anonymous_volumes(docker: Docker, containers: Sequence[Tuple[str, str]]) -> List[str]:
    """Volumes without a name of their own that the engine made for these containers (`VOLUME` in their images)."""
    found = docker.inspect([container_id for container_id, _name in containers], kind="container")
    mounts = [mount for one in found for mount in one.get("Mounts") or [] if mount.get("Type") == "volume"]
    names = [str(mount.get("Name", "")) for mount in mounts]
    return sorted({name for name in names if len(name) == 64 and set(name) <= set("0123456789abcdef")})


def absent(
    docker: Docker,
    environment_id: str,
    progress: Progress,
    *,
    attempt: int = 1,
    check: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Tuple[bool, Dict[str, Any], Dict[str, Any]]:
    """Remove the environment; returns (changed, receipt, what there was before).

    The receipt is complete when everything was asked for again and is gone. It names what an environment of this
    attempt owns even when that was gone before. The watchdog goes last: killed half-way, it finishes the work.
    """
    with only_one(f"environment-{environment_id}"):
        return _absent(docker, environment_id, progress, attempt=attempt, check=check, sleep=sleep)


def _absent(
    docker: Docker,
    environment_id: str,
    progress: Progress,
    *,
    attempt: int,
    check: bool,
    sleep: Callable[[float], None],
) -> Tuple[bool, Dict[str, Any], Dict[str, Any]]:
    with progress.step("look"):
        owned = find_owned(docker, environment_id)
        anonymous = anonymous_volumes(docker, owned.containers)
    before = {"resources": [f"{kind} {name}" for kind, name in owned.lines()]}
    known = dict.fromkeys(owned.lines())
    if check:
        return bool(known), receipt([entry(kind, name, PRESENT) for kind, name in known]), before
    refusal: Optional[FuelError] = None
    remaining = owned
    for pause in (0.0, *_PAUSES):
        if not remaining.lines():
            break
        sleep(pause)
        refusal = _remove(docker, remaining, progress)
        remaining = find_owned(docker, environment_id)
        known.update(dict.fromkeys(remaining.lines()))
    with progress.step("verify"):
        names = container_names(environment_id, attempt)
        expected = [
            ("container", names.container),
            ("watchdog", watchdog_name(names.container)),
            ("volume", names.workspace_volume),
            ("network", names.network),
            ("image_tag", names.image_tag),
        ]
        left = set(remaining.lines())
        reason = "" if refusal is None else str(refusal)
        lines = [
            entry(kind, name, PRESENT if (kind, name) in left else GONE, reason if (kind, name) in left else "")
            for kind, name in {**dict.fromkeys(expected), **known}
        ]
        still = {str(volume.get("Name")) for volume in docker.inspect(anonymous, kind="volume")}
        lines += [entry("volume", name, PRESENT if name in still else GONE) for name in anonymous]
    return bool(known), receipt(lines), before


def _remove(docker: Docker, owned: Owned, progress: Progress) -> Optional[FuelError]:
    """One try at everything; what fails is left to the next one, its reason returned."""
    steps: List[Tuple[str, List[str], List[str]]] = [
        ("containers", ["rm", "--force", "--volumes"], [container_id for container_id, _name in owned.containers]),
        ("volumes", ["volume", "rm", "--force"], owned.volumes),
        ("networks", ["network", "rm"], [network_id for network_id, _name in owned.networks]),
        ("image tags", ["rmi", "--no-prune"], owned.image_tags),
    ]
    refusal: Optional[FuelError] = None
    for name, command, things in steps:
        if things:
            with progress.step(name) as step:
                step.message = f"{len(things)}"
                refusal = _try(docker, [*command, *things]) or refusal
    if owned.watchdogs and refusal is None:
        with progress.step("watchdog"):
            refusal = _try(docker, ["rm", "--force", "--volumes", *(one for one, _name in owned.watchdogs)])
    return refusal


def _try(docker: Docker, args: List[str]) -> Optional[FuelError]:
    try:
        docker.call(args, timeout=120)
    except FuelError as error:
        if error.code in ("docker_missing", "docker_denied", "docker_unavailable"):
            raise
        gone = json.dumps(error.details).lower()
        if "no such" in gone or "is already in progress" in gone:
            return None
        return error
    return None
