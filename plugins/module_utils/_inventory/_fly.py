# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What the metadata of machines on Fly.io says of environments, where there is no control plane."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

from .._fly import _app, _tags
from .._fly._api import Api, ApiError, place
from .._fly._refusals import explain
from ._record import Machine, Record

#: Who works in a machine of images/dev.
USER = "dev"
_LIVE = frozenset({"created", "starting", "started", "stopping", "stopped", "suspending", "suspended", "replacing"})


def of_organization(api: Api, org: str) -> List[Record]:
    """Every environment that is a machine of this organization, with where it is reached; FuelError when that cannot be
    asked."""
    try:
        machines = api.listed(place("orgs", org, "machines"), "machines", required=True)
        ours = [each for each in machines if _tags.is_ours(each) and each.get("state") in _LIVE]
        return [of_machine(_whole(api, each), _address(api, each)) for each in ours]
    except ApiError as error:
        raise explain(error, org) from error


def _whole(api: Api, machine: Mapping[str, Any]) -> Mapping[str, Any]:
    """The machine with its services, which an organization's list leaves out; what the list has of one that ended."""
    shown = api.find(place("apps", str(machine["app_name"]), "machines", str(machine["id"])))
    return {**machine, **(shown or {})}


def _address(api: Api, machine: Mapping[str, Any]) -> str:
    found = _app.addresses(api, str(machine["app_name"]))
    return next((str(each["ip"]) for each in found if each["kind"] != "shared_v4"), "")


def of_machine(machine: Mapping[str, Any], address: str) -> Record:
    """The environment that it is; with an address and no service, or the other way round, nobody can enter it."""
    marks = _tags.of(machine)
    config = machine.get("config") or {}
    guest = config.get("guest") or {}
    port = _port(config)
    state = str(machine.get("state") or "")
    reached = Machine(address, port, USER) if address and port else None
    if not address and not config.get("services"):
        reached = _privately(machine, config)
    return Record(
        id=marks[_tags.ENVIRONMENT],
        name=marks.get(_tags.NAME) or marks[_tags.ENVIRONMENT].lower(),
        owner=marks.get(_tags.OWNER, ""),
        status="running" if state == "started" else state,
        provider="fly",
        user=USER,
        machine=reached,
        is_machine=reached is not None,
        facts={
            "type": f"{guest.get('cpu_kind')}-cpu-{guest.get('cpus')}x" if guest else None,
            "region": machine.get("region"),
            "app": machine.get("app_name"),
            "machine_id": machine.get("id"),
            "expires_at": marks.get(_tags.EXPIRES),
        },
    )


def _privately(machine: Mapping[str, Any], config: Mapping[str, Any]) -> Optional[Machine]:
    """How one without a public address is reached, from where the organization's private network is."""
    address, port = str(machine.get("private_ip") or ""), str((config.get("env") or {}).get("FUEL_SSH_PORT") or "")
    return Machine(address, int(port), USER) if address and port.isascii() and port.isdigit() else None


def _port(config: Mapping[str, Any]) -> Optional[int]:
    for service in config.get("services") or []:
        for each in service.get("ports") or []:
            if isinstance(each.get("port"), int):
                return int(each["port"])
    return None
