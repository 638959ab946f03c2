# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Records as Ansible's hosts: names, groups, and the variables by which they are reached. Pure."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Optional

from ._record import Machine, Record

#: Groups. Not `fuel_machines`: the playbooks of this collection work on whatever is in that one.
CONTAINERS = "fuel_environments"
MACHINES = "fuel_environment_machines"
#: Facts of a record that are its machine's.
_MACHINE_FACTS = ("type", "region", "zone", "market", "instance_id")
_LOCAL_MACHINE = "fuel-machine-local"


@dataclass(frozen=True)
class Access:
    """What this user has for one environment.

    :param ssh_host: its `Host` in fuelctl's ssh config, whose path is `ssh_config`; `ssh_machine`: its machine's.
    :param key: private key; `known_hosts`: file with its machine's host key. For machines that are in no such config.
    """

    ssh_host: Optional[str] = None
    ssh_machine: Optional[str] = None
    ssh_config: str = ""
    key: Optional[str] = None
    known_hosts: Optional[str] = None


@dataclass
class Host:
    """One host of the inventory."""

    name: str
    groups: List[str] = field(default_factory=list)
    variables: Dict[str, Any] = field(default_factory=dict)


def hosts(records: Iterable[Record], access: Mapping[str, Access], connection: str = "auto") -> List[Host]:
    """The environments, and the machines that their containers are on, each machine once.

    :param access: by environment id.
    :param connection: `ssh`, `docker`, or `auto`: ssh where this user has an entry for it, docker otherwise.
    """
    known = list(records)
    often = Counter(record.name for record in known)
    containers: List[Host] = []
    machines: Dict[str, Host] = {}
    for record in known:
        name = f"fuel-{record.name}"
        if often[record.name] > 1:
            # Names are unique per owner only.
            name = f"{name}-{record.id[-6:].lower()}"
        mine = access.get(record.id, Access())
        if record.is_machine:
            containers.append(_itself(record, name, mine))
            continue
        machine = machines.setdefault(_machine_name(record.machine), _machine(record, mine))
        machine.variables["fuel_environments"].append(record.name)
        if record.container and record.user:
            containers.append(_container(record, name, mine, connection, machine.name))
    return [*containers, *machines.values()]


def _container(record: Record, name: str, access: Access, connection: str, machine: str) -> Host:
    host = _environment(record, name, machine)
    host.variables.update(_way_in(record, access, connection))
    return host


def _itself(record: Record, name: str, access: Access) -> Host:
    """An environment that is its machine: one host for both, entered by no engine."""
    host = _environment(record, name, "")
    if access.ssh_host:
        host.variables.update(_way_in(record, access, "ssh"))
    else:
        way = {**_direct(record, access), "ansible_connection": "ssh", "ansible_user": record.user}
        host.variables.update(way)
    return host


def _environment(record: Record, name: str, machine: str) -> Host:
    groups = [CONTAINERS]
    groups += [
        f"fuel_{what}_{value}"
        for what, value in (
            ("state", record.status),
            ("owner", record.owner),
            ("provider", record.provider),
            ("workspace", record.workspace.rpartition("/")[2]),
        )
        if value
    ]
    variables = {
        "fuel_id": record.id,
        "fuel_name": record.name,
        "fuel_owner": record.owner,
        "fuel_state": record.status,
        "fuel_provider": record.provider,
        "fuel_container": record.container,
        "fuel_workspace": record.workspace,
        "fuel_machine": machine,
        "fuel_facts": dict(record.facts),
        "ansible_user": record.user,
    }
    return Host(name, groups, variables)


def _way_in(record: Record, access: Access, connection: str) -> Dict[str, Any]:
    by_ssh = connection == "ssh" or (connection == "auto" and (access.ssh_host or record.machine is not None))
    if not by_ssh:
        return {"ansible_connection": "community.docker.docker", "ansible_host": record.container}
    return {
        "ansible_connection": "ssh",
        "ansible_host": access.ssh_host or f"fuel-{record.name}",
        "ansible_ssh_common_args": f"-F {shlex.quote(access.ssh_config)}",
    }


def _machine_name(machine: Optional[Machine]) -> str:
    if machine is None:
        return _LOCAL_MACHINE
    ending = f"-{machine.port}" if machine.port != 22 else ""
    return f"fuel-machine-{machine.address.replace(':', '-')}{ending}"


def _machine(record: Record, access: Access) -> Host:
    name = _machine_name(record.machine)
    facts = {name: record.facts[name] for name in _MACHINE_FACTS if record.facts.get(name)}
    variables: Dict[str, Any] = {"fuel_environments": [], "fuel_provider": record.provider, "fuel_facts": facts}
    host = Host(name, [MACHINES], variables)
    if record.provider:
        host.groups.append(f"{MACHINES}_{record.provider}")
    if record.machine is None:
        variables["ansible_connection"] = "local"
        return host
    if access.ssh_machine:
        variables["ansible_host"] = access.ssh_machine
        variables["ansible_ssh_common_args"] = f"-F {shlex.quote(access.ssh_config)}"
        return host
    variables.update(_direct(record, access))
    return host


def _direct(record: Record, access: Access) -> Dict[str, Any]:
    """To the machine itself, where no entry of fuelctl's says how."""
    variables: Dict[str, Any] = {}
    if record.machine is None:
        return variables
    variables["ansible_host"] = record.machine.address
    variables["ansible_port"] = record.machine.port
    if record.machine.user:
        variables["ansible_user"] = record.machine.user
    if access.key:
        variables["ansible_ssh_private_key_file"] = access.key
    if access.known_hosts:
        # One machine per environment, whose host key was pinned under this name when it was made.
        options = [
            f'UserKnownHostsFile="{access.known_hosts}"',
            "GlobalKnownHostsFile=/dev/null",
            f"HostKeyAlias=fuel-{record.id.lower()}",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
        ]
        words = ["-F", "/dev/null", *(word for each in options for word in ("-o", each))]
        variables["ansible_ssh_common_args"] = " ".join(shlex.quote(word) for word in words)
    return variables
