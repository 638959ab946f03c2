# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What an engine's labels, and a cloud's tags, say of environments: all that there is without a control plane."""

from __future__ import annotations

from typing import Any, Iterable, List

from .._dev_container._spec import LABEL_ROLE, LABEL_USER, LABEL_WORKSPACE
from .._docker import Docker
from .._ec2._tags import EXPIRES_AT
from .._ec2._view import Instance
from .._identity import TAG_ENVIRONMENT, TAG_MANAGED, TAG_OWNER, container_names
from ._record import Machine, Record

_NAME_PREFIX = "fuel-code-"
_LIVE = frozenset({"pending", "running", "stopping", "stopped"})


def of_engine(docker: Docker) -> List[Record]:
    """Every environment whose container is on this engine."""
    filters = ["--filter", f"label={TAG_MANAGED}", "--filter", f"label={LABEL_ROLE}=environment"]
    listed = docker.call(["ps", "--all", *filters, "--format", "{{.Names}}"], timeout=60)
    return [_of_container(each) for each in docker.inspect(listed.text.split(), kind="container")]


def _of_container(inspected: Any) -> Record:
    config = inspected.get("Config") or {}
    labels = config.get("Labels") or {}
    running = bool((inspected.get("State") or {}).get("Running"))
    return Record(
        id=labels.get(TAG_ENVIRONMENT, ""),
        # Its host name is the environment's name.
        name=config.get("Hostname") or "",
        owner=labels.get(TAG_OWNER, ""),
        status="running" if running else "stopped",
        provider="local",
        container=str(inspected.get("Name") or "").lstrip("/"),
        user=labels.get(LABEL_USER, ""),
        workspace=labels.get(LABEL_WORKSPACE, ""),
        facts={"created_at": inspected.get("Created"), "image": config.get("Image")},
    )


def of_cloud(instances: Iterable[Instance], region: str) -> List[Record]:
    """Every environment that has a machine there; what is in the machine, tags do not say."""
    found = []
    for each in instances:
        if each.state not in _LIVE or not each.environment_id:
            continue
        address = each.public_address or each.private_address
        attempt = each.attempt(each.environment_id, 20) or 1
        found.append(
            Record(
                id=each.environment_id,
                name=_name(each.tags.get("Name", "")) or each.environment_id.lower(),
                owner=each.tags.get(TAG_OWNER, ""),
                status="running" if each.state == "running" else each.state,
                provider="ec2",
                container=container_names(each.environment_id, attempt).container,
                machine=Machine(address) if address else None,
                facts={
                    "type": each.instance_type,
                    "region": region,
                    "zone": each.zone,
                    "market": each.market,
                    "instance_id": each.instance_id,
                    "expires_at": each.tags.get(EXPIRES_AT),
                },
            )
        )
    return found


def _name(tag: str) -> str:
    """The environment's name in an instance's tag `Name`."""
    return tag[len(_NAME_PREFIX) :] if tag.startswith(_NAME_PREFIX) else ""
