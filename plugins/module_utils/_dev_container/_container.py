# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What is on the engine for one environment, in one call; and the argument lists that make a container."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .._docker import Docker
from .._watchdog import container_name as watchdog_name
from ._spec import (
    AGENTS_PATH,
    AGENTS_VOLUME,
    CACHES,
    LABEL_ROLE,
    LABEL_SPEC,
    LABEL_WORKSPACE,
    WORKSPACES,
    Service,
    Spec,
)

Port = Dict[str, int]


@dataclass
class Observed:
    """Inspected objects of one environment; absent ones are None or missing."""

    container: Optional[Dict[str, Any]] = None
    watchdog: Optional[Dict[str, Any]] = None
    image_tag: Optional[Dict[str, Any]] = None
    #: The blueprint's image, where the engine has it and nothing else bears its name.
    base: Optional[Dict[str, Any]] = None
    services: Dict[str, Dict[str, Any]] = field(default_factory=dict)


def observe(docker: Docker, spec: Spec) -> Observed:
    """Ask the engine about everything of this environment that is known by name."""
    names = spec.names
    wanted = [names.container, watchdog_name(names.container), names.image_tag, spec.image]
    wanted += [names.service(service.name) for service in spec.services]
    observed = Observed()
    for thing in docker.inspect(wanted):
        # A network bears the container's name: what has no State is no container.
        name = str(thing.get("Name", "")).lstrip("/") if "State" in thing else ""
        if names.image_tag in (thing.get("RepoTags") or ()):
            observed.image_tag = thing
        elif "RepoTags" in thing:
            observed.base = thing
        elif name == names.container:
            observed.container = thing
        elif name == watchdog_name(names.container):
            observed.watchdog = thing
        elif name:
            observed.services[name] = thing
    return observed


def label_of(inspected: Optional[Mapping[str, Any]], label: str) -> Optional[str]:
    """A label of an inspected container or image."""
    labels = ((inspected or {}).get("Config") or {}).get("Labels") or {}
    value = labels.get(label)
    return None if value is None else str(value)


def published(inspected: Optional[Mapping[str, Any]]) -> List[Port]:
    """The ports that an inspected container publishes: [{container, host}]."""
    bindings = ((inspected or {}).get("HostConfig") or {}).get("PortBindings") or {}
    ports = [
        {"container": int(key.split("/")[0]), "host": int(host.get("HostPort") or 0)}
        for key, hosts in bindings.items()
        for host in hosts or []
    ]
    return sorted(ports, key=lambda port: port["container"])


def choose_ports(wanted: Sequence[int], taken: Sequence[int] = ()) -> List[Port]:
    """For each port the same number on the machine's loopback, or a free one where that is in use or in `taken`."""
    ports: List[Port] = []
    for port in wanted:
        host = port
        if port in taken or not _is_free(port):
            host = _any_free(exclude=[*taken, *wanted, *(chosen["host"] for chosen in ports)])
        ports.append({"container": port, "host": host})
    return ports


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            # A low port that only root may bind: the engine may.
            return True
        except OSError:
            return False
    return True


def _any_free(exclude: Sequence[int]) -> int:
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in exclude:
            return port


def label_args(labels: Mapping[str, str]) -> List[str]:
    """`--label` for each."""
    return [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]


def create_args(spec: Spec, home: str, ports: Sequence[Port], cpus: Optional[float]) -> List[str]:
    """`docker create` for the environment's container."""
    names = spec.names
    args = ["create", "--name", names.container, "--hostname", spec.name, "--init", "--restart", "unless-stopped"]
    args += ["--network", names.network, "--user", "0", "--stop-timeout", "3", "--pids-limit", "16384"]
    args += ["--log-driver", "local", "--log-opt", "max-size=10m", "--log-opt", "max-file=2"]
    own = {LABEL_ROLE: "environment", LABEL_SPEC: spec.fingerprint(), LABEL_WORKSPACE: spec.workspace}
    args += label_args({**spec.labels, **own})
    args += ["--mount", _volume(names.workspace_volume, WORKSPACES, spec.labels)]
    args += ["--mount", _volume(AGENTS_VOLUME, AGENTS_PATH, {"fuel-code:cache": "agents"}) + ",readonly"]
    for manager in spec.caches:
        target = f"{home}/{CACHES[manager]}"
        args += ["--mount", _volume(spec.cache_volume(manager), target, {"fuel-code:cache": "packages"})]
    for port in ports:
        args += ["--publish", f"127.0.0.1:{port['host']}:{port['container']}"]
    if spec.memory is not None:
        args += ["--memory", str(spec.memory)]
    if cpus is not None:
        args += ["--cpus", f"{cpus:g}"]
    return [*args, names.image_tag]


def service_args(spec: Spec, service: Service) -> Tuple[List[str], bytes]:
    """`docker create` for a service and what goes to its stdin: values never show in the process list."""
    names = spec.names
    labels = {**spec.labels, LABEL_ROLE: "service", LABEL_SPEC: spec.service_fingerprint(service)}
    args = ["create", "--name", names.service(service.name), "--hostname", service.name, "--restart", "unless-stopped"]
    args += ["--network", names.network, "--network-alias", service.name]
    args += ["--log-driver", "local", "--log-opt", "max-size=10m", "--log-opt", "max-file=2"]
    args += label_args(labels)
    args += ["--env-file", "/dev/stdin", "--", service.image, *service.command]
    return args, "".join(f"{name}={value}\n" for name, value in service.env.items()).encode("utf-8")


def _volume(name: str, target: str, labels: Mapping[str, str]) -> str:
    """A `--mount` value; the labels count when the engine makes the volume. It is CSV: each field is quoted."""
    fields = ["type=volume", f"source={name}", f"target={target}"]
    fields += [f"volume-label={key}={value}" for key, value in labels.items()]
    return ",".join('"' + text.replace('"', '""') + '"' for text in fields)
