# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Instances as AWS describes them, and as we speak of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

from .. import _identity

DEAD = frozenset({"shutting-down", "terminated"})


@dataclass(frozen=True)
class Instance:
    """One instance; times are epoch seconds, `reason` is AWS's StateReason code."""

    instance_id: str
    state: str
    token: str = ""
    environment_id: str = ""
    managed: bool = False
    instance_type: str = ""
    zone: str = ""
    market: str = "on-demand"
    image_id: str = ""
    public_address: str = ""
    private_address: str = ""
    vpc_id: str = ""
    launched_at: Optional[float] = None
    reason: str = ""
    reason_text: str = ""
    volumes: Tuple[str, ...] = ()
    interfaces: Tuple[str, ...] = ()
    tags: Dict[str, str] = field(default_factory=dict)

    @property
    def dead(self) -> bool:
        """Terminated, or about to be: from there no instance comes back."""
        return self.state in DEAD

    def address(self, kind: str) -> str:
        """Where to connect: `public` or `private`."""
        return self.private_address if kind == "private" else self.public_address

    def attempt(self, environment_id: str, last: int) -> Optional[int]:
        """Which attempt of this environment launched it, looking from 1 to `last`."""
        for attempt in range(1, last + 1):
            if self.token == _identity.idempotency_token(environment_id, attempt, "instance"):
                return attempt
        return None


def ended_by(instances: Iterable[Instance]) -> str:
    """What ended machines that were not asked to end: `spot`, `console`, or `machine` for themselves."""
    reasons = [each.reason for each in instances]
    if any(reason.startswith("Server.SpotInstance") for reason in reasons):
        return "spot"
    return "console" if "Client.UserInitiatedShutdown" in reasons else "machine"


def read(described: Mapping[str, Any]) -> Instance:
    """From an item of DescribeInstances or RunInstances."""
    tags = {each["Key"]: each["Value"] for each in described.get("Tags") or []}
    reason = described.get("StateReason") or {}
    launched = described.get("LaunchTime")
    return Instance(
        instance_id=described["InstanceId"],
        state=(described.get("State") or {}).get("Name", "unknown"),
        token=described.get("ClientToken") or "",
        environment_id=tags.get(_identity.TAG_ENVIRONMENT, ""),
        managed=tags.get(_identity.TAG_MANAGED) == "true",
        instance_type=described.get("InstanceType") or "",
        zone=(described.get("Placement") or {}).get("AvailabilityZone") or "",
        market=described.get("InstanceLifecycle") or "on-demand",
        image_id=described.get("ImageId") or "",
        public_address=described.get("PublicIpAddress") or "",
        private_address=described.get("PrivateIpAddress") or "",
        vpc_id=described.get("VpcId") or "",
        launched_at=launched.timestamp() if launched is not None else None,
        reason=reason.get("Code") or "",
        reason_text=reason.get("Message") or "",
        volumes=tuple(each["Ebs"]["VolumeId"] for each in described.get("BlockDeviceMappings") or [] if "Ebs" in each),
        interfaces=tuple(each["NetworkInterfaceId"] for each in described.get("NetworkInterfaces") or []),
        tags=tags,
    )


def machine(instance: Instance, attempt: int, connect_to: str) -> Dict[str, Any]:
    """The module's result `machine`."""
    return {
        "instance_id": instance.instance_id,
        "attempt": attempt,
        "state": instance.state,
        "address": instance.address(connect_to),
        "public_address": instance.public_address,
        "private_address": instance.private_address,
        "instance_type": instance.instance_type,
        "zone": instance.zone,
        "market": instance.market,
        "image_id": instance.image_id,
        "launched_at": instance.launched_at,
        "volumes": list(instance.volumes),
        "interfaces": list(instance.interfaces),
        "tags": dict(instance.tags),
    }
